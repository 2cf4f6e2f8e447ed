"""Skills judged before any reinforcement learning: what their prior reaches alone, and how they fit the data."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch as th

from simpl_sb3.bars import progress
from simpl_sb3.demonstrations.windows import DemonstrationDataset
from simpl_sb3.domains import Domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.collector import EpisodeCollector, FinishedEpisode, Job
from simpl_sb3.experience.episode import SkillEpisode
from simpl_sb3.experiments.recorder import summary_of
from simpl_sb3.results.episodes import Whose
from simpl_sb3.results.traces import Trajectory
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.extractor import SkillExtractor
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.vec_env import make_skill_vec_env

__all__ = ["EXPLORING", "Finding", "PriorLife", "findings", "fit_to", "live_prior", "planar_paths"]

EXPLORING = 20
"""Episodes that adaptation explores by default, within which coverage is counted."""
MAX_ENVS = 32
MAX_BACKGROUND = 4_000
"""Places of demonstrations that a picture shows."""
Verdict = Literal["good", "weak", "poor", "info"]


@dataclass(frozen=True)
class PriorLife:
    """
    Episodes in which the skill prior acted alone.

    :param tasks: the tasks, T
    :param episodes: what was lived, each under one task
    :param reached: of each task, how many episodes earned a reward, (T,) int
    :param tried: of each task, how many episodes could have, (T,) int
    """

    tasks: tuple[Any, ...]
    episodes: tuple[FinishedEpisode, ...]
    reached: np.ndarray
    tried: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Of each task, the share of episodes that earned a reward, (T,)."""
        return self.reached / np.maximum(1, self.tried)

    def coverage(self, n: int = EXPLORING) -> float:
        """The share of tasks that n such episodes would reach, by these shares."""
        return float(np.mean(1.0 - (1.0 - self.shares) ** n))


def live_prior(
    skills: Skills,
    domain: Domain,
    tasks: str | None = None,
    *,
    n_episodes: int = 100,
    seed: int = 0,
    progress_bar: bool = False,
    n_envs: int = MAX_ENVS,
    seconds: float | None = None,
    **env_settings: Any,
) -> PriorLife:
    """
    Let the skill prior act alone, under one task after the other. Where tasks have ``rewards``, an episode counts for
    every task that would have rewarded it; as it ends where its own task does, shares are a little too low then.

    :param skills: the skills
    :param domain: environment and tasks
    :param tasks: a task set, or tasks as text; None takes the domain's training set
    :param n_episodes: in all; at least one of each task is lived where tasks have no ``rewards``
    :param seed: of environments and skills
    :param progress_bar: show one
    :param n_envs: environments stepped at once, at most
    :param seconds: after which no episode begins; None for no limit
    :param env_settings: of the environment
    """
    over = float("inf") if seconds is None else time.perf_counter() + seconds
    chosen = domain.tasks(domain.train_tasks if tasks is None else tasks)
    relabels = all(hasattr(task, "rewards") for task in chosen)
    number = n_episodes if relabels else max(n_episodes, len(chosen))
    order = np.random.default_rng(seed).permutation(len(chosen))
    jobs = [Job(chosen[index], int(index), "prior") for index in np.resize(order, number)]
    noise = th.Generator().manual_seed(seed)

    @th.no_grad()
    def act(observations: np.ndarray, _: th.Tensor) -> np.ndarray:
        mean, std = skills.prior(th.as_tensor(observations))
        return (mean + std * th.randn(mean.shape, generator=noise)).numpy()

    env = make_skill_vec_env(domain.env_id, skills, min(n_envs, number), seed=seed, **env_settings)
    episodes: list[FinishedEpisode] = []
    try:
        env.reset()

        def next_job(_: int) -> Job | None:
            return jobs.pop() if jobs and time.perf_counter() < over else None

        collector = EpisodeCollector(env, act, next_job, lambda _: th.zeros(0), 0)
        with progress(total=number, unit="episode", shown=progress_bar) as bar:
            while collector.active.any():
                finished = collector.step().finished
                episodes += finished
                bar.update(len(finished))
    finally:
        env.close()
    reached, tried = np.zeros((2, len(chosen)), int)
    for one in episodes:
        for index, task in enumerate(chosen):
            own = index == one.job.task_index
            if own or relabels:
                tried[index] += 1
                reached[index] += earned(one.episode, None if own else task) or (own and one.success)
    return PriorLife(chosen, tuple(episodes), reached, tried)


def earned(episode: SkillEpisode, task: Any | None) -> bool:
    """Whether an episode earned a reward, or would have under another task."""
    seen = episode if task is None else episode.relabelled(task)
    return seen is not None and seen.total_reward > 0.0


def fit_to(skills: Skills, dataset: DemonstrationDataset) -> dict[str, float]:
    """
    How skills fit demonstrations.

    :param skills: a ``SkillModel``
    :param dataset: demonstrations of the same spaces
    :return: ``reconstruction`` and ``from_prior`` (share of the actions' variance explained by decoding a skill of the
        posterior, of the prior), ``kl`` and ``prior_kl`` (of the posterior to N(0, I) and to the prior, nats)
    :raises SettingsError: for skills without a posterior
    """
    if not isinstance(skills, SkillModel):
        raise SettingsError(f"{skills.kind} has no encoder to compare with data: expected a SkillModel.")
    reader = SkillExtractor(
        dataset, skills, seed=0, device="cpu", validation_fraction=0.0, normalize_observations=False
    )
    metrics = reader.evaluate(dataset.at_least(skills.horizon))
    actions = skills.scale_actions(th.from_numpy(dataset.some_actions()))
    variance = float(actions.var(dim=0).mean())
    return {
        "reconstruction": 1.0 - metrics["action_mse"] / variance,
        "from_prior": 1.0 - metrics["prior_action_mse"] / variance,
        "kl": metrics["kl"],
        "prior_kl": metrics["prior_kl"],
    }


