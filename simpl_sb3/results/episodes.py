"""One episode as rows and traces need it, whatever method lived through it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["EpisodeSummary", "Whose"]


class Whose(NamedTuple):
    """
    Whose episode it is.

    :param method: as in the rows
    :param task: the task's name
    :param seed: as in the rows
    :param episode: from 1
    """

    method: str
    task: str
    seed: int
    episode: int


@dataclass(frozen=True, eq=False)
class EpisodeSummary:
    """
    :param episode_return: sum of the rewards
    :param success: whether the environment called it a success
    :param env_steps: length L, env steps
    :param observations: before the first and after every env step, (L + 1, O); None where they were not recorded
    """

    episode_return: float
    success: bool
    env_steps: int
    observations: npt.NDArray[np.floating[Any]] | None = None
