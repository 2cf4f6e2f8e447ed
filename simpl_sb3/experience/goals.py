"""``Goals``: how a task is shown to a policy as numbers, and what of an observation reaches it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Goals"]


@dataclass(frozen=True, kw_only=True)
class Goals:
    """
    What a goal-conditioned method has to know of a domain whose tasks are goals: reaching one is rewarded with 1 and
    ends the episode, anything else with 0.

    :param goal: a task as numbers, (G,)
    :param achieved: the goals that observations (N, O) stand for, (N, G)
    :param reached: whether achieved goals (N, G) are those that were asked for, (N, G): (N,) bool. It is the formula of
        the task's own rewards
    """

    goal: Callable[[Any], np.ndarray]
    achieved: Callable[[np.ndarray], np.ndarray]
    reached: Callable[[np.ndarray, np.ndarray], np.ndarray]
