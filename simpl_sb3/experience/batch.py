"""``TaskBatch``: transitions of several tasks, as tensors."""

from dataclasses import dataclass

import torch as th

__all__ = ["TaskBatch"]


@dataclass(frozen=True)
class TaskBatch:
    """
    Transitions of several tasks; a transition spans up to n skills.

    :param observations: (T, B, O)
    :param actions: first skill, (T, B, Z)
    :param rewards: discounted sum over the span, (T, B)
    :param discounts: of what follows the span, (T, B)
    :param terminated: whether nothing follows, (T, B)
    :param next_observations: after the span, (T, B, O)
    """

    observations: th.Tensor
    actions: th.Tensor
    rewards: th.Tensor
    discounts: th.Tensor
    terminated: th.Tensor
    next_observations: th.Tensor

    def followed_by(self, other: "TaskBatch") -> "TaskBatch":
        """The tasks of both, as many transitions of each."""
        return TaskBatch(**{name: th.cat([value, getattr(other, name)]) for name, value in vars(self).items()})

    def as_one(self) -> "TaskBatch":
        """The tasks' transitions laid one after the other, as the batch of a single agent, (1, T * B, ...)."""
        return TaskBatch(**{name: value.flatten(0, 1).unsqueeze(0) for name, value in vars(self).items()})
