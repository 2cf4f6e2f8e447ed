"""Networks of skills, actors and critics: torch only, no Stable-Baselines3, no Gymnasium."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch as th
from torch import nn

from simpl_sb3.errors import SettingsError

__all__ = [
    "MLP",
    "NORMS",
    "SKILL_ENCODERS",
    "FoldedMLP",
    "GaussianHead",
    "LSTMSkillEncoder",
    "MLPSkillEncoder",
    "make_skill_encoder",
]

LEAKY_SLOPE = 0.2
LOG_STD_RANGE = (-10.0, 2.0)
NORMS = ("none", "batch", "layer")


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
        return self.forward_from(self._first(inputs))

    def _first(self, inputs: th.Tensor) -> th.Tensor:
        first = self.linears[0] if len(self.linears) else self.output
        return first(inputs)

    def forward_from(self, hidden: th.Tensor) -> th.Tensor:
        """
        What remains after the first Linear, so that a caller may compute that one its own way.

        :param hidden: the first Linear's output, overwritten, (..., hidden_sizes[0])
        :return: (..., out_features)
        """
        if not len(self.linears):
            return hidden
        for block, norm in enumerate(self.norms):
            if block:
                hidden = self.linears[block](hidden)
            hidden = nn.functional.leaky_relu_(norm(hidden), LEAKY_SLOPE)
        return self.output(hidden)


def _make_norm(norm: str, width: int, block: int) -> nn.Module:
    if norm == "batch" and block > 0:
        return nn.BatchNorm1d(width)
    return nn.LayerNorm(width) if norm == "layer" else nn.Identity()


class FoldedMLP:
    """
    A numpy copy of an :class:`MLP` as it is in evaluation mode: six times faster than torch on a single row.

    Batch normalisation, and the mean that layer normalisation subtracts, are folded into the Linear before them. Later
    changes of the network are not followed.

    :param mlp: the network to copy
    """

    def __init__(self, mlp: MLP) -> None:
        self.layers: list[tuple[np.ndarray, np.ndarray, _LayerNorm | None]] = []
        for linear, norm in zip(mlp.linears, mlp.norms, strict=True):
            assert isinstance(linear, nn.Linear)
            weight, bias = _to_numpy(linear.weight).T, _to_numpy(linear.bias)
            if isinstance(norm, nn.BatchNorm1d):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                gain = _to_numpy(norm.weight) / np.sqrt(_to_numpy(norm.running_var) + norm.eps)
                weight, bias = weight * gain, (bias - _to_numpy(norm.running_mean)) * gain + _to_numpy(norm.bias)
            if isinstance(norm, nn.LayerNorm):
                weight, bias = weight - weight.mean(axis=1, keepdims=True), bias - bias.mean()
            self._append(weight, bias, _LayerNorm(norm) if isinstance(norm, nn.LayerNorm) else None)
        self._append(_to_numpy(mlp.output.weight).T, _to_numpy(mlp.output.bias), None)

    def _append(self, weight: np.ndarray, bias: np.ndarray, norm: "_LayerNorm | None") -> None:
        self.layers.append((np.ascontiguousarray(weight, dtype=np.float32), bias.astype(np.float32), norm))

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """
        :param inputs: (B, in_features) float32
        :return: (B, out_features) float32
        """
        hidden = inputs
        for weight, bias, norm in self.layers[:-1]:
            hidden = hidden @ weight
            hidden += bias
            if norm is not None:
                norm.apply(hidden)
            np.maximum(hidden, hidden * _SLOPE, out=hidden)
        weight, bias, _ = self.layers[-1]
        outputs: np.ndarray = hidden @ weight
        outputs += bias
        return outputs


_SLOPE = np.float32(LEAKY_SLOPE)


class _LayerNorm:
    """Layer normalisation of rows whose mean is 0 already."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.gain, self.bias = _to_numpy(norm.weight).astype(np.float32), _to_numpy(norm.bias).astype(np.float32)
        self.eps = np.float32(norm.eps)

    def apply(self, hidden: np.ndarray) -> None:
        variance = np.einsum("ij,ij->i", hidden, hidden)[:, None] / np.float32(hidden.shape[1])
        hidden /= np.sqrt(variance + self.eps)
        hidden *= self.gain
        hidden += self.bias


def _to_numpy(tensor: th.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


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
