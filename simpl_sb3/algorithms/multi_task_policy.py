"""Policies of several tasks side by side, and the one that is distilled from them."""

from collections.abc import Sequence

import numpy as np
import torch as th
from gymnasium import spaces

from simpl_sb3 import functional
from simpl_sb3.algorithms.policies import Gaussian, SkillPriorPolicy
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.distilled import DistilledSkills

__all__ = ["MultiTaskPolicy"]


class MultiTaskPolicy(SkillPriorPolicy):
    """
    An actor and critics for each of T tasks, and skills whose prior is the shared policy; "MlpPolicy" of
    ``SkillPriorMTRL``. Each task's policy is a change of the skill prior, and its KL is measured to the shared policy.

    :param n_tasks: T
    :param others: parameters of ``SkillActorCritic``
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        skills: Skills,
        net_arch: Sequence[int] = (128, 128, 128),
        activation_fn: str = "relu",
        n_tasks: int = 1,
    ) -> None:
        super().__init__(observation_space, action_space, skills, net_arch, activation_fn, n_agents=n_tasks)
        self.distilled = DistilledSkills.over(self.skills, net_arch)

    def anchor(self, observations: th.Tensor, prior: Gaussian) -> Gaussian:
        """The shared policy."""
        return self.prior_of(self.distilled, observations)

    def distillation_loss(self, observations: th.Tensor) -> th.Tensor:
        """
        KL(policy of a task || shared policy) where that task's transitions are, with a gradient in the latter alone.

        :param observations: (T, B, O)
        :return: nats, mean over T and B, scalar
        """
        with th.no_grad():
            (mean, std), _ = self.distribution(observations, None)
        shared = self.distilled.prior(observations.flatten(0, 1))
        return functional.prior_fit_loss(mean.flatten(0, 1), std.flatten(0, 1), *shared)

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """As in SB3, of the shared policy, which knows of no task."""
        self.set_training_mode(False)
        given = np.asarray(observation, np.float32)
        batched = given.ndim == 2
        observations = th.as_tensor(np.atleast_2d(given), device=self.device)
        mean, std = self.prior_of(self.distilled, observations.unsqueeze(0))
        z = (mean if deterministic else mean + std * th.randn_like(std))[0]
        skills = z.clamp(-self.skill_bound, self.skill_bound).cpu().numpy()
        return (skills if batched else skills[0]), state

    def _predict(self, observation: th.Tensor, deterministic: bool = False) -> th.Tensor:  # type: ignore[override]
        z, _ = self.predict(np.asarray(observation.cpu()), deterministic=deterministic)
        return th.as_tensor(z, device=self.device)
