"""What the algorithms that learn on a set of training tasks share: the tasks, relabelling across them, and metrics."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.policies import SkillPriorPolicy
from simpl_sb3.algorithms.settings import TaskTrainingSettings
from simpl_sb3.algorithms.tasks import default_timesteps, find_tasks
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.collector import EXPLORATION, EpisodeCollector, FinishedEpisode, Job, SkillStep
from simpl_sb3.experience.episode import SkillEpisode
from simpl_sb3.skills.fit import find_skills

__all__ = ["TaskTraining", "act_in", "live"]


def act_in(policy: SkillPriorPolicy, observations: np.ndarray, members: np.ndarray) -> np.ndarray:
    """
    Skills for observations, each by a member of its own choice.

    :param policy: of M agents
    :param observations: (K, O)
    :param members: of the policy, (K,)
    :return: (K, Z)
    """
    column = np.array([(members[:k] == member).sum() for k, member in enumerate(members)])
    slots = np.zeros((policy.n_agents, column.max() + 1, observations.shape[1]), np.float32)
    slots[members, column] = observations
    z = policy.act(slots.reshape(-1, observations.shape[1]), policy.latents(slots.shape[1]))
    return z.reshape(*slots.shape[:2], -1)[members, column]


def live(
    env: VecEnv, policy: SkillPriorPolicy, next_job: Callable[[int], Job | None]
) -> Iterator[tuple[SkillStep, np.ndarray]]:
    """
    Live through jobs; the member of the policy that acts is the job's ``task_index``.

    :param next_job: what an environment (by its index) does next; None for nothing
    :return: each skill of all environments, and what they observe after it
    """

    def act(observations: np.ndarray, members: th.Tensor) -> np.ndarray:
        active = np.flatnonzero(collector.active)
        z = np.zeros((len(observations), policy.skills.skill_dim), np.float32)
        z[active] = act_in(policy, observations[active], members[active, 0].numpy().astype(int))
        return z

    collector = EpisodeCollector(env, act, next_job, lambda job: th.tensor([float(job.task_index)]), 1)
    while collector.active.any():
        yield collector.step(), collector.observations


class TaskTraining(SkillAlgorithm):
    """
    Base of the algorithms that learn on an environment's ``train_tasks``; parameters as in ``SkillAlgorithm``.

    :raises EnvironmentSpecError: for an environment without skills or without training tasks
    """

    settings_class: ClassVar[type[TaskTrainingSettings]]
    config: TaskTrainingSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.train_tasks: tuple[Any, ...] = ()
        self.task_names: tuple[str, ...] = ()
        self.num_env_steps = self.num_meta_iterations = 0
        super().__init__(*args, **kwargs)

    # ------------------------------------------------------------ tasks

    def _find_tasks(self) -> None:
        """Skills and tasks of the environment, where there is one; and whether episodes are relabelled."""
        if self.env is not None:
            self.skills = find_skills(self.env, type(self).__name__)
            self.train_tasks = find_tasks(self.env, self.task_names)
            self.task_names = tuple(task.name for task in self.train_tasks)
        self.hindsight_used = self._hindsight()

    def _hindsight(self) -> bool:
        """
        Whether episodes are relabelled: where asked for, and by default where the tasks can.

        :raises SettingsError: where it is asked for and the tasks cannot
        """
        able = all(hasattr(task, "rewards") for task in self.train_tasks)
        if self.config.hindsight and not able:
            raise SettingsError(
                "hindsight=True relabels episodes by task.rewards(observations), which these tasks have not: "
                "expected hindsight=False, or None for where tasks can."
            )
        if self.config.hindsight is None and not able and self.verbose >= 1:
            print("No hindsight relabelling: the tasks have no rewards(observations).")  # noqa: T201 - as SB3 does
        return able if self.config.hindsight is None else self.config.hindsight

    def used_settings(self) -> dict[str, Any]:
        return {**self.settings(), "hindsight": self.hindsight_used}

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """As in SB3; the environment needs the tasks and the skills that the model was trained on."""
        wrapped = self._wrap_env(env, self.verbose)
        tasks = find_tasks(wrapped, self.task_names)
        super().set_env(wrapped, force_reset)
        self.train_tasks = tasks

    def _extra_state(self) -> dict[str, Any]:
        return {
            "train_tasks": list(self.task_names),
            "num_env_steps": self.num_env_steps,
            "num_meta_iterations": self.num_meta_iterations,
        }

    def _load_extra_state(self, data: dict[str, Any]) -> None:
        self.task_names, self.num_env_steps = tuple(data["train_tasks"]), int(data["num_env_steps"])
        self.num_meta_iterations = int(data.get("num_meta_iterations", 0))

    def default_timesteps(self) -> int:
        """Skills that ``learn`` lives unless told: 32 episodes of full length for each training task."""
        return 0 if self.env is None else default_timesteps(self.env, self.skills.horizon)

    # ------------------------------------------------------------ episodes

    def _live(
        self,
        jobs: Sequence[Job],
        policy: SkillPriorPolicy,
        callback: BaseCallback,
        total_timesteps: int,
        keep: Callable[[FinishedEpisode], None],
    ) -> bool:
        """
        Live through jobs, each by the policy's member of its task; none begins once ``total_timesteps`` are lived.

        :param keep: called with every episode
        :return: False where a callback ends the learning
        """
        assert self.env is not None
        left = list(reversed(jobs))

        def next_job(_: int) -> Job | None:
            return left.pop() if left and self.num_timesteps < total_timesteps else None

        for step, new_obs in live(self.env, policy, next_job):
            self.num_timesteps += len(step.indices)
            infos, dones, rewards = step.infos, step.dones, step.rewards
            callback.update_locals({**locals(), "env": self.env})  # SB3's callbacks read them
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
            for finished in step.finished:
                keep(finished)
            self._episode_num += len(step.finished)
            self._last_obs = new_obs
        return True

    def _labelled(self, finished: FinishedEpisode) -> list[tuple[int, SkillEpisode]]:
        """
        Note an episode's return and success.

        :return: the episode for its task and, with hindsight, for every task that would have rewarded it: the tasks'
            indices, and the episode as each rewards it
        """
        job = finished.job
        kind = EXPLORATION if job.explores else job.kind
        self.num_env_steps += finished.episode.env_steps
        self._results[f"rollout/return_{kind}"].append(finished.episode.total_reward)
        if finished.success_known:
            self._results[f"rollout/success_{kind}"].append(finished.success)
        kept: list[tuple[int, SkillEpisode]] = [(job.task_index, finished.episode)]
        if self.hindsight_used:
            others = (
                (i, finished.episode.relabelled(task)) for i, task in enumerate(self.train_tasks) if i != job.task_index
            )
            kept += [(i, episode) for i, episode in others if episode is not None]
        return kept

    # ------------------------------------------------------------ metrics

    def metrics(self) -> dict[str, float]:
        """Means of the last episodes' success and return, and the counters."""
        means = {name: float(np.mean(values)) for name, values in self._results.items() if not name.startswith("task/")}
        counts = {"skills": self.num_timesteps, "env_steps": self.num_env_steps, "n_updates": self._n_updates}
        return means | counts

    def dump_logs(self) -> None:
        """As the base's, with success and return of each kind of episodes, per task in TensorBoard."""
        for name, values in self._results.items():
            self.logger.record(name, float(np.mean(values)), exclude="stdout" if name.startswith("task/") else None)
        self.logger.record("time/env_steps", self.num_env_steps)
        self.logger.record("time/skills", self.num_timesteps)
        super().dump_logs()
