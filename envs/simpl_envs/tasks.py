"""Tasks as plain data, the published task sets, and the reward of a trajectory under any task. numpy only."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from simpl_envs.errors import TaskError

__all__ = [
    "KITCHEN_TASK_SETS",
    "MAZE_TASK_SETS",
    "SUBTASKS",
    "SUBTASK_GOALS",
    "GoalTask",
    "SubtaskSequence",
    "Task",
    "completed_subtasks",
    "goal_reached",
]

FloatArray = npt.NDArray[np.floating[Any]]


@runtime_checkable
class Task(Protocol):
    """What an agent is asked to do, as data: frozen, hashable, and JSON-able through ``dataclasses.asdict``."""

    @property
    def name(self) -> str:
        """The task as text without commas, such as ``12-7``; equal names mean equal tasks."""
        ...

    def rewards(self, observations: FloatArray) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """
        Rewards that a trajectory would have earned under this task. A pure function.

        :param observations: the observations that *follow* each of L env steps (the start excluded), (L, O)
        :return: rewards (L,) and whether each step terminates the episode (L,); whatever stands after the first
            ``True`` has no meaning
        """
        ...


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


SUBTASKS = ("bottom burner", "top burner", "light switch", "slide cabinet", "hinge cabinet", "microwave", "kettle")
"""Names of the kitchen's subtasks; a subtask is its index here."""
SUBTASK_GOALS: tuple[dict[int, float], ...] = (
    {11: -0.88, 12: -0.01},
    {15: -0.92, 16: -0.01},
    {17: -0.69, 18: -0.05},
    {19: 0.37},
    {20: 0.0, 21: 1.45},
    {22: -0.75},
    {23: -0.23, 24: 0.75, 25: 1.62, 26: 0.99, 27: 0.0, 28: 0.0, 29: -0.06},
)
"""Goal position of each subtask: index in the observation -> value (rad, m, quaternion); the published numbers."""
SUBTASK_RADIUS = 0.3
"""A subtask is complete while its object is closer to the goal than this, in the Euclidean norm over mixed units."""
SEQUENCE_LENGTH = 4


def completed_subtasks(observations: FloatArray) -> npt.NDArray[np.bool_]:
    """
    Which subtasks are complete in each observation, whatever the task: the published rule, as a pure function.

    :param observations: (L, 60), or (L, >= 30) whose first 30 are positions
    :return: (L, 7) bool
    """
    positions = np.asarray(observations, dtype=np.float64)
    complete = np.empty((len(positions), len(SUBTASKS)), dtype=bool)
    for subtask, goal in enumerate(SUBTASK_GOALS):
        squares = np.zeros(len(positions))
        for index, value in goal.items():  # summed one by one: the same bits for one observation as for a batch
            squares += (positions[:, index] - value) ** 2
        complete[:, subtask] = squares < SUBTASK_RADIUS**2
    return complete


@dataclass(frozen=True)
class SubtaskSequence:
    """
    A kitchen task: four different subtasks, to be completed in order.

    The published reward: a subtask pays 1 once it is complete and everything before it in the sequence has been paid.
    One that is complete early is paid as soon as its turn comes, so a step may pay several; undoing a paid one costs
    nothing. The fourth ends the episode.

    :param subtasks: four different indices into ``SUBTASKS``
    :raises TaskError: another length, an unknown or a repeated subtask
    """

    subtasks: tuple[int, ...]
    subtask_names: ClassVar[tuple[str, ...]] = SUBTASKS

    def __post_init__(self) -> None:
        given = tuple(self.subtasks)
        numbers = [s for s in given if isinstance(s, int | np.integer) and not isinstance(s, bool)]
        unknown = [s for s in given if s not in numbers or not 0 <= s < len(SUBTASKS)]
        if len(given) != SEQUENCE_LENGTH or unknown or len(set(given)) != len(given):
            legend = ", ".join(f"{subtask} {name}" for subtask, name in enumerate(SUBTASKS))
            flaw = f"unknown {unknown!r}" if unknown else f"{len(given)} of them, {len(set(given))} different"
            raise TaskError(f"Expected {SEQUENCE_LENGTH} different subtasks among {legend}; got {given!r}: {flaw}")
        object.__setattr__(self, "subtasks", tuple(int(s) for s in given))

    @classmethod
    def from_name(cls, name: str) -> "SubtaskSequence":
        """
        :param name: the subtasks' digits in order, such as "5021"
        :return: the task
        :raises TaskError: the name is not four different digits from 0 to 6
        """
        if not isinstance(name, str) or not (name.isascii() and name.isdigit()):
            raise TaskError(f"Expected {SEQUENCE_LENGTH} different digits from 0 to 6, such as '5021', got {name!r}")
        return cls(tuple(int(digit) for digit in name))

    @property
    def name(self) -> str:
        """The subtasks' digits in order: "5021"."""
        return "".join(str(s) for s in self.subtasks)

    def count_paid(self, complete: npt.NDArray[np.bool_], n_paid: int = 0) -> npt.NDArray[np.int64]:
        """
        How many subtasks have been paid after each observation.

        :param complete: (L, 7) bool, of :func:`completed_subtasks`
        :param n_paid: paid before the first of them
        :return: (L,) int
        """
        counts = np.empty(len(complete), dtype=np.int64)
        for step, row in enumerate(complete):
            while n_paid < len(self.subtasks) and row[self.subtasks[n_paid]]:
                n_paid += 1
            counts[step] = n_paid
        return counts

    def rewards(self, observations: FloatArray) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """
        What a trajectory earns under this task, from its observations alone.

        :param observations: (L, 60), those that follow each of L env steps (the start is not among them)
        :return: rewards (L,) float32, terminated (L,) bool; entries after the first True are meaningless
        """
        counts = self.count_paid(completed_subtasks(observations))
        return np.diff(counts, prepend=0).astype(np.float32), counts == len(self.subtasks)

    def completion_steps(self, observations: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """
        When a trajectory completed what, asked for or not; env steps count from 1, and 0 means never.

        :param observations: (L, 60), as in :meth:`rewards`
        :return: the step after which each of all subtasks was first complete, (7,); the step that paid each asked one,
            in the order asked, (4,)
        """
        complete = completed_subtasks(observations)
        paid = self.count_paid(complete)[:, None] > np.arange(len(self.subtasks))
        return _first_steps(complete), _first_steps(paid)


def _first_steps(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Of each column of (L, K) flags, the first that is set, counted from 1; 0 for none."""
    return np.array([int(column.argmax()) + 1 if column.any() else 0 for column in flags.T], dtype=np.int64)


def _sequences(names: str) -> tuple[SubtaskSequence, ...]:
    return tuple(SubtaskSequence.from_name(name) for name in names.split())


KITCHEN_TASK_SETS: dict[str, tuple[SubtaskSequence, ...]] = {
    "train": _sequences(
        "5603 5013 5124 6024 5041 6123 5630 6230 5601 5634 5031 6021"
        " 5612 5624 5023 6012 5234 5014 6034 0132 5623 6014 0123"
    ),
    "target": _sequences("5021 5012 6023 5614 6031 6234 6013 5034 0134 5604"),
}
"""The published task sets: 23 to train on, and 10 target tasks that are none of them."""
