"""Means over agents with 95 % intervals, from plain arrays."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Curve", "Estimate", "bootstrap_interval", "estimate"]

FloatArray = npt.NDArray[np.float64]

N_RESAMPLES = 10_000
RESAMPLING_SEED = 20220
TAILS = (0.025, 0.975)


class Estimate(NamedTuple):
    """A mean over agents and its 95 % interval; ``low`` and ``high`` are NaN for a single agent."""

    mean: float
    low: float
    high: float
    n_agents: int


class Curve(NamedTuple):
    """An estimate for each of N episodes: ``episodes`` (N,) int, and (N,) float each."""

    episodes: npt.NDArray[np.int64]
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def bootstrap_interval(values: FloatArray, tasks: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """
    95 % percentile interval of a bootstrap over agents, stratified by task.

    The unit is the agent (task × seed): episodes of one agent follow from one another and would make intervals too
    narrow. The tasks are a fixed, published list rather than a sample, so agents are drawn within each task; differences
    between tasks do not widen the interval. Each task with n agents gives n-1 draws with replacement (Rao and Wu, 1988):
    the variance of the resampled mean is then the unbiased s²/n, where n draws would give (n-1)/n of it, a third too
    little with three seeds. Percentiles respect the bounds of a success rate, which a normal interval does not. The
    resampling is seeded: equal values give equal intervals.

    Where a task has one agent only, its spread is unknown; all agents are then drawn from one pot (all but one), which
    counts the differences between tasks as well and is wider.

    Note: agents that share a meta-training (one seed) share its luck. Few seeds cannot tell how much, and the interval
    takes agents as independent; the report lists the mean of each seed beside it. And where all agents of each task
    agree, the interval has no width: n agents alike still leave room for about 3/n that are not.

    :param values: of each agent, (agents, ...)
    :param tasks: each agent's task, (agents,)
    :return: low and high, (...); NaN for a single agent
    """
    if len(tasks) == 1:
        return np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    weights = _resampling_weights(tuple(tasks))
    means = (weights @ values.reshape(len(values), -1)).round(12)  # 30 * (1/30) is 1
    low, high = np.quantile(means, TAILS, axis=0).reshape(2, *values.shape[1:])
    return low, high


@lru_cache(maxsize=16)
def _resampling_weights(tasks: tuple[str, ...]) -> FloatArray:
    """Weight of each agent in each resampled mean, (resamples, agents); every row sums to 1."""
    strata = [np.flatnonzero([task == name for task in tasks]) for name in sorted(set(tasks))]
    if min(len(stratum) for stratum in strata) == 1:
        strata = [np.arange(len(tasks))]
    rng = np.random.default_rng(RESAMPLING_SEED)
    weights = np.zeros((N_RESAMPLES, len(tasks)))
    for stratum in strata:
        n = len(stratum)
        draws = rng.multinomial(n - 1, np.full(n, 1 / n), size=N_RESAMPLES)
        weights[:, stratum] = draws / (n - 1) * n / len(tasks)
    weights.flags.writeable = False
    return weights


def estimate(values: FloatArray, tasks: Sequence[str]) -> Estimate:
    """
    :param values: of each agent, (agents,)
    :param tasks: each agent's task, (agents,)
    :return: their mean and its interval (:func:`bootstrap_interval`)
    """
    low, high = bootstrap_interval(values, tasks)
    return Estimate(float(values.mean()), float(low), float(high), len(values))
