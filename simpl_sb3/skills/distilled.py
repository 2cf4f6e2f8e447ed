"""``DistilledSkills``: the skills of another model, with a prior that was distilled from policies of tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import torch as th
from torch import nn

from simpl_sb3.functional import residual_gaussian
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.folded import FoldedPolicy
from simpl_sb3.skills.networks import MLP

__all__ = ["DistilledSkills"]


class DistilledSkills(Skills):
    """
    Skills whose prior is a policy: a learned change of the prior that they had. It begins as no change.

    Agents that learn a task from these skills begin as that policy and are held to it.

    :param observation_space: that of ``inner``
    :param action_space: that of ``inner``
    :param inner: the skills, or the settings of them; they are not changed
    :param hidden: hidden sizes of the change of the prior
    :param observation_key: that of ``inner``
    :param dataset_id: that of ``inner``
    :param env_id: that of ``inner``
    """

    def __init__(
        self,
        observation_space: gym.spaces.Box,
        action_space: gym.spaces.Box,
        *,
        inner: Skills | Mapping[str, Any],
        hidden: Sequence[int] = (128, 128, 128),
        observation_key: str | None = None,
        dataset_id: str | None = None,
        env_id: str | None = None,
    ) -> None:
        skills = inner if isinstance(inner, Skills) else Skills.from_settings(inner)
        super().__init__(
            observation_space,
            action_space,
            horizon=skills.horizon,
            skill_dim=skills.skill_dim,
            action_bound=skills.action_bound,
            observation_key=observation_key,
            dataset_id=dataset_id,
            env_id=env_id,
            settings={"inner": skills.settings, "hidden": tuple(hidden)},
        )
        self.observation_mean.copy_(skills.observation_mean)
        self.observation_std.copy_(skills.observation_std)
        self.inner = skills
        self.change = MLP(self.feature_dim, hidden, 2 * self.skill_dim)
        nn.init.zeros_(self.change.output.weight)
        nn.init.zeros_(self.change.output.bias)

    @classmethod
    def over(cls, inner: Skills, hidden: Sequence[int]) -> "DistilledSkills":
        """Over skills that are known, with their spaces and where they come from."""
        return cls(
            inner.observation_space,
            inner.action_space,
            inner=inner,
            hidden=hidden,
            observation_key=inner.observation_key,
            dataset_id=inner.dataset_id,
            env_id=inner.env_id,
        )

    def prior(self, observations: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        residuals = self.change(self.features(observations)).chunk(2, dim=-1)
        with th.no_grad():
            prior = self.inner.prior(observations)
        return residual_gaussian(*prior, *residuals)

    def folded(self) -> FoldedPolicy:
        return self.inner.folded()
