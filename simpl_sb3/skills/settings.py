"""The settings of a skill model and of its extraction: plain data, no torch."""

from dataclasses import dataclass
from typing import ClassVar

from simpl_sb3.errors import SettingsError
from simpl_sb3.settings import Settings, setting

__all__ = [
    "DECAYS",
    "ENCODERS",
    "NORMS",
    "OPTIMIZERS",
    "ClonedActionsSettings",
    "ExtractionSettings",
    "SkillModelSettings",
]

DECAYS = ("none", "linear", "cosine")
"""Curves of the learning rate."""
ENCODERS = ("lstm", "mlp")
"""Kinds of skill encoders."""
NORMS = ("none", "batch", "layer")
"""Normalisations in hidden layers."""
OPTIMIZERS = ("adam", "radam")
"""Optimisers of the extraction."""


@dataclass(frozen=True, kw_only=True)
class SkillModelSettings(Settings):
    """
    The sizes of a :class:`~simpl_sb3.skills.model.SkillModel`. The defaults suit two CPU cores. As published for the
    maze: ``encoder="lstm", encoder_hidden=(128,), prior_hidden=(128,) * 6, norm="batch"``.

    :param horizon: H, env steps per skill
    :param skill_dim: Z, numbers per skill
    :param encoder: "mlp" or "lstm"
    :param encoder_hidden: hidden sizes of the encoder; one number for an LSTM
    :param decoder_hidden: hidden sizes of the low-level policy
    :param prior_hidden: hidden sizes of the prior
    :param norm: normalisation in hidden layers: "none", "batch" (published) or "layer"
    :param prior_temperature: factor on the standard deviation of ``SkillModel.prior``, once it is learned. Note: 1 in
        the paper; one Gaussian that is fitted to several skills covers what lies between them too, and below 1 it
        keeps to where it is sure
    :param min_prior_std: least standard deviation of ``SkillModel.prior``, after the temperature. Where it is 0 (the
        paper) some state's prior can be so sure that a policy cannot leave it by .01 without a KL of a thousand nats,
        which throws meta-training off its budget; 0.05 prevents that
    """

    horizon: int = setting(10, at_least=1)
    skill_dim: int = setting(10, at_least=1)
    encoder: str = setting("mlp", one_of=ENCODERS)
    encoder_hidden: tuple[int, ...] = setting((256, 256, 256), at_least=1)
    decoder_hidden: tuple[int, ...] = setting((256, 256, 256, 256), at_least=1)
    prior_hidden: tuple[int, ...] = setting((256, 256, 256, 256), at_least=1)
    norm: str = setting("layer", one_of=NORMS)
    prior_temperature: float = setting(0.6, above=0.0)
    min_prior_std: float = setting(0.0, at_least=0.0)

    def check(self) -> None:
        if self.encoder == "lstm" and len(self.encoder_hidden) != 1:
            raise SettingsError(f"encoder_hidden is {self.encoder_hidden}: an LSTM takes one hidden size.")


@dataclass(frozen=True, kw_only=True)
class ClonedActionsSettings(Settings):
    """
    The sizes of :class:`~simpl_sb3.skills.cloned.ClonedActions`.

    :param prior_hidden: hidden sizes of the policy that is cloned
    :param norm: normalisation in hidden layers: "none", "batch" or "layer"
    :param action_noise: standard deviation of the noise on demonstrated actions, which are scaled to [-1, 1], and so
        the least that the cloned policy has; without noise its likelihood has no bound where demonstrations agree
    :param prior_temperature: factor on the standard deviation, once it is learned
    """

    horizon: ClassVar[int] = 1
    prior_hidden: tuple[int, ...] = setting((128, 128, 128), at_least=1)
    norm: str = setting("layer", one_of=NORMS)
    action_noise: float = setting(0.2, above=0.0)
    prior_temperature: float = setting(1.0, above=0.0)


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings(Settings):
    """
    How :class:`~simpl_sb3.skills.extractor.SkillExtractor` trains. As published for the maze: ``optimizer="radam",
    batch_size=128, learning_rate=1e-3, learning_rate_decay="none"``.

    :param normalize_observations: standardise observations by the training part's mean and standard deviation
    :param min_observation_std: smallest standard deviation to divide by, in the observations' units, so that noise on
        an observation that hardly moves is not blown up; an observation whose own is below 1e-6 counts as constant
        and is divided by 1
    :param observation_noise: standard deviation of the noise on standardised observations while learning, so that
        skills and prior bear states a little off the demonstrations
    :param kl_weight: beta, weight of KL(posterior || N(0, I)) against the actions' log likelihood summed over H and A;
        None takes 0.04 times the variance of the demonstrated actions (scaled to [-1, 1], summed over A), so that
        skills say as much about small motions as about large ones
    :param batch_size: B, windows per update
    :param learning_rate: learning rate of the first update
    :param learning_rate_decay: curve on which the learning rate falls to 0 at the last update: "linear" or "cosine";
        "none" for a constant rate
    :param optimizer: "adam" or "radam"
    :param validation_fraction: share of the episodes set aside for ``validation/`` metrics; 0 for none
    """

    normalize_observations: bool = True
    min_observation_std: float = setting(0.01, above=0.0)
    observation_noise: float = setting(0.0, at_least=0.0)
    kl_weight: float | None = setting(None, at_least=0.0)
    batch_size: int = setting(256, at_least=1)
    learning_rate: float = setting(1e-3, above=0.0)
    learning_rate_decay: str = setting("cosine", one_of=DECAYS)
    optimizer: str = setting("adam", one_of=OPTIMIZERS)
    validation_fraction: float = setting(0.1, at_least=0.0, below=1.0)
