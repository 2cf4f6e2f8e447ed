"""
Work of an update, as the plain recipe has it: floating-point operations of all matrix products that the published
method needs, each counted once. What an implementation computes twice is not work; work that it avoids still counts.

A multiplication and an addition are two operations. Elementwise work, optimisers and target critics' averages, which
take time and are no matrix products, count as nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Networks", "adaptation_flops", "dense", "encoder_flops", "meta_flops", "update_flops"]


def dense(sizes: Sequence[int]) -> int:
    """Forward pass of one row through fully connected layers."""
    return sum(2 * fan_in * fan_out for fan_in, fan_out in pairwise(sizes))


def _learned(sizes: Sequence[int], input_learns: bool) -> int:
    """Forward and backward of one row: the weights' gradients, and the inputs' but for those of the first layer."""
    return 3 * dense(sizes) - (0 if input_learns else dense(sizes[:2]))


@dataclass(frozen=True)
class Networks:
    """
    Layers of the networks of one agent, as lists of sizes.

    :param actor: input, hidden layers, output
    :param critic: of one of the two critics
    :param prior: of the frozen skill prior
    """

    actor: tuple[int, ...]
    critic: tuple[int, ...]
    prior: tuple[int, ...]


def update_flops(networks: Networks, rows: int, latent_learns: bool) -> int:
    """
    One update of critics and actor.

    :param rows: transitions
    :param latent_learns: whether the critics' gradient goes on to a task encoder
    """
    prior, actor, critic = (dense(sizes) for sizes in (networks.prior, networks.actor, networks.critic))
    target = prior + actor + 2 * critic  # skill of the next state, its KL and its value
    critics = 2 * _learned(networks.critic, latent_learns)
    actors = (
        prior + _learned(networks.actor, False) + 2 * critic + 2 * critic
    )  # values, and their gradient to the skill
    return rows * (target + critics + actors)


def adaptation_flops(networks: Networks, n_agents: int, batch_size: int) -> int:
    """One update of agents side by side, each on a batch of its own."""
    return n_agents * update_flops(networks, batch_size, False)


def _block(width: int, n_queries: int, n_rows: int) -> int:
    """Forward pass of an attention block for one set."""
    projections = 2 * width * width * (2 * n_queries + 2 * n_rows)  # query and out, key and value
    attention = 2 * 2 * n_queries * n_rows * width
    return projections + attention + n_queries * dense([width, width, width])


def encoder_flops(kind: str, n_rows: int, row_dim: int, latent_dim: int, width: int) -> int:
    """
    Forward and backward pass of one task's context through a task encoder.

    :param kind: one of ``TASK_ENCODERS``
    :param n_rows: of the context
    :param row_dim: numbers in a row
    :param latent_dim: E
    :param width: features
    :raises ValueError: for another encoder
    """
    rows = n_rows * _learned([row_dim, width, width], False)
    if kind == "deep-set":
        return rows + 3 * dense([2 * width, width, 2 * latent_dim])
    if kind == "attention":
        return rows + 3 * (_block(width, 2, n_rows) + dense([2 * width, width, 2 * latent_dim]))
    if kind == "product-of-gaussians":
        return rows + 3 * n_rows * dense([width, width, 2 * latent_dim])
    if kind == "set-transformer":
        points = 32
        induced = _block(width, points, n_rows) + _block(width, n_rows, points)
        pooled = _block(width, 1, n_rows) + dense([width, width, 2 * latent_dim])
        return n_rows * _learned([row_dim, width], False) + 3 * (2 * induced + pooled)
    raise ValueError(f"Expected a task encoder, got {kind!r}")


def meta_flops(
    networks: Networks,
    kind: str,
    row_dim: int,
    latent_dim: int,
    width: int,
    tasks_per_update: tuple[int, int],
    context_sizes: tuple[int, int],
    batch_size: int,
) -> int:
    """One update of meta-training: contexts of both groups of tasks, once each, then critics and actor."""
    contexts = sum(
        n_tasks * encoder_flops(kind, n_rows, row_dim, latent_dim, width)
        for n_tasks, n_rows in zip(tasks_per_update, context_sizes, strict=True)
    )
    return contexts + update_flops(networks, sum(tasks_per_update) * batch_size, True)
