"""``EnsembleMLP``: M networks of one shape side by side."""

from collections.abc import Sequence
from itertools import pairwise

import torch as th
from torch import nn

from simpl_sb3.algorithms.settings import ACTIVATIONS

__all__ = ["EnsembleMLP", "joined"]


class EnsembleMLP(nn.Module):
    """
    M independent networks of one shape.

    :param members: M
    :param sizes: features of input, hidden layers, and output
    :param zero_output: start with an output of 0
    :param activation_fn: name in ``ACTIVATIONS``, between the layers
    """

    def __init__(
        self, members: int, sizes: Sequence[int], zero_output: bool = False, activation_fn: str = "relu"
    ) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for fan_in, fan_out in pairwise(sizes):
            bound = fan_in**-0.5  # as nn.Linear
            self.weights.append(th.empty(members, fan_in, fan_out).uniform_(-bound, bound))
            self.biases.append(th.empty(members, 1, fan_out).uniform_(-bound, bound))
        if zero_output:
            nn.init.zeros_(self.weights[-1])
            nn.init.zeros_(self.biases[-1])
        kind = getattr(nn, ACTIVATIONS[activation_fn])
        self.activation = kind(inplace=True) if kind is nn.ReLU else kind()

    def forward(self, inputs: th.Tensor) -> th.Tensor:
        """(M, B, in) -> (M, B, out)."""
        hidden = inputs
        for layer in range(len(self.weights) - 1):  # a slice of a ParameterList would be a copy without history
            hidden = self.activation(th.baddbmm(self.biases[layer], hidden, self.weights[layer]))
        return th.baddbmm(self.biases[-1], hidden, self.weights[-1])


def joined(ours: th.Tensor, theirs: th.Tensor, copies: int) -> th.Tensor:
    """What M members own, (copies * M, ...), followed in each copy by what K others own, (copies * K, ...)."""
    parts = ours.unflatten(0, (copies, -1)), theirs.unflatten(0, (copies, -1))
    return th.cat(parts, dim=1).flatten(0, 1)
