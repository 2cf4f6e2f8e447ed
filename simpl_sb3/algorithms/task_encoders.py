"""
Task encoders q(e | context): a set of transitions in, a Gaussian over the task latent out (Section 4.2, Appendix E).

All are permutation invariant, and map (T, N, row) to a mean and a standard deviation, each (T, E): :meth:`embed` sees
each row alone, :meth:`pool` the set of them, a head makes the Gaussian.
One context row is one skill: (s, z, r, done, s'), with r summed over the skill.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch as th
import torch.nn.functional as F
from torch import nn

from simpl_sb3.errors import SettingsError


def _mlp(sizes: list[int]) -> nn.Sequential:
    """ReLU after every layer but the last."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class AttentionBlock(nn.Module):
    """
    Multi-head attention block MAB(X, Y) of the Set Transformer (Lee et al., 2019, Eq. 6).

    :param width: features of queries, keys, and output
    :param heads: attention heads; must divide ``width``
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.feed_forward = _mlp([width, width, width])

    def forward(self, queries: th.Tensor, rows: th.Tensor) -> th.Tensor:
        """
        :param queries: (T, M, width)
        :param rows: (T, N, width)
        :return: (T, M, width)
        """
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (T, heads, M or N, width / heads)
            for layer, x in ((self.query, queries), (self.key, rows), (self.value, rows))
        )
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (T, M, width)
        hidden = queries + self.out(attended)
        return hidden + self.feed_forward(hidden)


class InducedAttentionBlock(nn.Module):
    """ISAB: attention of a set to itself through ``inducing_points`` learned rows, so that the cost is linear in N."""

    def __init__(self, width: int, heads: int, inducing_points: int) -> None:
        super().__init__()
        self.points = nn.Parameter(th.randn(1, inducing_points, width) / math.sqrt(width))
        self.gather, self.scatter = AttentionBlock(width, heads), AttentionBlock(width, heads)

    def forward(self, rows: th.Tensor) -> th.Tensor:
        """(T, N, width) -> (T, N, width)."""
        summary = self.gather(self.points.expand(len(rows), -1, -1), rows)
        return self.scatter(rows, summary)


class TaskEncoder(nn.Module):
    """
    q(e | context): :meth:`embed` sees each row alone, :meth:`pool` turns the set into one vector, a linear head into
    mean and std.

    :param row_dim: numbers in one context row
    :param latent_dim: E
    :param width: hidden features
    """

    embed: nn.Module  # (..., row) -> (..., width)

    def __init__(self, row_dim: int, latent_dim: int, width: int, pooled_dim: int) -> None:
        super().__init__()
        self.row_dim, self.latent_dim = row_dim, latent_dim
        self.head = _mlp([pooled_dim, width, 2 * latent_dim])

    def pool(self, rows: th.Tensor) -> th.Tensor:
        """Embedded rows (T, N, width) -> (T, pooled)."""
        raise NotImplementedError

    def infer(self, rows: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param rows: embedded, (T, N, width)
        :return: mean and standard deviation, each (T, E); the untrained standard deviation is near 1
        """
        return gaussian_from(self.head(self.pool(rows)))

    def forward(self, context: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param context: (T, N, row)
        :return: mean and standard deviation, each (T, E)
        """
        return self.infer(self.embed(context))


def gaussian_from(output: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """Split (..., 2E) into a mean and a standard deviation by softplus, shifted so that an output of 0 means 1."""
    mean, raw_std = output.chunk(2, dim=-1)
    return mean, F.softplus(raw_std + math.log(math.e - 1)) + 1e-4


class SetTransformerEncoder(TaskEncoder):
    """The published encoder: two ISABs, pooling by attention from one seed, and an MLP."""

    def __init__(
        self, row_dim: int, latent_dim: int, width: int = 128, heads: int = 4, inducing_points: int = 32
    ) -> None:
        super().__init__(row_dim, latent_dim, width, pooled_dim=width)
        self.embed = nn.Linear(row_dim, width)
        self.blocks = nn.Sequential(*(InducedAttentionBlock(width, heads, inducing_points) for _ in range(2)))
        self.seed = nn.Parameter(th.randn(1, 1, width) / math.sqrt(width))
        self.collect = AttentionBlock(width, heads)

    def pool(self, rows: th.Tensor) -> th.Tensor:
        rows = self.blocks(rows)
        return self.collect(self.seed.expand(len(rows), -1, -1), rows).squeeze(1)


class AttentionEncoder(TaskEncoder):
    """An MLP per row, then attention of a few learned seeds to the rows: the last third of a Set Transformer alone."""

    def __init__(self, row_dim: int, latent_dim: int, width: int = 128, heads: int = 4, seeds: int = 2) -> None:
        super().__init__(row_dim, latent_dim, width, pooled_dim=seeds * width)
        self.embed = _mlp([row_dim, width, width])
        self.seeds = nn.Parameter(th.randn(1, seeds, width) / math.sqrt(width))
        self.collect = AttentionBlock(width, heads)

    def pool(self, rows: th.Tensor) -> th.Tensor:
        return self.collect(self.seeds.expand(len(rows), -1, -1), rows).flatten(1)


class DeepSetEncoder(TaskEncoder):
    """An MLP per row, pooled by mean and maximum (Zaheer et al., 2017)."""

    def __init__(self, row_dim: int, latent_dim: int, width: int = 128) -> None:
        super().__init__(row_dim, latent_dim, width, pooled_dim=2 * width)
        self.embed = _mlp([row_dim, width, width])

    def pool(self, rows: th.Tensor) -> th.Tensor:
        return th.cat([rows.mean(dim=1), rows.amax(dim=1)], dim=-1)


class ProductOfGaussiansEncoder(TaskEncoder):
    """PEARL's encoder: one Gaussian factor per row, and their product (Rakelly et al., 2019, Section 4.1)."""

    def __init__(self, row_dim: int, latent_dim: int, width: int = 128) -> None:
        super().__init__(row_dim, latent_dim, width, pooled_dim=width)
        self.embed = _mlp([row_dim, width, width])

    def infer(self, rows: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        mean, std = gaussian_from(self.head(rows))  # (T, N, E): pooled as Gaussians
        precision = std.pow(-2)
        total = precision.sum(dim=1)
        return (mean * precision).sum(dim=1) / total, total.rsqrt()


TASK_ENCODERS: dict[str, Callable[[int, int, int], TaskEncoder]] = {
    "set-transformer": SetTransformerEncoder,
    "attention": AttentionEncoder,
    "deep-set": DeepSetEncoder,
    "product-of-gaussians": ProductOfGaussiansEncoder,
}


def make_task_encoder(name: str, row_dim: int, latent_dim: int, width: int = 128) -> TaskEncoder:
    """
    :param name: one of ``TASK_ENCODERS``
    :raises SettingsError: for any other name
    """
    if name not in TASK_ENCODERS:
        raise SettingsError(f"Unknown task encoder {name!r}: expected one of {', '.join(TASK_ENCODERS)}.")
    return TASK_ENCODERS[name](row_dim, latent_dim, width)
