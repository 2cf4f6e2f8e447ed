"""
Geometry of mazes, without any simulation: which cells are walls, how far cells are apart, where goals can lie.

A cell (i, j) is an entry of the map, borders included. Its wall box has half-width 0.5 and its centre at world
(i+1, j+1); the particle's body sits at world (1.2, 1.2), and what is observed is the joint position. So the centre of a
cell is *observed* at (i-0.2, j-0.2). Goals, starts and waypoints are observation coordinates: goal (12, 7) is the
observation (12, 7), which lies in cell (12, 7), 0.2 off its centre.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from simpl_envs.errors import TaskError
from simpl_envs.maze.tasks import GoalTask

__all__ = ["BODY_ORIGIN", "PUBLISHED_LAYOUT", "MazeLayout", "as_layout", "random_goals", "random_layout"]

Cell = tuple[int, int]

BODY_ORIGIN = 1.2
"""World coordinate, in both axes, at which the observation is zero, cells."""
MOVES: tuple[Cell, ...] = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Steps to the four neighbours of a cell."""


@dataclass(frozen=True)
class MazeLayout:
    """
    A map of wall and free cells. Frozen, hashable, JSON-able.

    :param rows: one text per first index i, one character per second index j: ``#`` wall, ``.`` free; walls all around
    :param start: cell in which episodes start; free
    """

    rows: tuple[str, ...]
    start: Cell

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        object.__setattr__(self, "start", (int(self.start[0]), int(self.start[1])))
        if len(self.rows) < 3 or len(self.rows[0]) < 3 or len({len(row) for row in self.rows}) != 1:
            raise ValueError(f"A layout has 3 or more rows of one length >= 3, got {self.rows}")
        if unknown := set("".join(self.rows)) - {"#", "."}:
            raise ValueError(f"A layout consists of '#' and '.', got also {sorted(unknown)}")
        walls = self.walls
        if not (walls[0].all() and walls[-1].all() and walls[:, 0].all() and walls[:, -1].all()):
            raise ValueError("A layout has walls all around, got a free cell on its border")
        if not self.is_free(self.start):
            raise ValueError(f"The start is a free cell, got {self.start}")

    @cached_property
    def walls(self) -> npt.NDArray[np.bool_]:
        """True where a wall stands, (rows, columns); read-only."""
        walls = np.array([[character == "#" for character in row] for row in self.rows])
        walls.flags.writeable = False
        return walls

    @property
    def shape(self) -> tuple[int, int]:
        """Number of cells along i and j, borders included."""
        return len(self.rows), len(self.rows[0])

    def is_free(self, cell: Cell) -> bool:
        """Whether a cell lies on the map and is no wall."""
        i, j = cell
        return 0 <= i < self.shape[0] and 0 <= j < self.shape[1] and not self.walls[i, j]

    def reachable_cells(self, origin: Cell | None = None) -> list[Cell]:
        """Every cell that can be walked to, the origin included, in reading order. The origin defaults to the start."""
        return [(int(i), int(j)) for i, j in np.argwhere(self.distances(origin or self.start) >= 0)]

    def distances(self, origin: Cell) -> npt.NDArray[np.int64]:
        """
        Length of the shortest path over the four neighbours from every cell to ``origin``, in cells.

        :return: (rows, columns), -1 for walls and unreachable cells; read-only
        """
        return _distances(self, origin)

    def shortest_path(self, origin: Cell, goal: Cell, moves: Iterable[Cell] = MOVES) -> list[Cell]:
        """
        One of the shortest paths, both ends included.

        :param moves: the four moves in order of preference, where several paths are equally short
        :raises ValueError: when there is no path
        """
        distances = self.distances(goal)
        if not (self.is_free(origin) and distances[origin] >= 0):
            raise ValueError(f"There is no path from cell {origin} to cell {goal}")
        order = tuple(moves)
        path = [origin]
        while path[-1] != goal:
            i, j = path[-1]
            path.append(next((i + a, j + b) for a, b in order if distances[i + a, j + b] == distances[i, j] - 1))
        return path

    def require_goal(self, task: GoalTask) -> None:
        """
        :raises TaskError: when the goal lies in a wall, outside, or where no path leads
        """
        cell = cell_of(task.goal)
        if not self.is_free(cell):
            where = "in a wall" if 0 <= cell[0] < self.shape[0] and 0 <= cell[1] < self.shape[1] else "outside the maze"
            raise TaskError(f"Goal {task.goal} lies {where} (cell {cell}); expected a free cell that can be reached")
        if self.distances(self.start)[cell] < 0:
            raise TaskError(f"Goal {task.goal} (cell {cell}) cannot be reached from the start cell {self.start}")


def cell_of(position: tuple[float, float]) -> Cell:
    """The cell in which an observed (x, y) lies."""
    half = 0.5 + BODY_ORIGIN - 1.0
    return math.floor(position[0] + half), math.floor(position[1] + half)


