"""``MamlPolicy``: a policy over skills whose weights can be other ones for each task."""

from collections.abc import Mapping
from typing import Any

import torch as th

from simpl_sb3 import functional
from simpl_sb3.algorithms.policies import Gaussian, SkillPriorPolicy
from simpl_sb3.algorithms.policy_gradient import Rollouts, log_likelihood

__all__ = ["MamlPolicy", "Weights"]

Weights = Mapping[str, th.Tensor]
"""The actor's parameters by name, each (T, ...): those of T tasks side by side."""


class MamlPolicy(SkillPriorPolicy):
    """
    M agents without critics; "MlpPolicy" of ``SkillPriorMAML``. An agent begins as the skill prior.

    Parameters are those of ``SkillActorCritic``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.critics, self.critics_target

    def weights(self, n_tasks: int | None = None) -> dict[str, th.Tensor]:
        """
        The actor's parameters, with their gradient.

        :param n_tasks: repeat those of a single agent so often
        """
        found = dict(self.actor.named_parameters())
        return {name: value if n_tasks is None else value.expand(n_tasks, -1, -1) for name, value in found.items()}

    def take(self, weights: Weights) -> None:
        """Act with these from now on."""
        with th.no_grad():
            for name, parameter in self.actor.named_parameters():
                parameter.copy_(weights[name])

    def gaussian(self, weights: Weights, observations: th.Tensor) -> Gaussian:
        """Mean and standard deviation (T, N, Z) for observations (T, N, O), with a gradient in the weights."""
        residuals = th.func.functional_call(self.actor, dict(weights), (self._input(observations, None),))
        return functional.residual_gaussian(*self.prior_of(self.skills, observations), *residuals.chunk(2, dim=-1))

    def inner_step(self, weights: Weights, lived: Rollouts, rate: float, first_order: bool) -> dict[str, th.Tensor]:
        """
        One step of policy gradient for each task.

        :param weights: (T, ...)
        :param lived: with these weights
        :param rate: step on the gradient
        :param first_order: take the gradient for a constant, so that nothing is differentiated through it
        :return: the tasks' weights after it
        """
        likelihood = log_likelihood(*self.gaussian(weights, lived.observations), lived.z)
        gain = (lived.weights * lived.advantages * likelihood).sum()  # of each task alone: no weight is shared
        gradients = th.autograd.grad(gain, list(weights.values()), create_graph=not first_order)
        return {
            name: value + rate * gradient for (name, value), gradient in zip(weights.items(), gradients, strict=True)
        }
