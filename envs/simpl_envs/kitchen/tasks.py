"""Tasks of the kitchen as plain data, the rule by which subtasks are complete, the published task sets. numpy only."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simpl_envs.errors import TaskError

__all__ = [
    "KITCHEN_TASK_SETS",
    "SEQUENCE_LENGTH",
    "SUBTASKS",
    "SUBTASK_GOALS",
    "SUBTASK_RADIUS",
    "SubtaskSequence",
    "completed_subtasks",
]

FloatArray = npt.NDArray[np.floating[Any]]

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
"""Subtasks of a task."""


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

    The published reward: 1 for a subtask once it is complete and everything before it in the sequence has been
    rewarded. One that is complete early is rewarded as soon as its turn comes, so one step may earn more than 1;
    undoing a rewarded one costs nothing. The fourth ends the episode.

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

    def count_rewarded(self, complete: npt.NDArray[np.bool_], n_rewarded: int = 0) -> npt.NDArray[np.int64]:
        """
        How many subtasks have been rewarded after each observation.

        :param complete: (L, 7) bool, of :func:`~simpl_envs.kitchen.tasks.completed_subtasks`
        :param n_rewarded: rewarded before the first of them
        :return: (L,) int
        """
        counts = np.empty(len(complete), dtype=np.int64)
        for step, row in enumerate(complete):
            while n_rewarded < len(self.subtasks) and row[self.subtasks[n_rewarded]]:
                n_rewarded += 1
            counts[step] = n_rewarded
        return counts

    def count_paid(self, complete: npt.NDArray[np.bool_], n_paid: int = 0) -> npt.NDArray[np.int64]:
        """The former name of :meth:`count_rewarded`."""
        return self.count_rewarded(complete, n_paid)

    def rewards(self, observations: FloatArray) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """
        What a trajectory earns under this task, from its observations alone.

        :param observations: (L, 60), those that follow each of L env steps (the start is not among them)
        :return: rewards (L,) float32, terminated (L,) bool; entries after the first True are meaningless
        """
        counts = self.count_rewarded(completed_subtasks(observations))
        return np.diff(counts, prepend=0).astype(np.float32), counts == len(self.subtasks)

    def completion_steps(self, observations: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """
        When a trajectory completed what, asked for or not; env steps count from 1, and 0 means never.

        :param observations: (L, 60), as in :meth:`rewards`
        :return: the step after which each of all subtasks was first complete, (7,); the step that rewarded each asked
            one, in the order asked, (4,)
        """
        complete = completed_subtasks(observations)
        rewarded = self.count_rewarded(complete)[:, None] > np.arange(len(self.subtasks))
        return _first_steps(complete), _first_steps(rewarded)


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
