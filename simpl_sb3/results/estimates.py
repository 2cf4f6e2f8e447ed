"""
Means over agents with 95 % intervals, from plain arrays.

An *agent* is one task with one seed; its episodes are counted from 1, those that explore included.
"At episode N" is the mean of episodes N-4 to N+5, except that "at 20" is 21 to 30, the first ten after exploring.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simpl_sb3.errors import ResultsError

__all__ = [
    "AgentEpisodes",
    "Curve",
    "Estimate",
    "ResultsError",
    "bootstrap_interval",
    "episodes_at",
    "estimate",
    "learning_curve",
]

FloatArray = npt.NDArray[np.float64]

N_RESAMPLES = 10_000
MAX_POINTS = 1_000
"""Of a learning curve."""
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


@dataclass(frozen=True, eq=False)
class AgentEpisodes:
    """
    One number per agent and episode, agents ordered by task and seed.

    :param tasks: each agent's task, (agents,)
    :param seeds: each agent's seed, (agents,)
    :param values: column k is episode k+1, NaN where an agent has none, (agents, episodes)
    :param skills: name of the data and skill model that each comes from, (agents,); one for all where nothing is known
    :param trainings: name of the meta-training that each comes from, (agents,); each seed's own where nothing is known
    """

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    values: npt.NDArray[np.float64]
    skills: tuple[str, ...] = ()
    trainings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.skills:
            object.__setattr__(self, "skills", ("",) * len(self.tasks))
        if not self.trainings:
            object.__setattr__(self, "trainings", tuple(map(str, self.seeds)))

    def only(self, agents: Sequence[int]) -> "AgentEpisodes":
        """
        :param agents: which of them, by index
        """
        tasks, skills, trainings = (
            tuple(names[k] for k in agents) for names in (self.tasks, self.skills, self.trainings)
        )
        seeds = tuple(self.seeds[k] for k in agents)
        return AgentEpisodes(tasks, seeds, self.values[list(agents)], skills, trainings)

    def at(self, episode: int) -> npt.NDArray[np.float64]:
        """
        :param episode: N
        :return: each agent's mean over the episodes that "at episode N" means, (agents,)
        :raises ResultsError: an agent lacks one of them
        """
        window = episodes_at(episode)
        values = self.values[:, window.start - 1 : window.stop - 1]
        missing = np.isnan(values).any(axis=1) | (values.shape[1] < len(window))
        if missing.any():
            first = int(np.flatnonzero(missing)[0])
            raise ResultsError(
                f"task {self.tasks[first]} seed {self.seeds[first]} lacks episodes; "
                f"expected {window.start} to {window.stop - 1} for the value at episode {episode}"
            )
        return values.mean(axis=1)

    def last(self, count: int) -> npt.NDArray[np.float64]:
        """
        :param count: of episodes, at least 1
        :return: each agent's mean over its last episodes, however many it has, (agents,)
        """
        return np.array([row[~np.isnan(row)][-count:].mean() for row in self.values])

    def has(self, episode: int) -> bool:
        """Whether every agent has the episodes that "at episode N" means."""
        try:
            self.at(episode)
        except ResultsError:
            return False
        return True


def episodes_at(episode: int) -> range:
    """
    The ten episodes that "at episode N" means: N-4 to N+5, and 21 to 30 at 20.

    :raises ResultsError: N < 5, which has no such ten episodes
    """
    if episode < 5:
        raise ResultsError(f"asked for the value at episode {episode}; expected 5 or more, as it needs 4 before it")
    return range(21, 31) if episode == 20 else range(episode - 4, episode + 6)


def bootstrap_interval(values: FloatArray, tasks: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """
    95 % percentile interval of a bootstrap over agents, stratified by task.

    The unit is the agent (task × seed): episodes of one agent follow from one another and would make intervals too
    narrow. The tasks are a fixed, published list rather than a sample, so agents are drawn within each task, and
    differences between tasks do not widen the interval. Each task with n agents gives n-1 draws with replacement (Rao
    and Wu, 1988): the variance of the resampled mean is then the unbiased s²/n, where n draws would give (n-1)/n of it,
    a third too little with three seeds. (Ten tasks × three seeds of normal noise: the interval holds the true mean in
    93 % of simulated cases, in 88 % with n draws.) Percentiles respect the bounds of a success rate, which a normal
    interval does not. The resampling is seeded: equal values give equal intervals.

    Where a task has one agent only, its spread is unknown; all agents are then drawn from one pot (all but one), which
    counts the differences between tasks as well and is wider.

    Note: agents that share a meta-training (one seed) share its luck. Few seeds cannot tell how much, and the interval
    takes agents as independent; the report lists the mean of each seed beside it. And where all agents of each task
    agree, the interval has no width: n agents alike still leave room for a share of about 3/n that are not.

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


@lru_cache(maxsize=4)
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


def learning_curve(episodes: AgentEpisodes) -> Curve:
    """
    The value at every N that all agents have, or at ``MAX_POINTS`` of them. At 16 to 19 and 21 to 24 there is none: the
    ten episodes would mix those that explore, 1 to 20, with those after.
    """
    complete = ~np.isnan(episodes.values).any(axis=0)
    known = np.concatenate([[0], np.cumsum(complete)])  # [k]: among episodes 1 to k
    last = episodes.values.shape[1]
    inside = [n for n in range(5, last - 4) if n == 20 or not 16 <= n <= 24]
    windows = ((n, episodes_at(n)) for n in inside)
    numbers = np.array(
        [
            n
            for n, window in windows
            if window.stop - 1 <= last and known[window.stop - 1] - known[window.start - 1] == len(window)
        ],
        dtype=np.int64,
    )
    if len(numbers) > MAX_POINTS:
        numbers = numbers[np.linspace(0, len(numbers) - 1, MAX_POINTS).astype(int)]
    values = (
        np.stack([episodes.at(int(n)) for n in numbers], axis=1) if len(numbers) else np.empty((len(episodes.tasks), 0))
    )
    low, high = bootstrap_interval(values, episodes.tasks)
    return Curve(numbers, values.mean(axis=0), low, high)
