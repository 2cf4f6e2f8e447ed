"""``ClonedActions``: primitive actions whose prior is a policy that behaviour cloning learned from demonstrations."""

from typing import Any

import gymnasium as gym
import torch as th

from simpl_sb3.settings import takes
from simpl_sb3.skills.model import Gaussian, SkillOutputs
from simpl_sb3.skills.networks import MLP, GaussianHead
from simpl_sb3.skills.primitive import PrimitiveActions
from simpl_sb3.skills.settings import ClonedActionsSettings

__all__ = ["ClonedActions"]


class ClonedActions(PrimitiveActions):
    """
    Skills of one env step with a learned prior p(a | s), a diagonal Gaussian. What
    :class:`~simpl_sb3.skills.extractor.SkillExtractor` makes of ``ClonedActionsSettings``.

    It is a skill model whose skill is the action itself, so that nothing is encoded: the posterior is the demonstrated
    action with noise, N(a, action_noise^2), and the prior's fit to it, KL(posterior || prior), is the negative log
    likelihood of the noisy actions, but for a constant.

    :param observation_space: one-dimensional Box
    :param action_space: one-dimensional bounded Box
    :param observation_key: which part of the environment's Dict observations is read, else None
    :param dataset_id: of the demonstrations, where known
    :param env_id: of the environment that was demonstrated, where known
    :param settings: fields of :class:`~simpl_sb3.skills.settings.ClonedActionsSettings`
    :raises SettingsError: for unknown names, and values out of range
    """

    @takes(ClonedActionsSettings)
    def __init__(
        self,
        observation_space: gym.spaces.Box,
        action_space: gym.spaces.Box,
        *,
        observation_key: str | None = None,
        dataset_id: str | None = None,
        env_id: str | None = None,
        **settings: Any,
    ) -> None:
        sizes = ClonedActionsSettings.of(settings)
        super().__init__(
            observation_space, action_space, observation_key=observation_key, dataset_id=dataset_id, env_id=env_id
        )
        del self.settings["prior_std"]  # its prior has a standard deviation of its own everywhere
        self.settings |= {
            name: list(value) if isinstance(value, tuple) else value for name, value in sizes.as_dict().items()
        }
        self.sizes = sizes
        self.prior_net = MLP(self.feature_dim, sizes.prior_hidden, 2 * self.skill_dim, sizes.norm)
        self.prior_head = GaussianHead()

    def forward(
        self,
        observations: th.Tensor,
        actions: th.Tensor,
        noise: th.Generator,
        *,
        observation_noise: float = 0.0,
        from_prior: bool = False,
    ) -> SkillOutputs:
        """
        Windows of one env step, as a ``SkillModel`` sees them; only the prior's fit has a gradient.

        :param observations: in the environment's units, (B, 2, O); the last one is not read
        :param actions: in the environment's units, (B, 1, A)
        :param noise: source of all random numbers, on the model's device
        :param observation_noise: standard deviation of the noise that is added to the features
        :param from_prior: give actions of the prior instead of the demonstrated ones
        :return: actions, "posterior" N(a, action_noise^2), and prior
        """
        features = self.features(observations[:, 0])
        if observation_noise > 0.0:
            features = features + observation_noise * th.randn(features.shape, generator=noise, device=features.device)
        targets = self.scale_actions(actions)
        mean = targets[:, 0]
        posterior = Gaussian(mean, th.full_like(mean, self.sizes.action_noise))
        prior = Gaussian(*self.prior_head(self.prior_net(features)))
        if from_prior:
            drawn = prior.mean + prior.std * th.randn(mean.shape, generator=noise, device=mean.device)
            return SkillOutputs(drawn.unsqueeze(1), targets, posterior, prior)
        return SkillOutputs(targets, targets, posterior, prior)

    def prior(self, observations: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        mean, std = self.prior_head(self.prior_net(self.features(observations)))
        return mean, self.sizes.prior_temperature * std
