"""
Intervals that resample every level on which chance entered: data and skills, meta-training, task, agent.

A *level* has units: skill models; the meta-trainings over each; the agents of each meta-training; and tasks, which are
crossed with all of these. A resample draws tasks, and units of the highest of the other levels that has several, with
replacement; what lies below a unit comes with it, so that its luck is part of what differs between units (the
pigeonhole bootstrap of Owen, 2007). Drawing the lower levels once more would count that luck several times: with three
skill models, ten tasks and three agents of each, intervals of 95 % then hold the true mean in 98 to 100 % of simulated
cases at 1.4 to 2.7 times the width that is needed; those of this module in 94 to 100 % at 1.1 to 1.7 times. Of n units
n-1 are drawn (Rao and Wu, 1988), so that few units do not make intervals too narrow. The spread of a level of one unit
is unknown, and in no interval.

Draws depend on the units' names alone: two methods on the same tasks and skill models are resampled together, which
makes their differences *paired* in both.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from simpl_sb3.results.estimates import TAILS, AgentEpisodes, Estimate

__all__ = [
    "LEVELS",
    "Profile",
    "Spread",
    "improvement",
    "interquartile_mean",
    "level_counts",
    "mean_over_levels",
    "paired_difference",
    "performance_profile",
    "skill_spread",
]

FloatArray = npt.NDArray[np.float64]
LEVELS = ("data and skills", "meta-training", "task", "agent")
N_RESAMPLES = 4_000
SEED = 20221
QUARTERS = (0.25, 0.75)


@dataclass(frozen=True, eq=False)
class Profile:
    """
    Shares of agents that reach at least a value.

    :param values: what has to be reached, (P,), rising
    :param share: of the agents, (P,)
    :param low: lower end of the 95 % interval, (P,)
    :param high: upper end, (P,)
    """

    values: FloatArray
    share: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Spread:
    """
    What skill models differ by.

    :param means: of each skill model's agents, by its name
    :param deviation: standard deviation of these means (n-1); NaN for a single one
    """

    means: dict[str, float]
    deviation: float


def level_counts(agents: AgentEpisodes) -> dict[str, int]:
    """How many units each of ``LEVELS`` has; of agents, the most that one meta-training has on one task."""
    cells = list(zip(agents.trainings, agents.tasks, strict=True))
    numbers = (len(set(agents.skills)), len(set(agents.trainings)), len(set(agents.tasks)), _most(cells))
    return dict(zip(LEVELS, numbers, strict=True))


def _most(cells: Sequence[tuple[str, str]]) -> int:
    return max(cells.count(cell) for cell in set(cells))


# ------------------------------------------------------------ resampling


def _draws(names: Sequence[str], *salt: str) -> FloatArray:
    """How often each unit counts in each resample, 1 on average, (resamples, names)."""
    n = len(names)
    if n == 1:
        return np.ones((N_RESAMPLES, 1))
    words = "\0".join((*salt, *names)).encode()
    rng = np.random.default_rng([SEED, zlib.crc32(words)])
    return rng.multinomial(n - 1, np.full(n, 1 / n), size=N_RESAMPLES) / (n - 1) * n


def _spread_over(units: Sequence[str], *salt: str) -> FloatArray:
    """The same for agents by the unit that each belongs to, (resamples, agents)."""
    names, index = np.unique(units, return_inverse=True)
    return _draws(tuple(map(str, names)), *salt)[:, index]


def resampled(agents: AgentEpisodes, name: str) -> FloatArray:
    """
    :param agents: with the skill model and meta-training of each
    :param name: of the line; agents of lines with other names are drawn independently
    :return: weight of each agent in each resample, (resamples, agents); rows sum to 1
    """
    return _weights(agents.tasks, agents.seeds, agents.skills, agents.trainings, name)


@lru_cache(maxsize=16)
def _weights(
    tasks: tuple[str, ...], seeds: tuple[int, ...], skills: tuple[str, ...], trainings: tuple[str, ...], name: str
) -> FloatArray:
    weights = _spread_over(tasks, "task")
    if len(set(skills)) > 1:
        weights = weights * _spread_over(skills, "skills")
    elif len(set(trainings)) > 1:
        weights = weights * _spread_over(trainings, "training", skills[0])
    else:
        weights = weights.copy()
        for task in dict.fromkeys(tasks):
            own = np.flatnonzero([each == task for each in tasks])
            weights[:, own] *= _spread_over([str(seeds[k]) for k in own], "agent", name, task)
    total = weights.sum(axis=1, keepdims=True)
    even = np.full((1, len(tasks)), 1 / len(tasks))
    weights = np.where(total > 0, weights / np.where(total > 0, total, 1.0), even)
    weights.flags.writeable = False
    return weights


def _interval(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    low, high = np.quantile(samples.round(12), TAILS, axis=0)
    return low, high


def _estimate(
    agents: AgentEpisodes, values: FloatArray, name: str, statistic: Callable[[FloatArray, FloatArray], FloatArray]
) -> Estimate:
    """A statistic (values, weights of each resample) -> (resamples,), with its interval."""
    n = len(values)
    found = float(statistic(values, np.full((1, n), 1 / n))[0])
    if n == 1:
        return Estimate(found, np.nan, np.nan, 1)
    low, high = _interval(statistic(values, resampled(agents, name)))
    return Estimate(found, float(low), float(high), n)


# ------------------------------------------------------------ one line


def mean_over_levels(agents: AgentEpisodes, values: FloatArray, name: str) -> Estimate:
    """
    :param values: of each agent, (agents,)
    :param name: of the line
    :return: their mean, with the interval of this module
    """
    return _estimate(agents, values, name, lambda found, weights: weights @ found)


def interquartile_mean(agents: AgentEpisodes, values: FloatArray, name: str) -> Estimate:
    """
    The mean of the middle half of all agents (Agarwal et al., 2021): neither the best nor the worst quarter counts.
    """
    return _estimate(agents, values, name, _middle)


def _middle(values: FloatArray, weights: FloatArray) -> FloatArray:
    order = np.argsort(values, kind="stable")
    weights, (low, high) = weights[:, order], QUARTERS
    ends = np.cumsum(weights, axis=1)
    inside = np.clip(ends, low, high) - np.clip(ends - weights, low, high)
    middle: FloatArray = inside @ values[order] / (high - low)
    return middle


def performance_profile(agents: AgentEpisodes, values: FloatArray, name: str, at: FloatArray) -> Profile:
    """
    :param at: values to be reached, (P,)
    :return: for each, the share of agents at or above it
    """
    reached = (values[:, None] >= at[None, :] - 1e-9).astype(float)  # (agents, P)
    low, high = _interval(resampled(agents, name) @ reached)
    return Profile(at, reached.mean(axis=0), low, high)


def skill_spread(agents: AgentEpisodes, values: FloatArray) -> Spread:
    """The mean of each skill model's agents, and how much these means differ."""
    own = np.array(agents.skills)
    means = {skill: float(values[own == skill].mean()) for skill in dict.fromkeys(agents.skills)}
    deviation = float(np.std(list(means.values()), ddof=1)) if len(means) > 1 else float("nan")
    return Spread(means, deviation)


