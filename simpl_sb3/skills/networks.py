"""The networks of a skill model: torch only, no Stable-Baselines3, no Gymnasium."""

from collections.abc import Sequence
from itertools import pairwise

import torch as th
from torch import nn

from simpl_sb3.errors import SettingsError
from simpl_sb3.skills.settings import NORMS

__all__ = [
    "MLP",
    "NORMS",
    "SKILL_ENCODERS",
    "GaussianHead",
    "LSTMSkillEncoder",
    "MLPSkillEncoder",
    "make_skill_encoder",
]

LEAKY_SLOPE = 0.2
LOG_STD_RANGE = (-10.0, 2.0)


class MLP(nn.Module):
    """
    Hidden blocks of Linear, normalisation and LeakyReLU 0.2, then one Linear.

    :param in_features: size of the input's last dimension
    :param hidden_sizes: width of each hidden block; empty for a single Linear
    :param out_features: size of the output's last dimension
    :param norm: "batch" (from the second block on, as published), "layer" (in every block) or "none"
    """

    def __init__(self, in_features: int, hidden_sizes: Sequence[int], out_features: int, norm: str = "none") -> None:
        super().__init__()
        if norm not in NORMS:
            raise SettingsError(f"norm is {norm!r}, expected one of {', '.join(NORMS)}")
        sizes = [in_features, *hidden_sizes]
        self.linears = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.norms = nn.ModuleList(_make_norm(norm, width, block) for block, width in enumerate(hidden_sizes))
        self.output = nn.Linear(sizes[-1], out_features)

    def forward(self, inputs: th.Tensor) -> th.Tensor:
        """
        :param inputs: (..., in_features); (rows, in_features) under batch normalisation
        :return: (..., out_features)
        """
        hidden = inputs
        for linear, norm in zip(self.linears, self.norms, strict=True):
            hidden = nn.functional.leaky_relu_(norm(linear(hidden)), LEAKY_SLOPE)
        outputs: th.Tensor = self.output(hidden)
        return outputs


def _make_norm(norm: str, width: int, block: int) -> nn.Module:
    if norm == "batch" and block > 0:
        return nn.BatchNorm1d(width)
    return nn.LayerNorm(width) if norm == "layer" else nn.Identity()


class GaussianHead(nn.Module):
    """Reads a network's output as a diagonal Gaussian: mean, and log standard deviation clamped to [-10, 2]."""

    def forward(self, outputs: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param outputs: (..., 2 D)
        :return: mean (..., D) and standard deviation (..., D)
        """
        mean, log_std = outputs.chunk(2, dim=-1)
        return mean, log_std.clamp(*LOG_STD_RANGE).exp()


class LSTMSkillEncoder(nn.Module):
    """
    q(z | window) as published: one LSTM over the window's (s, a), its last output to a Gaussian.

    :param observation_dim: O
    :param action_dim: A
    :param horizon: H, env steps; unused, an LSTM takes any
    :param skill_dim: Z
    :param hidden_sizes: one number, the LSTM's width
    :param norm: accepted for symmetry; an LSTM has none
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        horizon: int,
        skill_dim: int,
        hidden_sizes: Sequence[int],
        norm: str,
    ) -> None:
        super().__init__()
        if len(hidden_sizes) != 1:
            raise SettingsError(f"an LSTM encoder takes one hidden size, given {list(hidden_sizes)}")
        self.lstm = nn.LSTM(observation_dim + action_dim, hidden_sizes[0], batch_first=True)
        self.output = nn.Linear(hidden_sizes[0], 2 * skill_dim)
        self.head = GaussianHead()

    def forward(self, observations: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param observations: standardised, (B, H + 1, O); the last one is not read
        :param actions: scaled to [-1, 1], (B, H, A)
        :return: mean (B, Z) and standard deviation (B, Z)
        """
        hidden, _ = self.lstm(th.cat([observations[:, :-1], actions], dim=-1))
        mean, std = self.head(self.output(hidden[:, -1]))
        return mean, std


class MLPSkillEncoder(nn.Module):
    """
    q(z | window) by an MLP over the flattened window: several times cheaper than an LSTM on a CPU.

    :param observation_dim: O
    :param action_dim: A
    :param horizon: H, env steps
    :param skill_dim: Z
    :param hidden_sizes: width of each hidden block
    :param norm: see :class:`MLP`
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        horizon: int,
        skill_dim: int,
        hidden_sizes: Sequence[int],
        norm: str,
    ) -> None:
        super().__init__()
        width = (horizon + 1) * observation_dim + horizon * action_dim
        self.mlp = MLP(width, hidden_sizes, 2 * skill_dim, norm)
        self.head = GaussianHead()

    def forward(self, observations: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param observations: standardised, (B, H + 1, O)
        :param actions: scaled to [-1, 1], (B, H, A)
        :return: mean (B, Z) and standard deviation (B, Z)
        """
        mean, std = self.head(self.mlp(th.cat([observations.flatten(1), actions.flatten(1)], dim=-1)))
        return mean, std


SKILL_ENCODERS: dict[str, type[LSTMSkillEncoder] | type[MLPSkillEncoder]] = {
    "lstm": LSTMSkillEncoder,
    "mlp": MLPSkillEncoder,
}
"""Encoders by name."""


def make_skill_encoder(
    name: str,
    observation_dim: int,
    action_dim: int,
    horizon: int,
    skill_dim: int,
    hidden_sizes: Sequence[int],
    norm: str = "none",
) -> LSTMSkillEncoder | MLPSkillEncoder:
    """
    Builds a skill encoder by its name, "lstm" or "mlp"; the other parameters are the classes' own.

    :raises SettingsError: for an unknown name
    """
    if name not in SKILL_ENCODERS:
        raise SettingsError(f"encoder is {name!r}, expected one of {', '.join(SKILL_ENCODERS)}")
    return SKILL_ENCODERS[name](observation_dim, action_dim, horizon, skill_dim, hidden_sizes, norm)
