"""``PrimitiveActions``: the environment's own actions as skills of one env step, so that no skills need be learned."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch as th

from simpl_sb3.errors import SettingsError
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.folded import ScaledIdentity

__all__ = ["PrimitiveActions"]


class PrimitiveActions(Skills):
    """
    Skills of one env step: z is the action, with the action space's bounds mapped to [-1, 1]. The prior is one wide
    Gaussian everywhere. An algorithm over skills becomes the same algorithm over actions.

    :param observation_space: one-dimensional Box
    :param action_space: one-dimensional bounded Box
    :param observation_key: which part of the environment's Dict observations is read, else None
    :param prior_std: standard deviation of the prior N(0, prior_std^2), in units of [-1, 1]
    :param dataset_id: of the demonstrations that the observations' statistics come from, if any
    :param env_id: of the environment, where known
    """

    def __init__(
        self,
        observation_space: gym.spaces.Box,
        action_space: gym.spaces.Box,
        *,
        observation_key: str | None = None,
        prior_std: float = 1.0,
        dataset_id: str | None = None,
        env_id: str | None = None,
    ) -> None:
        if not (isinstance(prior_std, int | float | np.number) and 0.0 < float(prior_std) < float("inf")):
            raise SettingsError(f"prior_std is {prior_std!r}: expected a finite number above 0.")
        super().__init__(
            observation_space,
            action_space,
            horizon=1,
            skill_dim=int(np.prod(action_space.shape)),
            action_bound=1.0,
            observation_key=observation_key,
            dataset_id=dataset_id,
            env_id=env_id,
            settings={"prior_std": float(prior_std)},
        )
        self.prior_std = float(prior_std)

    def prior(self, observations: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        mean = observations.new_zeros((*observations.shape[:-1], self.skill_dim))
        return mean, th.full_like(mean, self.prior_std)

    def encode(self, observations: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        mean = self.scale_actions(actions[:, 0])
        return mean, th.zeros_like(mean)

    def folded(self) -> ScaledIdentity:
        arrays: dict[str, Any] = {"low": self.action_space.low, "high": self.action_space.high}
        return ScaledIdentity(
            centre=self.action_centre.cpu().numpy().copy(), scale=self.action_scale.cpu().numpy().copy(), **arrays
        )
