"""``SkillEpisode``: one episode, a row per skill."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from simpl_sb3.skills.checks import checked_rewards


@dataclass(frozen=True)
class SkillEpisode:
    """
    One episode in skills; L is its number of skills.

    :param observations: before each skill, (L, O)
    :param actions: latent actions z, (L, Z)
    :param rewards: summed over the skill, (L,)
    :param terminated: (L,) float; at most the last row is 1
    :param next_observations: after each skill, (L, O)
    :param skill_steps: env steps of each skill, (L,)
    :param truncated: (L,) float; the last row is 1 where a time limit ended the episode
    :param env_observations: after every env step, (sum of skill_steps, O); None where nothing will be relabelled
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    next_observations: np.ndarray
    skill_steps: np.ndarray
    truncated: np.ndarray
    env_observations: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def env_steps(self) -> int:
        """Length in env steps."""
        return int(self.skill_steps.sum())

    @property
    def total_reward(self) -> float:
        """Return without discount."""
        return float(self.rewards.sum())

    def relabelled(self, task: Any) -> "SkillEpisode | None":
        """
        The same episode as another task would have rewarded it, cut where that task ends.

        :param task: has ``rewards(observations) -> rewards, terminated``, a pure function of a trajectory
        :return: None where the task's rewards say nothing: all the same, and none above 0
        """
        if self.env_observations is None or len(self) == 0:
            return None
        rewards, terminated = checked_rewards(task, self.env_observations)
        n_env_steps = int(np.argmax(terminated)) + 1 if terminated.any() else len(terminated)
        counted = rewards[:n_env_steps]  # what stands after the end has no meaning
        if not np.any(counted > 0) and np.ptp(counted) == 0:
            return None
        ends = np.cumsum(self.skill_steps.astype(int))
        n_skills = int(np.searchsorted(ends, n_env_steps)) + 1  # skills up to the one in which the task ends
        given = np.where(np.arange(len(rewards)) < n_env_steps, rewards, 0.0)
        cut = {name: getattr(self, name)[:n_skills].copy() for name in ROW_FIELDS}
        cut["rewards"] = np.add.reduceat(given, ends - self.skill_steps.astype(int))[:n_skills].astype(np.float32)
        cut["terminated"] = np.zeros(n_skills, np.float32)
        if terminated.any():
            cut["terminated"][-1], cut["truncated"][-1] = 1.0, 0.0
            cut["next_observations"][-1] = self.env_observations[n_env_steps - 1]
            cut["skill_steps"][-1] -= ends[n_skills - 1] - n_env_steps
        return replace(self, **cut, env_observations=self.env_observations[:n_env_steps])


ROW_FIELDS = tuple(field.name for field in fields(SkillEpisode) if field.name != "env_observations")
