"""From vec-env steps to whole episodes: each environment works off jobs, and its transitions are kept."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.errors import EnvironmentSpecError
from simpl_sb3.experience.episode import ROW_FIELDS, SkillEpisode
from simpl_sb3.experience.episode_arrays import RunningEpisode, running_arrays, running_of
from simpl_sb3.experience.workers import answering
from simpl_sb3.skills.held_envs import generators_of
from simpl_sb3.threads import small_products

MAX_EPISODE_ENV_STEPS = 100_000
LONG_EPISODE_ENV_STEPS = 10_000
NO_SUCCESS = (
    "The environment's infos hold neither 'is_success' nor 'success': success counts as 0, only the return says how "
    "well agents do."
)


EXPLORATION, SKILL_PRIOR = "exploration", "skill_prior"


@dataclass(frozen=True)
class Job:
    """
    One episode to collect.

    :param task: what to ask of the environment
    :param task_index: where the episode belongs
    :param kind: why it is collected, such as "exploration"; "skill_prior" explores too, with the bare skill prior
    """

    task: Any
    task_index: int
    kind: str

    @property
    def explores(self) -> bool:
        """Whether the episode is there to learn what the task is."""
        return self.kind in (EXPLORATION, SKILL_PRIOR)


@dataclass(frozen=True)
class FinishedEpisode:
    """
    An episode and the job it was collected for.

    :param job: the job
    :param episode: the episode
    :param success: whether the environment called any of its env steps a success
    :param success_known: False where its infos hold neither ``is_success`` nor ``success``
    """

    job: Job
    episode: SkillEpisode
    success: bool
    success_known: bool = True


@dataclass(frozen=True)
class SkillStep:
    """
    One skill in each of K environments.

    :param indices: which environments, (K,)
    :param rows: the row fields of ``SkillEpisode``, each (K, ...)
    :param ends: whether an episode ended, (K,)
    :param finished: the episodes that ended
    :param rewards: of all environments, (n_envs,)
    :param infos: of all environments, as the vec env gave them
    :param dones: of all environments; never where there is no job, (n_envs,)
    """

    indices: np.ndarray
    rows: dict[str, np.ndarray]
    ends: np.ndarray
    finished: list[FinishedEpisode]
    rewards: np.ndarray
    infos: list[dict[str, Any]]
    dones: np.ndarray


class EpisodeCollector:
    """
    Collects one episode after the other in every environment, and leaves out those without a job where the vec env can.

    :param env: its actions are skills
    :param act: skills (n_envs, Z) for observations (n_envs, O) and what jobs are acted with, such as task latents,
        (n_envs, E)
    :param next_job: what an environment (by its index) does next; None for nothing
    :param latent_for: what a job is acted with, (E,), asked for when the job begins
    :param task_latent_dim: E
    :param is_over: whether an environment (by its index) asks for its latent again in an episode of the kind
        "exploration", so many skills after it last did
    :param on_step: called after every skill, before what ended is followed by the next job
    :param begin: begin the first jobs; False for a collector that is to take up another one's state
    """

    def __init__(
        self,
        env: VecEnv,
        act: Callable[[np.ndarray, th.Tensor], np.ndarray],
        next_job: Callable[[int], Job | None],
        latent_for: Callable[[Job], th.Tensor],
        task_latent_dim: int,
        is_over: Callable[[int, int], bool] = lambda index, age: False,
        on_step: Callable[[SkillStep], None] = lambda step: None,
        begin: bool = True,
    ) -> None:
        self.on_step = on_step
        self.env, self.act, self.next_job, self.latent_for = env, act, next_job, latent_for
        self.is_over = is_over
        self.jobs: list[Job | None] = [None] * env.num_envs
        self.latents = th.zeros(env.num_envs, task_latent_dim)
        self.observations = np.zeros((env.num_envs, *env.observation_space.shape), np.float32)  # type: ignore[misc]
        self._steps: list[RunningEpisode] = [[] for _ in range(env.num_envs)]
        self._env_steps = np.zeros(env.num_envs, int)  # of the episode that runs
        self._ages = np.zeros(env.num_envs, int)  # of the latents, skills
        if begin:
            self.assign(range(env.num_envs))

    @property
    def active(self) -> np.ndarray:
        """Which environments have a job, (n_envs,)."""
        return np.array([job is not None for job in self.jobs])

    def assign(self, indices: Iterable[int]) -> None:
        """Begin the next job in these environments."""
        for i in indices:
            job = self.jobs[i] = self.next_job(int(i))
            if job is not None:
                self.observations[i] = self._reset(int(i), job)
                self._ask(int(i), job)
        self._set_active(self.active)

    def _reset(self, index: int, job: Job) -> np.ndarray:
        """The first observation of an episode on a job's task."""
        with answering(self.env):
            self.env.env_method("set_task", job.task, indices=[index])
            observation, _ = self.env.env_method("reset", indices=[index])[0]
        return np.asarray(observation)

    def _set_active(self, active: np.ndarray) -> None:
        set_active = getattr(self.env, "set_active", None)
        if set_active is not None:
            set_active(active)

    @small_products()
    def step(self) -> SkillStep:
        """One skill in every environment that has a job; where its episode ends, the next job begins."""
        z = self.act(self.observations, self.latents)
        with answering(self.env):
            stepped = self.env.step(z)
        step = self.receive(z, *stepped)
        if not all(episode.success_known for episode in step.finished):
            warnings.warn(NO_SUCCESS, stacklevel=2)
        return step

    def receive(
        self, z: np.ndarray, observations: Any, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]
    ) -> SkillStep:
        """
        The second half of :meth:`step`, for whoever steps the environments.

        :param z: what ``act`` chose, (n_envs, Z); the others are what a vec env's ``step`` returns
        """
        indices = np.flatnonzero(self.active)
        after = np.array(observations, np.float32)
        for i in np.flatnonzero(dones):
            after[i] = infos[i]["terminal_observation"]
        truncated = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        steps = np.array([info["skill_steps"] for info in infos])
        columns = (self.observations.copy(), z, rewards, dones & ~truncated, after, steps, dones & truncated)
        rows = {name: np.asarray(column, np.float32)[indices] for name, column in zip(ROW_FIELDS, columns, strict=True)}
        own = [infos[i] for i in indices.tolist()]
        told = [info.get("skill_observations") for info in own], [info.get("is_success") for info in own]
        for index, skill in zip(indices.tolist(), zip(*rows.values(), *told, strict=True), strict=True):
            self._steps[index].append(skill)
        self._env_steps[indices] += steps[indices]
        check_lengths(self._env_steps, steps)
        finished = [self._finish(i) for i in indices[dones[indices]].tolist()]
        self.observations[indices] = np.asarray(observations)[indices]
        self._ages[indices] += 1
        dones = dones & self.active
        step = SkillStep(indices, rows, dones[indices], finished, rewards, infos, dones)
        self.on_step(step)
        for index, age in zip(indices.tolist(), self._ages[indices].tolist(), strict=True):
            job = self.jobs[index]
            if job is not None and not dones[index] and job.kind == EXPLORATION and self.is_over(index, age):
                self._ask(index, job)
        if finished:
            self.assign(np.flatnonzero(dones))
        return step

    def _ask(self, index: int, job: Job) -> None:
        self.latents[index], self._ages[index] = self.latent_for(job), 0

    def _finish(self, index: int) -> FinishedEpisode:
        job, steps = self.jobs[index], self._steps[index]
        self._steps[index], self._env_steps[index] = [], 0
        assert job is not None
        return finished_episode(job, steps)

    # ------------------------------------------------------------ stopping in the middle of episodes, and going on

    def state(self) -> dict[str, np.ndarray]:
        """Jobs, latents, and the rows of the episodes that run, as plain arrays; the environments are not in it."""
        own = {"latents": self.latents.numpy().copy(), "ages": self._ages, "now": self.observations}
        kinds = np.array(["" if job is None else job.kind for job in self.jobs], np.str_)
        return own | {"kinds": kinds} | running_arrays(self._steps)

    def take_state(self, state: Mapping[str, np.ndarray], tasks: Sequence[Any]) -> None:
        """
        Take up what :meth:`state` gave; the environments have to be brought where they were besides.

        :param tasks: each environment's
        :raises ValueError: for a state of other environments
        """
        own = {"latents": self.latents.numpy(), "ages": self._ages, "now": self.observations}
        wanted = {name: (array.shape, array.dtype) for name, array in own.items()}
        given = {name: (state[name].shape, state[name].dtype) for name in own}
        running = running_of(state)
        finite = all(np.isfinite(state[name]).all() for name in own) if given == wanted else False
        if not finite or state["kinds"].shape != (len(self.jobs),) or len(running) != len(self.jobs):
            raise ValueError(f"Expected a collector's state of finite numbers {wanted}, got {given}")
        kinds = [str(kind) for kind in state["kinds"]]
        self.jobs = [
            Job(task, i, kind) if kind else None for i, (task, kind) in enumerate(zip(tasks, kinds, strict=True))
        ]
        self.latents, self.observations = th.from_numpy(state["latents"].copy()), state["now"].copy()
        self._ages, self._steps = state["ages"].copy(), running
        at = ROW_FIELDS.index("skill_steps")
        self._env_steps = np.array([sum(int(skill[at]) for skill in steps) for steps in running], int)

    def replay(self, starts: Sequence[str]) -> np.ndarray:
        """
        Bring environments that give no state of their own where they were: each begins its episode with the random
        generator that it had, and lives through the skills of it once more.

        :param starts: the generator of each environment when its episode began, as ``held_envs.generator_states`` gives
        :return: indices of those that were brought elsewhere, since something else than their generator decides
        """
        lengths = np.where(self.active, [len(steps) for steps in self._steps], -1)
        longest, there = int(lengths.max(initial=0)), self.active
        for done in range(longest + 1):
            for i in np.flatnonzero(longest - lengths == done).tolist():
                job = self.jobs[i]
                assert job is not None
                self.env.set_attr("np_random", generators_of(np.array([starts[i]]))[0], indices=[i])
                first = self._steps[i][0][0] if lengths[i] else self.observations[i]
                there[i] &= np.array_equal(self._reset(i, job), first)
            if done < longest:
                self._step_again(lengths - longest + done, there)
        self._set_active(self.active)
        return np.flatnonzero(self.active & ~there)

    def _step_again(self, at: np.ndarray, there: np.ndarray) -> None:
        """One skill of the past in each environment that is in its episode, at its row ``at``, (n_envs,)."""
        z = np.zeros((len(at), *self.env.action_space.shape), np.float32)  # type: ignore[misc]
        running = np.flatnonzero(self.active & (at >= 0))
        for i in running:
            z[i] = self._steps[i][at[i]][ROW_FIELDS.index("actions")]
        self._set_active(self.active & (at >= 0))
        observations = np.asarray(self.env.step(z)[0], np.float32)
        for i in running:
            there[i] &= np.array_equal(observations[i], self._steps[i][at[i]][ROW_FIELDS.index("next_observations")])

    def begin_again(self, indices: Iterable[int]) -> None:
        """Give up the episodes that run in these environments, and begin them anew."""
        for i in indices:
            job = self.jobs[i]
            if job is not None:
                self._steps[i], self._env_steps[i] = [], 0
                self.observations[i] = self._reset(int(i), job)
                self._ask(int(i), job)


