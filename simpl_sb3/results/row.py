"""One row: an episode of one agent. And what rows of one file must have in common."""

import dataclasses
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Self

from simpl_sb3.errors import ResultsError

__all__ = ["COLUMNS", "MAX_EPISODE", "EpisodeRow", "check_method", "check_rows", "check_text"]

COLUMNS = ("method", "preset", "env", "task_set", "task", "seed", "episode", "env_steps", "return", "success")
"""The columns of rows, in order."""
METHOD = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*")
MAX_EPISODE = 1_000_000
"""Largest number of an episode."""
MAX_TEXT = 200
LARGEST_RETURN = 1e15


def check_method(name: object) -> None:
    """
    :raises ResultsError: for a name of a method that is more than letters, digits, and - or _ between them
    """
    if not isinstance(name, str) or len(name) > MAX_TEXT or not METHOD.fullmatch(name):
        raise ResultsError(f"method is {name!r}; expected letters and digits, with - or _ between them: pearl-ft")


def check_text(name: str, text: object) -> None:
    """
    :param name: what the text is, for messages
    :raises ResultsError: for anything but printable text, neither empty nor very long
    """
    if not (isinstance(text, str) and text.strip() and text.isprintable() and len(text) <= MAX_TEXT):
        raise ResultsError(f"{name} is {text!r:.300}; expected printable text of 1 to {MAX_TEXT} characters")


@dataclasses.dataclass(frozen=True, slots=True)
class EpisodeRow:
    """
    One episode of one agent. Checks its own values.

    :param method: its name, letters and digits with - or _ between them
    :param preset: name of the settings
    :param env: id of the environment
    :param task_set: name of the tasks evaluated on
    :param task: name of the task, without commas: ``12-7``, ``5021``
    :param seed: of the meta-training or, without one, of the agent
    :param episode: from 1, those that explore included
    :param env_steps: of this agent up to the end of this episode, env steps
    :param episode_return: of this episode, by the acting (stochastic) policy; the CSV's column ``return``
    :param success: 0 or 1
    :raises ResultsError: for any other value
    """

    method: str
    preset: str
    env: str
    task_set: str
    task: str
    seed: int
    episode: int
    env_steps: int
    episode_return: float
    success: int

    def __post_init__(self) -> None:
        check_method(self.method)
        for name in ("preset", "env", "task_set", "task"):
            text = getattr(self, name)
            check_text(name, text)
            if set(text) & set(',"'):
                raise ResultsError(f"{name} is {text!r}; expected text without commas, quotes and line ends")
        limits = (("seed", 0, 2**63 - 1), ("episode", 1, MAX_EPISODE), ("env_steps", 1, 2**63 - 1))
        for name, least, most in limits:
            number = getattr(self, name)
            if not isinstance(number, Integral) or isinstance(number, bool) or not least <= int(number) <= most:
                raise ResultsError(f"{name} is {number!r}; expected a whole number from {least} to {most}")
            object.__setattr__(self, name, int(number))
        reward = self.episode_return
        if not isinstance(reward, Real) or not math.isfinite(reward) or abs(reward) > LARGEST_RETURN:
            raise ResultsError(f"return is {reward!r}; expected a finite number up to {LARGEST_RETURN:g}")
        object.__setattr__(self, "episode_return", float(reward))
        if self.success not in (0, 1):
            raise ResultsError(f"success is {self.success!r}; expected 0 or 1")
        object.__setattr__(self, "success", int(self.success))

    @classmethod
    def from_cells(cls, cells: Sequence[str]) -> Self:
        """
        :param cells: texts in the order of ``COLUMNS``
        :raises ResultsError: when they are not such a row
        """
        if len(cells) != len(COLUMNS):
            raise ResultsError(f"{len(cells)} values; expected {len(COLUMNS)}: {', '.join(COLUMNS)}")
        numbers: list[float] = []
        for name, kind, cell in zip(COLUMNS[5:], (int, int, int, float, int), cells[5:], strict=True):
            try:
                numbers.append(kind(cell))
            except ValueError:
                raise ResultsError(f"{name} is {cell!r:.300}; expected a{' whole' * (kind is int)} number") from None
        return cls(*cells[:5], *numbers)  # type: ignore[arg-type]

    @property
    def agent(self) -> tuple[str, ...]:
        """What tells this row's agent from every other in its file."""
        return (self.method, self.preset, self.env, self.task_set, self.task, str(self.seed))


def check_rows(rows: Iterable[EpisodeRow]) -> None:
    """
    :param rows: of any number of agents
    :raises ResultsError: there are none, an agent has an episode twice, or its ``env_steps`` do not grow
    """
    agents: dict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
    for row in rows:
        steps = agents[row.agent]
        if row.episode in steps:
            raise ResultsError(f"episode {row.episode} of agent {' '.join(row.agent)} is there twice; expected once")
        steps[row.episode] = row.env_steps
    if not agents:
        raise ResultsError("no rows; expected at least one episode")
    for agent, steps in agents.items():
        counts = [steps[episode] for episode in sorted(steps)]
        if any(later <= earlier for earlier, later in itertools.pairwise(counts)):
            raise ResultsError(
                f"env_steps of agent {' '.join(agent)} do not grow from episode to episode; they are cumulative"
            )
