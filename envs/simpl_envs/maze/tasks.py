"""Tasks of the maze as plain data, and the published task sets. numpy only."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simpl_envs.errors import TaskError

__all__ = ["MAZE_TASK_SETS", "GoalTask", "goal_reached"]

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class GoalTask:
    """
    Reach a place in a maze: reward 1 and the end of the episode within ``radius`` of the goal, else 0.

    :param goal: (x, y) in observation coordinates, cells
    :param radius: largest distance that counts as reached, cells
    """

    goal: tuple[float, float]
    radius: float = 1.0

    def __post_init__(self) -> None:
        try:
            x, y = (float(coordinate) for coordinate in self.goal)
            radius = float(self.radius)
        except (TypeError, ValueError):
            raise TaskError(f"A goal is a pair of numbers with a radius, got {self.goal!r}, {self.radius!r}") from None
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(radius) and radius > 0):
            raise TaskError(f"A goal is finite and its radius positive, got {self.goal!r}, {self.radius!r}")
        object.__setattr__(self, "goal", (x, y))
        object.__setattr__(self, "radius", radius)

    @property
    def name(self) -> str:
        """``12-7``; another radius than 1 is appended: ``12-7-r0.5``."""
        place = "-".join(_number(coordinate) for coordinate in self.goal)
        return place if self.radius == 1.0 else f"{place}-r{_number(self.radius)}"

    def rewards(self, observations: FloatArray) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """
        :param observations: (L, O) with x and y first
        :return: rewards (L,), terminated (L,)
        """
        reached = goal_reached(observations, np.asarray(self.goal), np.asarray(self.radius))
        return reached.astype(np.float32), reached


def goal_reached(observations: FloatArray, goals: FloatArray, radii: FloatArray) -> npt.NDArray[np.bool_]:
    """
    Whether each observation lies within its radius of its goal: one formula, in float64, for one task or many.

    :param observations: x and y first, (B, O)
    :param goals: cells, (2,) or (B, 2)
    :param radii: cells, () or (B,)
    :return: (B,)
    """
    offset = observations[:, :2].astype(np.float64) - goals
    reached: npt.NDArray[np.bool_] = offset[:, 0] * offset[:, 0] + offset[:, 1] * offset[:, 1] <= radii * radii
    return reached


def _number(value: float) -> str:
    """Shortest text that reads back as the same number: ``12``, ``0.5``."""
    return str(int(value)) if value == int(value) else repr(value)


def _goals(cells: Iterable[tuple[int, int]]) -> tuple[GoalTask, ...]:
    return tuple(GoalTask((float(i), float(j))) for i, j in cells)


_EASY = ((3, 11), (4, 8), (4, 9), (5, 8), (7, 8))
_TRAIN_40 = (
    *((8, 2), (19, 19), (8, 6), (5, 11), (14, 2), (2, 4), (9, 6), (15, 20), (6, 14), (7, 19)),
    *((11, 8), (9, 19), (11, 6), (19, 5), (14, 6), (20, 5), (11, 18), (2, 6), (18, 16), (17, 16)),
    *((4, 4), (4, 18), (12, 9), (14, 1), (14, 4), (12, 19), (4, 8), (4, 12), (18, 5), (10, 8)),
    *((12, 5), (20, 2), (6, 15), (1, 16), (18, 2), (19, 12), (4, 10), (6, 18), (3, 2), (15, 9)),
)
_TRAIN_20 = (
    *((12, 13), (8, 20), (14, 7), (18, 15), (14, 12), (1, 11), (15, 15), (20, 6), (18, 4), (6, 14)),
    *((5, 10), (6, 15), (14, 9), (3, 14), (12, 19), (12, 4), (2, 11), (19, 13), (8, 18), (18, 5)),
)
_TARGET = ((12, 7), (1, 19), (5, 12), (2, 8), (5, 19), (19, 11), (11, 20), (7, 8), (15, 19), (20, 16))
_TRAIN_TOP = ((3, 20), (2, 18), (10, 19), (6, 18), (20, 19), (1, 20), (1, 18), (2, 20), (12, 20), (15, 20))
_TARGET_TOP = ((5, 19), (13, 19), (11, 19), (17, 17), (9, 19), (2, 19), (1, 19), (8, 17), (3, 19), (9, 18))
_TARGET_BOTTOM = ((4, 3), (13, 2), (11, 3), (12, 1), (20, 2), (1, 1), (9, 3), (7, 1), (1, 2), (14, 1))

MAZE_TASK_SETS: dict[str, tuple[GoalTask, ...]] = {
    "train-40": _goals(_TRAIN_40),
    "train-20": _goals(_TRAIN_20),
    "train-10": _goals(_TRAIN_20[:10]),
    "target": _goals(_TARGET),
    "train-top": _goals(_TRAIN_TOP),
    "target-top": _goals(_TARGET_TOP),
    "target-bottom": _goals(_TARGET_BOTTOM),
    "easy": _goals(_EASY),
    "medium": _goals((*_EASY, (8, 5), (8, 13), (13, 5), (14, 7), (15, 7))),
    "hard": _goals(_TRAIN_20[:10]),
}
"""The paper's task sets on the published layout, by name."""