@lru_cache(maxsize=4096)
def _distances(layout: MazeLayout, origin: Cell) -> npt.NDArray[np.int64]:
    distances = np.full(layout.shape, -1)
    if layout.is_free(origin):
        free = (~layout.walls).tolist()
        found = {origin: 0}
        queue = deque([origin])
        while queue:
            i, j = queue.popleft()
            for a, b in MOVES:
                neighbour = (i + a, j + b)
                if free[neighbour[0]][neighbour[1]] and neighbour not in found:
                    found[neighbour] = found[i, j] + 1
                    queue.append(neighbour)
        for cell, distance in found.items():
            distances[cell] = distance
    distances.flags.writeable = False
    return distances


PUBLISHED_LAYOUT = MazeLayout(
    rows=(
        "######################",
        "#............#...#...#",
        "#....#.#.....#...#...#",
        "#...##.####..#...#...#",
        "#....#.#.....#...#...#",
        "#............#..###..#",
        "#......#.#...#.......#",
        "#.######.#..###.###..#",
        "#......#.#......#....#",
        "#.#.#.......###.#....#",
        "#.#.####........#....#",
        "#.#.#...........#....#",
        "#..#....#.#....####..#",
        "#..#....#.######..#..#",
        "#..#....#.#....####..#",
        "#.###...........#.#..#",
        "#.........#.#....###.#",
        "#.###..####.###......#",
        "#..#......#.#....###.#",
        "#..#..............#..#",
        "#.................#..#",
        "######################",
    ),
    start=(10, 10),
)
"""The paper's maze: 20 x 20 cells and a border. Cells (13, 16), (13, 17), (15, 17) are enclosed."""


def random_layout(seed: int, size: int = 20, wall_fraction: float = 0.3) -> MazeLayout:
    """
    A maze of straight wall pieces in which every free cell can be reached from every other.

    :param seed: equal seeds give equal mazes
    :param size: cells along each side, borders excluded; at least 3
    :param wall_fraction: part of the inner cells to wall up; fewer when no more walls fit (published layout: 0.32)
    :return: a layout that starts in its middle cell
    """
    if size < 3 or not 0.0 <= wall_fraction < 1.0:
        raise ValueError(f"Expected size >= 3 and wall_fraction in [0, 1), got {size} and {wall_fraction}")
    rng = np.random.default_rng(seed)
    start = ((size + 1) // 2, (size + 1) // 2)
    walls = np.ones((size + 2, size + 2), dtype=bool)
    walls[1:-1, 1:-1] = False
    wanted = (size + 2) ** 2 - size**2 + int(wall_fraction * size**2)
    for _ in range(size * size):
        if walls.sum() >= wanted:
            break
        length = int(rng.integers(1, 6))
        i, j = (int(index) for index in rng.integers(1, size + 1, 2))
        piece = (slice(i, i + 1), slice(j, j + length)) if rng.integers(2) else (slice(i, i + length), slice(j, j + 1))
        proposal = walls.copy()
        proposal[piece] = True
        if _is_connected(proposal, start):
            walls = proposal
    return MazeLayout(tuple("".join("#" if wall else "." for wall in row) for row in walls), start)


def _is_connected(walls: npt.NDArray[np.bool_], start: Cell) -> bool:
    """Whether ``start`` is free and every free cell can be reached from it."""
    if walls[start]:
        return False
    free = {(int(i), int(j)) for i, j in np.argwhere(~walls)}
    stack = [start]
    free.discard(start)
    while stack:
        i, j = stack.pop()
        for a, b in MOVES:
            neighbour = (i + a, j + b)
            if neighbour in free:
                free.discard(neighbour)
                stack.append(neighbour)
    return not free


def random_goals(
    layout: MazeLayout, n: int, seed: int, min_distance: int = 5, exclude: Iterable[GoalTask] = ()
) -> tuple[GoalTask, ...]:
    """
    Distinct goals on free cells that can be reached.

    :param n: number of goals
    :param seed: equal seeds give equal goals
    :param min_distance: length of the shortest path from the start, at least; cells
    :param exclude: tasks whose cells are not drawn, for goals unlike the published ones
    :raises TaskError: when the maze has fewer such cells
    """
    taken = {cell_of(task.goal) for task in exclude}
    distances = layout.distances(layout.start)
    cells = [cell for cell in layout.reachable_cells() if distances[cell] >= min_distance and cell not in taken]
    if n > len(cells):
        raise TaskError(f"Asked for {n} goals at least {min_distance} cells from the start; the maze has {len(cells)}")
    chosen = np.random.default_rng(seed).choice(len(cells), size=n, replace=False)
    return tuple(GoalTask((float(cells[k][0]), float(cells[k][1]))) for k in chosen)


def as_layout(layout: str | MazeLayout | Mapping[str, float]) -> MazeLayout:
    """
    A layout from what a user types.

    :param layout: ``"published"``, a layout, or arguments of :func:`random_layout`: ``{"seed": 3, "size": 12}``
    :raises ValueError: for anything else
    """
    if isinstance(layout, MazeLayout):
        return layout
    if layout == "published":
        return PUBLISHED_LAYOUT
    if isinstance(layout, Mapping) and "seed" in layout and set(layout) <= {"seed", "size", "wall_fraction"}:
        return random_layout(int(layout["seed"]), int(layout.get("size", 20)), float(layout.get("wall_fraction", 0.3)))
    raise ValueError(f"Expected 'published', a MazeLayout or {{'seed': ..., 'size': ...}} as layout, got {layout!r}")