# ------------------------------------------------------------ two lines


def _on_shared_tasks(agents: AgentEpisodes, values: FloatArray, shared: set[str]) -> tuple[AgentEpisodes, FloatArray]:
    kept = [index for index, task in enumerate(agents.tasks) if task in shared]
    return agents.only(kept), values[kept]


Line = tuple[AgentEpisodes, FloatArray, str]
"""Agents, one value of each, (agents,), and the name of the line."""


def paired_difference(first: Line, second: Line) -> Estimate | None:
    """
    The mean of the first line less that of the second, on the tasks that both have.

    :return: with its interval; None where they share no task
    """
    sides = _sides(first, second)
    if sides is None:
        return None
    (one, x, _), (two, y, _) = sides
    samples = [resampled(agents, name) @ values for agents, values, name in sides]
    low, high = _interval(samples[0] - samples[1])
    return Estimate(float(x.mean() - y.mean()), float(low), float(high), len(one.tasks) + len(two.tasks))


def improvement(first: Line, second: Line) -> Estimate | None:
    """
    The probability that an agent of the first line does better than one of the second on a task that both have, ties
    counted half (Mann and Whitney), as the mean over tasks (Agarwal et al., 2021).

    :return: with its interval; None where they share no task
    """
    sides = _sides(first, second)
    if sides is None:
        return None
    (one, x, _), (two, y, _) = sides
    better = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])  # (agents, agents)
    drawn = [resampled(agents, name) for agents, _, name in sides]
    even = [np.full((1, len(agents.tasks)), 1 / len(agents.tasks)) for agents, _, _ in sides]
    tasks = [np.array(agents.tasks) for agents, _, _ in sides]
    low, high = _interval(_better(better, tasks, drawn))
    return Estimate(float(_better(better, tasks, even)[0]), float(low), float(high), len(one.tasks) + len(two.tasks))


def _better(better: FloatArray, tasks: Sequence[npt.NDArray[np.str_]], weights: Sequence[FloatArray]) -> FloatArray:
    """The probability of each resample, (resamples,): tasks count as often as they were drawn for both."""
    total, counted = np.zeros(len(weights[0])), np.zeros(len(weights[0]))
    for task in np.unique(tasks[0]):
        rows, columns = tasks[0] == task, tasks[1] == task
        left, right = weights[0][:, rows], weights[1][:, columns]
        both = left.sum(axis=1) * right.sum(axis=1)
        share = np.einsum("ri,ij,rj->r", left, better[np.ix_(rows, columns)], right, optimize=True)
        drawn = np.sqrt(both)
        total += np.where(both > 0, share / np.where(both > 0, both, 1.0), 0.0) * drawn
        counted += drawn
    known: FloatArray = np.where(counted > 0, total / np.where(counted > 0, counted, 1.0), 0.5)
    return known


def _sides(first: Line, second: Line) -> list[Line] | None:
    shared = set(first[0].tasks) & set(second[0].tasks)
    if not shared:
        return None
    return [(*_on_shared_tasks(agents, values, shared), name) for agents, values, name in (first, second)]
