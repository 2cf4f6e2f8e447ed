"""``GoalVecEnv`` shows the goal, as goal-conditioned algorithms want it; its replay buffer looks at it in hindsight."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.goals import Goals
from simpl_sb3.experience.task_vec_env import OnFinished, TaskVecEnv, features_of
from simpl_sb3.skills.base import Skills

__all__ = ["GoalScale", "GoalVecEnv", "SkillHerReplayBuffer", "goal_space"]


class GoalScale:
    """
    Goals in the scale that the skills' demonstrations give to what of an observation achieves them.

    :param goals: of the domain
    :param skills: whose observations they are achieved in
    :raises SettingsError: where the domain has no goals
    """

    def __init__(self, goals: Goals | None, skills: Skills) -> None:
        if goals is None:
            raise SettingsError(
                "The goal is to be shown, and nothing says how a task is written as a goal: expected Goals, such as "
                "those of the domain maze, or a method that finds its task out."
            )
        self.goals = goals
        mean, std = (part.cpu().numpy() for part in (skills.observation_mean, skills.observation_std))
        self.mean, beside = goals.achieved(np.stack([mean, mean + std])).astype(np.float64)
        spread = np.abs(beside - self.mean)
        self.std = np.where(spread > 1e-6, spread, 1.0)

    def shown(self, goals: np.ndarray) -> np.ndarray:
        """Goals (..., G) as they are shown."""
        return np.asarray((goals - self.mean) / self.std, np.float32)

    def read(self, shown: np.ndarray) -> np.ndarray:
        """Goals (..., G) of what was shown."""
        return np.asarray(shown, np.float64) * self.std + self.mean

    def achieved(self, observations: np.ndarray) -> np.ndarray:
        """What observations (N, O) achieve, as it is shown, (N, G)."""
        return self.shown(self.goals.achieved(observations))

    def asked(self, tasks: Sequence[Any]) -> np.ndarray:
        """The goals of tasks, as they are shown, (N, G)."""
        return self.shown(np.stack([np.asarray(self.goals.goal(task), np.float64) for task in tasks]))


class GoalVecEnv(TaskVecEnv):
    """
    Observations are Gymnasium-Robotics' dicts: ``observation`` (features, (F,)), ``achieved_goal`` and ``desired_goal``
    (both (G,), scaled alike). Each episode has a goal drawn from ``tasks``.

    :param env: its actions are skills
    :param tasks: whose goals are shown
    :param goals: how they are written, such as ``find_domain("maze").goals``
    :param drawn: as in ``TaskVecEnv``
    :param on_episode: as in ``TaskVecEnv``
    :raises SettingsError: as ``TaskVecEnv``, and for a domain without goals
    """

    def __init__(
        self,
        env: VecEnv,
        tasks: Sequence[Any],
        goals: Goals | None,
        *,
        drawn: bool = True,
        on_episode: OnFinished | None = None,
    ) -> None:
        super().__init__(env, tasks, drawn=drawn, on_episode=on_episode)
        self.scale = GoalScale(goals, self.skills)
        self.scale.asked(self.tasks)  # tasks that are no goals are refused now
        self.observation_space = goal_space(self.skills, self.scale)

    def _show(self, observations: np.ndarray, indices: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "observation": features_of(self.skills, observations),
            "achieved_goal": self.scale.achieved(observations),
            "desired_goal": self.scale.asked([self._tasks[i] for i in indices]),
        }

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, infos: Sequence[Any]) -> np.ndarray:
        """
        Rewards of skills, had other goals been asked for: 1 where one of a skill's env steps reaches its goal, else 0.

        :param achieved_goal: after the skills, as shown, (N, G)
        :param desired_goal: as shown, (N, G)
        :param infos: with ``skill_observations`` (HerReplayBuffer's ``copy_info_dict``); without them, only what the
            skills end in counts
        :return: (N,)
        """
        goals, reached = self.scale.read(desired_goal), self.scale.goals.reached
        passed = [info.get("skill_observations") for info in infos]
        if not passed or any(part is None for part in passed):
            return reached(self.scale.read(achieved_goal), goals).astype(np.float32)
        lengths = np.array([len(part) for part in passed])
        achieved = self.scale.goals.achieved(np.concatenate(passed))
        hits = np.asarray(reached(achieved, np.repeat(goals, lengths, axis=0)), bool)
        return np.logical_or.reduceat(hits, np.cumsum(lengths) - lengths).astype(np.float32)

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        if method_name == "compute_reward":  # HerReplayBuffer asks the first environment
            return [self.compute_reward(*args, **kwargs)]
        return self.venv.env_method(method_name, *args, indices=indices, **kwargs)


def goal_space(skills: Skills, scale: GoalScale) -> gym.spaces.Dict:
    """The space of what ``GoalVecEnv`` shows."""
    sizes = {"observation": skills.feature_dim, "achieved_goal": len(scale.mean), "desired_goal": len(scale.mean)}
    return gym.spaces.Dict({name: gym.spaces.Box(-np.inf, np.inf, (size,), np.float32) for name, size in sizes.items()})


class SkillHerReplayBuffer(HerReplayBuffer):
    """
    SB3's buffer for skills. A goal that a skill passes on its way counts, and reaching a goal in hindsight ends the
    episode, as it does in the environment (SB3 keeps the end of the real episode).

    Parameters are those of SB3's; infos are always copied, what is not needed of them is not kept.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "copy_info_dict": True})

    def add(self, obs: Any, next_obs: Any, action: Any, reward: Any, done: Any, infos: list[dict[str, Any]]) -> None:
        names = ("skill_observations", "TimeLimit.truncated")
        kept = [{name: info[name] for name in names if name in info} for info in infos]
        super().add(obs, next_obs, action, reward, done, kept)

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        for array in (self.ep_start, self.ep_length, self._current_ep_start):
            array[:] = 0

    @property
    def has_episodes(self) -> bool:
        """Whether an episode has ended, so that there is something to sample."""
        return bool((self.ep_length > 0).any())

    def _get_virtual_samples(
        self, batch_indices: np.ndarray, env_indices: np.ndarray, env: VecNormalize | None = None
    ) -> DictReplayBufferSamples:
        samples = super()._get_virtual_samples(batch_indices, env_indices, env)
        return samples._replace(dones=(samples.rewards > 0.0).to(samples.dones.dtype))
