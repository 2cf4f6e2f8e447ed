"""The kinds of traces that episodes leave for pictures; a report draws each kind in its own way."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from simpl_sb3.errors import ResultsError
from simpl_sb3.results.row import MAX_EPISODE, check_method

__all__ = ["Completions", "Trace", "Trajectory"]

LARGEST = 1e6
"""Largest coordinate and radius."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """
    The path of one episode in a plane. Checks its own shapes.

    :param method: as in the rows, such as ``simpl``
    :param task: name of the task
    :param seed: as in the rows
    :param episode: from 1
    :param success: whether it reached the goal
    :param goal: centre of the goal, observed coordinates
    :param positions: observed (x, y), start included, (L + 1, 2)
    :param radius: of the goal
    :raises ResultsError: for a method that is no name, other shapes, NaN, or numbers too large to draw
    """

    method: str
    task: str
    seed: int
    episode: int
    success: bool
    goal: tuple[float, float]
    positions: npt.NDArray[np.float32]
    radius: float = 1.0

    def __post_init__(self) -> None:
        _check_whose("a trajectory", self.method, self.episode)
        positions = np.asarray(self.positions, dtype=np.float32)
        if positions.ndim != 2 or positions.shape[1] != 2 or not len(positions) or not np.isfinite(positions).all():
            raise ResultsError(
                f"positions of shape {positions.shape} for task {self.task}; expected finite numbers, (L + 1, 2)"
            )
        place = np.array([*self.goal, self.radius, np.abs(positions).max()], dtype=float)
        if len(self.goal) != 2 or not (np.isfinite(place) & (np.abs(place) <= LARGEST)).all() or self.radius <= 0:
            raise ResultsError(
                f"goal {self.goal}, radius {self.radius} and positions up to {place[-1]:g} for task {self.task}; "
                f"expected numbers up to {LARGEST:g}, and a radius above 0"
            )
        object.__setattr__(self, "positions", positions)


@dataclass(frozen=True, eq=False)
class Completions:
    """
    Which subtasks one episode completed, and when. Checks its own shapes. Env steps count from 1; 0 means never.

    :param method: as in the rows, such as ``simpl``
    :param task: name of the task
    :param seed: as in the rows
    :param episode: from 1
    :param asked: the subtasks in the order asked, as indices, (P,)
    :param rewarded: env step that rewarded each of them, (P,)
    :param completed: env step after which each of all subtasks was first complete, asked for or not, (S,)
    :raises ResultsError: for a method that is no name, other shapes, or steps that contradict each other
    """

    method: str
    task: str
    seed: int
    episode: int
    asked: tuple[int, ...]
    rewarded: npt.NDArray[np.int64]
    completed: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_whose("completions", self.method, self.episode)
        asked = tuple(int(subtask) for subtask in self.asked)
        rewarded, completed = (np.asarray(steps, dtype=np.int64) for steps in (self.rewarded, self.completed))
        if rewarded.shape != (len(asked),) or completed.ndim != 1 or not all(0 <= k < len(completed) for k in asked):
            raise ResultsError(
                f"completions of task {self.task}: {asked} asked, {rewarded.shape} rewarded, {completed.shape} "
                "complete; expected a step for each one asked, (P,), and for each one there is, (S,)"
            )
        n_rewarded = int((rewarded > 0).sum())
        turns, firsts = rewarded[:n_rewarded], completed[list(asked[:n_rewarded])]
        in_order = not (rewarded[n_rewarded:] != 0).any() and not (np.diff(turns) < 0).any()
        if not in_order or not firsts.all() or (turns < firsts).any():
            raise ResultsError(
                f"completions of task {self.task}: rewarded at {rewarded.tolist()}, complete at {completed.tolist()}; "
                "expected steps that grow, none before its subtask was complete, and 0 from the first unrewarded one on"
            )
        for name, value in (("asked", asked), ("rewarded", rewarded), ("completed", completed)):
            object.__setattr__(self, name, value)

    @property
    def order(self) -> tuple[int, ...]:
        """The subtasks that were completed, in the order they first were."""
        done = np.flatnonzero(self.completed)
        return tuple(int(subtask) for subtask in done[np.argsort(self.completed[done], kind="stable")])


Trace: TypeAlias = Trajectory | Completions
"""The kinds of traces; a report draws each in its own way."""


def _check_whose(what: str, method: str, episode: int) -> None:
    check_method(method)
    if not 1 <= episode <= MAX_EPISODE:
        raise ResultsError(f"{what} of episode {episode}; expected an episode from 1 to {MAX_EPISODE}")