def planar_paths(
    life: PriorLife, data: DemonstrationDataset | None, domain: Domain
) -> tuple[list[np.ndarray], np.ndarray | None, Any]:
    """
    Paths of episodes in a plane, what to draw behind them, and walls: by the domain's own traces, where those are
    paths, else the two directions in which standardised observations vary most.
    """
    summaries = [summary_of(one) for one in life.episodes]
    if domain.traces is not None:
        whose = [Whose("prior", one.job.task.name, 0, number) for number, one in enumerate(life.episodes, 1)]
        traces = [
            domain.traces.trace(name, one.job.task, lived)
            for name, one, lived in zip(whose, life.episodes, summaries, strict=True)
        ]
        shown = [trace.positions for trace in traces if isinstance(trace, Trajectory)]
        if shown:
            return shown, None, domain.traces.walls
    seen = [lived.observations for lived in summaries if lived.observations is not None]
    known = None if data is None else data.observations[:: max(1, len(data.observations) // MAX_BACKGROUND)]
    reference = np.concatenate(seen) if known is None else known
    mean, std = reference.mean(axis=0), reference.std(axis=0)
    scale = np.where(std > 1e-6, std, np.inf)
    axes = np.linalg.svd((reference - mean) / scale, full_matrices=False)[2][:2]
    if len(axes) < 2:
        axes = np.concatenate([axes, np.zeros_like(axes)])

    def flat(rows: np.ndarray) -> np.ndarray:
        plane: np.ndarray = ((rows - mean) / scale) @ axes.T
        return plane

    return [flat(rows) for rows in seen], None if known is None else flat(known), None


# ------------------------------------------------------------ judging


@dataclass(frozen=True)
class Finding:
    """
    One row of the table.

    :param name: what was measured
    :param value: the number; None where it was not measured
    :param verdict: what it means; "info" for what is not judged
    :param text: number with unit, and what to do where it is not good
    """

    name: str
    value: float | None
    verdict: Verdict
    text: str


def graded(value: float, good: float, weak: float) -> Verdict:
    """A verdict on a number of which more is better."""
    return "good" if value >= good else "weak" if value >= weak else "poor"


def findings(life: PriorLife, fit: Mapping[str, float] | None, why_no_fit: str = "") -> list[Finding]:
    """
    :param life: episodes of the prior
    :param fit: what :func:`fit_to` gave; None where there are no demonstrations
    :param why_no_fit: why there is none
    :return: the table
    """
    rows = _of_fit(fit) if fit else [Finding("fit to the data", None, "info", why_no_fit)]
    coverage = life.coverage()
    verdict = graded(coverage, 0.5, 0.2)
    advice = "" if verdict == "good" else "; lower prior_temperature, give more demonstrations, or easier tasks"
    text = f"{coverage:.2f} of {len(life.tasks)} tasks within {EXPLORING} episodes of the prior{advice}"
    rows.append(Finding("coverage", coverage, verdict, text))
    never = [task.name for task, count in zip(life.tasks, life.reached, strict=True) if not count]
    share = len(never) / len(life.tasks)
    verdict = graded(1.0 - share, 0.7, 0.3)
    text = f"{len(never)} of {len(life.tasks)} tasks in {len(life.episodes)} episodes{_listed(never)}"
    rows.append(Finding("never reached", float(len(never)), verdict, text))
    return rows


def _listed(names: Sequence[str]) -> str:
    return f": {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else ""


def _of_fit(fit: Mapping[str, float]) -> list[Finding]:
    share, nats = fit["reconstruction"], fit["kl"]
    verdict = graded(share, 0.5, 0.2)
    advice = "" if verdict == "good" else "; more updates, a smaller kl_weight, or a shorter horizon"
    rows = [Finding("reconstruction", share, verdict, f"{share:.2f} of the actions' variance{advice}")]
    verdict = "good" if 1.0 <= nats <= 20.0 else "weak"
    advice = "" if verdict == "good" else f"; a {'smaller' if nats < 1.0 else 'larger'} kl_weight"
    rows.append(Finding("skill information", nats, verdict, f"{nats:.1f} nats, posterior to N(0, I){advice}"))
    ratio = fit["prior_kl"] / max(nats, 1e-6)
    verdict = "good" if ratio <= 1.0 else "weak"
    advice = "" if verdict == "good" else "; the prior is no better than N(0, I): more updates, or a larger kl_weight"
    text = f"{fit['prior_kl']:.1f} nats, posterior to prior: {ratio:.2f} of the former{advice}"
    rows.append(Finding("prior's fit", ratio, verdict, text))
    text = f"{fit['from_prior']:.2f} of the actions' variance, decoding skills of the prior"
    return [*rows, Finding("actions from the prior", fit["from_prior"], "info", text)]
