"""``SkillEpisode``: one episode, a row per skill; and ``RecordedEpisode``, from which one is made."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch as th

from simpl_sb3.errors import SettingsError
from simpl_sb3.skills.base import Skills
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


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedEpisode:
    """
    An episode that somebody recorded, in env steps; L is its number, and one skill is ``horizon`` of them.

    :param observations: (L + 1, O)
    :param rewards: of each env step, (L,)
    :param actions: primitive actions, (L, A); the skill encoder says which skills they are
    :param latents: the skills z in their place, where those are known, (ceil(L / horizon), Z)
    :param terminated: whether the task ended it; otherwise a time limit did
    :raises SettingsError: for shapes that do not fit together, numbers that are not finite, or neither actions nor
        latents
    """

    observations: np.ndarray
    rewards: np.ndarray
    actions: np.ndarray | None = None
    latents: np.ndarray | None = None
    terminated: bool = False

    def __post_init__(self) -> None:
        if (self.actions is None) == (self.latents is None):
            raise SettingsError("A recorded episode needs actions or latents: expected one of them.")
        for name in ("observations", "rewards", "actions", "latents"):
            if getattr(self, name) is not None:
                array = np.asarray(getattr(self, name), np.float32)
                if not np.isfinite(array).all():
                    raise SettingsError(f"A recorded episode's {name} hold NaN or infinity: expected numbers.")
                object.__setattr__(self, name, array)
        length = len(self.observations) - 1 if self.observations.ndim == 2 else 0
        fits = self.rewards.shape == (length,) and (self.actions is None or self.actions.shape[:-1] == (length,))
        if length < 1 or not fits:
            given = None if self.actions is None else self.actions.shape
            raise SettingsError(
                f"A recorded episode has observations {self.observations.shape}, rewards {self.rewards.shape} and "
                f"actions {given}: expected (L + 1, O), (L,) and (L, A) with L >= 1."
            )

    def in_skills(self, skills: Skills) -> SkillEpisode:
        """
        The same episode, a row per skill.

        :raises SettingsError: for observations, actions or latents of other sizes, or actions of fewer env steps than
            a skill
        """
        length, horizon = len(self.rewards), skills.horizon
        starts = np.arange(0, length, horizon)
        ends = np.minimum(starts + horizon, length)
        if self.observations.shape[1:] != skills.observation_space.shape:
            raise SettingsError(
                f"A recorded episode's observations are {self.observations.shape[1:]}: expected "
                f"{skills.observation_space.shape}, as the skills read them."
            )
        z = self._encoded(skills, ends) if self.latents is None else self.latents
        if z.shape != (len(starts), skills.skill_dim):
            raise SettingsError(
                f"A recorded episode's latents are {z.shape}: expected {(len(starts), skills.skill_dim)}, one for each "
                f"{horizon} of its {length} env steps."
            )
        last = np.arange(len(starts)) == len(starts) - 1
        return SkillEpisode(
            observations=self.observations[starts],
            actions=z,
            rewards=np.add.reduceat(self.rewards, starts),
            terminated=(last & self.terminated).astype(np.float32),
            next_observations=self.observations[ends],
            skill_steps=(ends - starts).astype(np.float32),
            truncated=(last & (not self.terminated)).astype(np.float32),
            env_observations=self.observations[1:],
        )

    def _encoded(self, skills: Skills, ends: np.ndarray) -> np.ndarray:
        """Means of q(z | window), (K, Z); the last window is the episode's last ``horizon`` env steps."""
        assert self.actions is not None
        horizon, shape = skills.horizon, skills.action_space.shape
        if self.actions.shape[1:] != shape or len(self.actions) < horizon:
            raise SettingsError(
                f"A recorded episode's actions are {self.actions.shape}: expected (L, {shape[0]}) with L >= {horizon}, "
                "or the latents of a shorter episode."
            )
        at = np.maximum(ends, horizon)[:, None] + np.arange(-horizon, 1)  # (K, H + 1)
        device = skills.observation_mean.device
        windows = (th.as_tensor(part, device=device) for part in (self.observations[at], self.actions[at[:, :-1]]))
        with th.no_grad():
            mean, _ = skills.encode(*windows)
        return np.asarray(mean.clamp(-skills.action_bound, skills.action_bound).cpu().numpy())
