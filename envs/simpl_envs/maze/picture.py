"""Pictures of a maze from above, in numpy alone: fast, and without OpenGL. The index i points right, j up."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from simpl_envs.maze.layout import BODY_ORIGIN, MazeLayout

__all__ = ["draw_maze", "pixel_of"]

Image = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

FLOOR: Colour = (242, 242, 237)
WALL: Colour = (64, 71, 84)
GOAL: Colour = (135, 200, 150)
PARTICLE: Colour = (217, 64, 51)
TRAIL: Colour = (40, 110, 190)


def draw_maze(
    layout: MazeLayout,
    goal: tuple[float, float] | None = None,
    radius: float = 1.0,
    position: npt.ArrayLike | None = None,
    trails: Sequence[npt.NDArray[np.floating]] = (),
    pixels_per_cell: int = 16,
) -> Image:
    """
    A maze from above, borders included.

    :param goal: centre of the goal's disc, observation coordinates
    :param radius: of the goal's disc, cells
    :param position: (x, y, ...) of the particle, observation coordinates; drawn twice as large as it is
    :param trails: trajectories with x and y first, each (L, 2 or more)
    :param pixels_per_cell: resolution
    :return: RGB, (columns * pixels_per_cell, rows * pixels_per_cell, 3): i to the right, j upwards
    """
    if pixels_per_cell < 1:
        raise ValueError(f"Expected pixels_per_cell >= 1, got {pixels_per_cell}")
    image = _background(layout, pixels_per_cell).copy()
    if goal is not None:
        _disc(image, layout, goal, radius, GOAL, pixels_per_cell, over=FLOOR)
    for trail in trails:
        pixels = [pixel_of(layout, (x, y), pixels_per_cell) for x, y in np.asarray(trail)[:, :2]]
        rows, columns = np.array(pixels).T
        image[rows.clip(0, len(image) - 1), columns.clip(0, image.shape[1] - 1)] = TRAIL
    if position is not None:
        x, y = np.asarray(position, dtype=np.float64)[:2]
        _disc(image, layout, (x, y), 0.2, PARTICLE, pixels_per_cell)
    return image


def pixel_of(layout: MazeLayout, position: tuple[float, float], pixels_per_cell: int = 16) -> tuple[int, int]:
    """(row, column) in the picture of an observed (x, y)."""
    i, j = position[0] + BODY_ORIGIN - 0.5, position[1] + BODY_ORIGIN - 0.5  # cell (0, 0) spans 0 to 1
    return int(np.ceil((layout.shape[1] - j) * pixels_per_cell)) - 1, int(np.floor(i * pixels_per_cell))


@lru_cache(maxsize=16)
def _background(layout: MazeLayout, pixels_per_cell: int) -> Image:
    cells = np.where(layout.walls[:, :, None], np.array(WALL, np.uint8), np.array(FLOOR, np.uint8))
    image: Image = cells.transpose(1, 0, 2)[::-1].repeat(pixels_per_cell, axis=0).repeat(pixels_per_cell, axis=1)
    image.flags.writeable = False
    return image


def _disc(
    image: Image,
    layout: MazeLayout,
    centre: tuple[float, float],
    radius: float,
    colour: Colour,
    pixels_per_cell: int,
    over: Colour | None = None,
) -> None:
    """Fill a disc, on pixels of the colour ``over`` only when given."""
    row, column = pixel_of(layout, centre, pixels_per_cell)
    reach = int(np.ceil(radius * pixels_per_cell))
    top, left = max(row - reach, 0), max(column - reach, 0)
    patch = image[top : row + reach + 1, left : column + reach + 1]
    rows, columns = np.ogrid[top : top + patch.shape[0], left : left + patch.shape[1]]
    inside = (rows - row) ** 2 + (columns - column) ** 2 <= max(radius * pixels_per_cell, 0.5) ** 2
    if over is not None:
        inside &= (patch == np.array(over, np.uint8)).all(axis=2)
    patch[inside] = colour
