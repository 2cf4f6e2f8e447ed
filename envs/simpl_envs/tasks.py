"""What a task is, for every environment: data with a name and a reward function. numpy only."""

from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["Task"]

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


_HOMES = {
    **dict.fromkeys(("MAZE_TASK_SETS", "GoalTask", "goal_reached"), "simpl_envs.maze.tasks"),
    **dict.fromkeys(
        ("KITCHEN_TASK_SETS", "SEQUENCE_LENGTH", "SUBTASKS", "SUBTASK_GOALS", "SUBTASK_RADIUS", "SubtaskSequence"),
        "simpl_envs.kitchen.tasks",
    ),
    "completed_subtasks": "simpl_envs.kitchen.tasks",
}
"""Names that stood here before each domain had its own tasks, and where they stand now; still found here."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
