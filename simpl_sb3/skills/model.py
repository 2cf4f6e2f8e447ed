"""
SkillModel: encoder q(z | window), closed-loop low-level policy a = f(s, z), and prior p(z | s) (Section 4.1).

::

    window (s0 a0 s1 .. sH) --encoder--> z --+
                                             +--decoder--> a        once per env step, s and z in, a out
                         s0 --prior--> p(z)  s

Observations are standardised and actions scaled to [-1, 1] inside: what goes in and out has the environment's units.
"""

from typing import Any, NamedTuple

import gymnasium as gym
import torch as th

from simpl_sb3.settings import takes
from simpl_sb3.skills.base import SKILL_BOUND, Skills
from simpl_sb3.skills.folded import FoldedDecoder
from simpl_sb3.skills.networks import MLP, GaussianHead, make_skill_encoder
from simpl_sb3.skills.settings import SkillModelSettings

__all__ = ["Gaussian", "SkillModel", "SkillOutputs"]


class Gaussian(NamedTuple):
    """A diagonal Gaussian over skills: mean (B, Z) and standard deviation (B, Z)."""

    mean: th.Tensor
    std: th.Tensor


class SkillOutputs(NamedTuple):
    """
    What a :class:`SkillModel` makes of a batch of windows.

    ``actions`` (B, H, A) are decoded, with the action space's bounds mapped to [-1, 1]; ``targets`` (B, H, A) are the
    window's own, mapped alike. ``posterior`` is q(z | window), ``prior`` is p(z | s0) as it is learned, before
    ``prior_temperature``.
    """

    actions: th.Tensor
    targets: th.Tensor
    posterior: Gaussian
    prior: Gaussian


class SkillModel(Skills):
    """
    Skills of H env steps: what :class:`~simpl_sb3.skills.extractor.SkillExtractor` learns and everything else uses.

    :param observation_space: one-dimensional Box
    :param action_space: one-dimensional bounded Box
    :param observation_key: which part of the environment's Dict observations the model reads, else None
    :param dataset_id: of the demonstrations, where known
    :param env_id: of the environment that was demonstrated, where known
    :param settings: fields of :class:`~simpl_sb3.skills.settings.SkillModelSettings`
    :raises SettingsError: for unknown names, and values out of range
    """

    @takes(SkillModelSettings)
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
        sizes = SkillModelSettings.of(settings)
        super().__init__(
            observation_space,
            action_space,
            horizon=sizes.horizon,
            skill_dim=sizes.skill_dim,
            action_bound=SKILL_BOUND,
            observation_key=observation_key,
            dataset_id=dataset_id,
            env_id=env_id,
            settings=sizes.as_dict(),
        )
        self.sizes, self.prior_temperature = sizes, sizes.prior_temperature
        observation_dim, action_dim = self.feature_dim, action_space.shape[0]
        self.encoder = make_skill_encoder(
            sizes.encoder,
            observation_dim,
            action_dim,
            sizes.horizon,
            sizes.skill_dim,
            sizes.encoder_hidden,
            sizes.norm,
        )
        self.decoder = MLP(observation_dim + sizes.skill_dim, sizes.decoder_hidden, action_dim, sizes.norm)
        self.prior_net = MLP(observation_dim, sizes.prior_hidden, 2 * sizes.skill_dim, sizes.norm)
        self.prior_head = GaussianHead()

    # ------------------------------------------------------------ learning

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
        Encode windows, draw a skill for each, and decode it in the loop over the window's H observations.

        :param observations: in the environment's units, (B, H + 1, O)
        :param actions: in the environment's units, (B, H, A)
        :param noise: source of all random numbers, on the model's device
        :param observation_noise: standard deviation of the noise that is added to the features
        :param from_prior: draw z from the prior instead of the posterior
        :return: decoded actions, posterior and prior
        """
        features = self.features(observations)  # (B, H + 1, O)
        if observation_noise > 0.0:
            blur = th.randn(features.shape, generator=noise, device=features.device)
            features = features + observation_noise * blur
        targets = self.scale_actions(actions)  # (B, H, A)
        posterior = Gaussian(*self.encoder(features, targets))
        prior = self._learned_prior(features[:, 0])
        mean, std = prior if from_prior else posterior
        z = mean + std * th.randn(mean.shape, generator=noise, device=mean.device)
        repeated = z.unsqueeze(1).expand(-1, self.horizon, -1)
        decoded = self._decoded(features[:, :-1].flatten(0, 1), repeated.flatten(0, 1))  # (B H, A)
        return SkillOutputs(decoded.view_as(targets), targets, posterior, prior)

    def _learned_prior(self, features: th.Tensor) -> Gaussian:
        return Gaussian(*self.prior_head(self.prior_net(features)))

    def _decoded(self, features: th.Tensor, z: th.Tensor) -> th.Tensor:
        decoded: th.Tensor = self.decoder(th.cat([features, z], dim=-1))
        return decoded

    # ------------------------------------------------------------ use

    def encode(self, observations: th.Tensor, actions: th.Tensor) -> Gaussian:
        """
        :param observations: (B, H + 1, O)
        :param actions: (B, H, A)
        :return: mean (B, Z) and standard deviation (B, Z) of q(z | window)
        """
        return Gaussian(*self.encoder(self.features(observations), self.scale_actions(actions)))

    def prior(self, observations: th.Tensor) -> Gaussian:
        mean, std = self._learned_prior(self.features(observations))
        return Gaussian(mean, (self.prior_temperature * std).clamp(min=self.sizes.min_prior_std))

    def decode(self, observations: th.Tensor, z: th.Tensor) -> th.Tensor:
        """
        :param observations: (B, O)
        :param z: (B, Z)
        :return: actions in the environment's units, unclipped, (B, A)
        """
        return th.addcmul(self.action_centre, self._decoded(self.features(observations), z), self.action_scale)

    def folded(self) -> FoldedDecoder:
        """What :meth:`decode` gives in evaluation mode, clipped to the action space."""
        return FoldedDecoder(
            self.decoder,
            mean=self.observation_mean.cpu().numpy(),
            std=self.observation_std.cpu().numpy(),
            centre=self.action_centre.cpu().numpy(),
            scale=self.action_scale.cpu().numpy(),
            low=self.action_space.low,
            high=self.action_space.high,
        )