def finished_episode(job: Job, steps: Sequence[tuple[Any, ...]]) -> FinishedEpisode:
    """
    An episode from its skills.

    :param job: what it was collected for
    :param steps: of each skill the row fields of ``SkillEpisode``, then the infos' ``skill_observations`` and
        ``is_success``, None where they hold none
    """
    *columns, env_observations, told = zip(*steps, strict=True)
    known = all(part is not None for part in env_observations)
    rows = {name: np.asarray(column, np.float32) for name, column in zip(ROW_FIELDS, columns, strict=True)}
    episode = SkillEpisode(**rows, env_observations=np.concatenate(env_observations) if known else None)
    successes = [success for success in told if success is not None]
    return FinishedEpisode(job, episode, any(successes), bool(successes))


def check_lengths(env_steps: np.ndarray, latest: np.ndarray) -> None:
    """
    Warn of episodes that seem to have no end.

    :param env_steps: of the episodes that run, (n_envs,)
    :param latest: those of the latest skill, (n_envs,)
    :raises EnvironmentSpecError: for an episode of more than ``MAX_EPISODE_ENV_STEPS``
    """
    if (longest := int(env_steps.max())) > MAX_EPISODE_ENV_STEPS:
        raise EnvironmentSpecError(
            f"Environment {int(env_steps.argmax())} has not ended its episode after {longest} env steps: "
            "expected an end; wrap it in gymnasium.wrappers.TimeLimit(env, max_episode_steps)."
        )
    if longest - int(latest.max()) < LONG_EPISODE_ENV_STEPS <= longest:
        warnings.warn(
            f"Environment {int(env_steps.argmax())} has not ended its episode after {longest} env steps. "
            "Where it never does, wrap it in gymnasium.wrappers.TimeLimit(env, max_episode_steps).",
            stacklevel=3,
        )
