"""``TrialVecEnv``: what a policy with memory needs to find out a task by itself (RL², Duan et al., 2016)."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.experience.task_vec_env import OnFinished, TaskVecEnv, features_of
from simpl_sb3.settings import checked_number
from simpl_sb3.skills.base import Skills

__all__ = ["TrialVecEnv", "trial_row", "trial_space"]


class TrialVecEnv(TaskVecEnv):
    """
    Trials of several episodes, seen as one: ``dones``, and so SB3's ``episode_starts``, are true only between two
    trials, so that a recurrent policy keeps its memory over the episodes of a trial and loses it after the last.

    A row shows, one after the other: the features of the observation (F), the latest skill z (Z), its reward (1), and 1
    where it ended an episode, else 0 (1). At the beginning of a trial the last three are 0. A trial never ends by a
    time limit: nothing is to be gained after it, so that ``TimeLimit.truncated`` is always false.

    :param env: its actions are skills
    :param tasks: what trials are about
    :param episodes_per_trial: episodes of the same task, one after the other
    :param drawn: as in ``TaskVecEnv``
    :param on_episode: as in ``TaskVecEnv``
    :raises SettingsError: as ``TaskVecEnv``, and for less than one episode
    """

    def __init__(
        self,
        env: VecEnv,
        tasks: Sequence[Any],
        *,
        episodes_per_trial: int = 4,
        drawn: bool = True,
        on_episode: OnFinished | None = None,
    ) -> None:
        episodes = checked_number("episodes_per_trial", episodes_per_trial, 1)
        super().__init__(env, tasks, episodes_per_trial=episodes, drawn=drawn, on_episode=on_episode)
        self.observation_space = trial_space(self.skills)
        self._latest = np.zeros((self.num_envs, self.skills.skill_dim + 2), np.float32)  # z, reward, end

    def reset(self) -> Any:
        self._latest[:] = 0.0
        return super().reset()

    def _lived(self, rewards: np.ndarray, dones: np.ndarray) -> None:
        self._latest = np.column_stack([self._actions, rewards, dones]).astype(np.float32)

    def _own_state(self) -> dict[str, np.ndarray]:
        return {**super()._own_state(), "latest": self._latest}

    def _forget(self, index: int) -> None:
        self._latest[index] = 0.0

    def _end_episode(self, index: int, info: dict[str, Any]) -> bool:
        info["TimeLimit.truncated"] = False
        return super()._end_episode(index, info)

    def _show(self, observations: np.ndarray, indices: np.ndarray) -> np.ndarray:
        latest = self._latest[indices]
        return trial_row(features_of(self.skills, observations), latest[:, :-2], latest[:, -2], latest[:, -1])


def trial_row(features: np.ndarray, z: np.ndarray, rewards: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """
    What a policy sees in a trial.

    :param features: of the observations, (K, F)
    :param z: the latest skills, (K, Z)
    :param rewards: theirs, (K,)
    :param ended: 1 where they ended an episode, (K,)
    :return: (K, F + Z + 2)
    """
    return np.column_stack([features, z, rewards, ended]).astype(np.float32)


def trial_space(skills: Skills) -> gym.spaces.Box:
    """The space of the rows."""
    return gym.spaces.Box(-np.inf, np.inf, (skills.feature_dim + skills.skill_dim + 2,), np.float32)
