"""``ImaginedTasks``: states that meta-training visited, each as the task that would reward it."""

from collections.abc import Callable

import torch as th
from torch import nn

Embed = Callable[[th.Tensor], th.Tensor]
Infer = Callable[[th.Tensor], tuple[th.Tensor, th.Tensor]]

N_IMAGINED = 1024
N_UNREWARDED = 255  # with the one imagined reward as many rows as a context has by default


class ImaginedTasks(nn.Module):
    """
    What a new task could be: each imagined task rewards one state that meta-training visited, as the training tasks
    reward theirs. Shown to the task encoder among unrewarded rows, it has a task latent like any other.

    :param row_dim: numbers in a context row
    :param outcome: which of them are reward and end
    """

    rows: th.Tensor
    unrewarded: th.Tensor
    reward: th.Tensor

    def __init__(self, row_dim: int, outcome: slice) -> None:
        super().__init__()
        self.outcome = outcome
        self.register_buffer("rows", th.zeros(N_IMAGINED, row_dim))
        self.register_buffer("unrewarded", th.zeros(N_UNREWARDED, row_dim))
        self.register_buffer("reward", th.zeros(2))  # what a rewarded row has: its reward, and whether it ends

    @property
    def known(self) -> bool:
        """Whether a meta-training has seen a reward and left its states here."""
        return bool(self.rows.any())

    def remember(self, rows: th.Tensor, rewarded: th.Tensor, imagine: Infer) -> None:
        """
        Keep of these rows those that differ most in what a reward there would say; nothing where none is rewarded.

        :param rows: (s, z, r, done, s') of all training tasks, (N, row)
        :param rewarded: which of them say where the reward is, (N,)
        :param imagine: what :meth:`infer` makes of rows, (K, row) -> q(e | one reward)
        """
        if not rewarded.any() or rewarded.all():
            return
        self.reward.copy_(rows[rewarded][:, self.outcome].median(dim=0).values)
        self.unrewarded.copy_(evenly(rows[~rewarded], N_UNREWARDED))
        candidates = evenly(rows, 4 * N_IMAGINED)
        mean, std = imagine(candidates)
        self.rows.copy_(candidates[far_apart(mean / std.median(dim=0).values, N_IMAGINED)])

    def infer(self, rows: th.Tensor, embed: Embed, infer: Infer) -> tuple[th.Tensor, th.Tensor]:
        """
        What a context would say of its task if it held one reward, at the state after one of these rows.

        :param rows: (s, z, r, done, s'), whose own rewards do not matter, (K, row)
        :param embed: of context rows, (..., row) -> (..., width)
        :param infer: of sets of embedded rows, (K, N, width) -> q(e | set)
        :return: mean and standard deviation, each (K, E)
        """
        reward = self.reward.expand(len(rows), 2)
        imagined = embed(th.cat([rows[:, : self.outcome.start], reward, rows[:, self.outcome.stop :]], dim=1))
        others = embed(self.unrewarded)
        found = [
            infer(th.cat([part.unsqueeze(1), others.expand(len(part), -1, -1)], dim=1)) for part in imagined.split(256)
        ]
        return th.cat([mean for mean, _ in found]), th.cat([std for _, std in found])


def evenly(rows: th.Tensor, n: int) -> th.Tensor:
    """So many of some rows, evenly spaced; of fewer some several times."""
    return rows[th.linspace(0, len(rows) - 1, n, device=rows.device).long()]


def far_apart(points: th.Tensor, n: int) -> th.Tensor:
    """
    Indices of n points, each the farthest from those before it (k-centre, greedily).

    :param points: (N, E)
    """
    chosen, distances = th.zeros(n, dtype=th.long), th.full((len(points),), th.inf, device=points.device)
    for k in range(1, n):
        distances = th.minimum(distances, th.linalg.vector_norm(points - points[chosen[k - 1]], dim=1))
        chosen[k] = distances.argmax()
    return chosen
