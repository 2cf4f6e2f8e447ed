"""``Explorer``: how a new task is explored, in meta-training and in adaptation alike."""

import numpy as np
import torch as th

from simpl_sb3.algorithms.policies import Gaussian, SkillPriorPEARLPolicy
from simpl_sb3.algorithms.settings import ExplorationSettings

__all__ = ["Explorer"]


class Explorer:
    """
    The meta-policy with a guess in place of the task latent, or in its stead the bare skill prior.

    Guesses are (E + 1,): a task latent, and 1 where the skill prior acts, else 0. The prior gets to places that no
    latent of the training tasks leads to; a meta-policy alone would never leave what it has learned.

    :param policy: the meta-policy
    :param settings: of the exploration
    :param source: of the latents, see ``SkillPriorPEARLPolicy.sample_latent``
    """

    def __init__(self, policy: SkillPriorPEARLPolicy, settings: ExplorationSettings, source: str) -> None:
        self.policy, self.settings, self.source = policy, settings, source
        self.size = policy.task_latent_dim + 1

    def guess(self) -> th.Tensor:
        """A guess where nothing is known of the task, (E + 1,)."""
        share = self.settings.exploration_skill_prior
        if share > 0.0 and th.rand(()).item() < share:
            return th.cat([th.zeros(self.size - 1), th.ones(1)])
        return self._as_guess(self.policy.sample_latent(self.source, self.settings.exploration_spread))

    def guess_from(self, posterior: Gaussian) -> th.Tensor:
        """
        A guess from what is known of the task, (E + 1,).

        :param posterior: mean and standard deviation of q(e | context), each (1, E)
        """
        mean, std = posterior
        return self._as_guess((mean + std * th.randn_like(std))[0])

    @staticmethod
    def _as_guess(e: th.Tensor) -> th.Tensor:
        return th.cat([e.cpu(), th.zeros(1)])

    def act(self, observations: np.ndarray, guesses: th.Tensor) -> np.ndarray:
        """
        Skills for observations.

        :param observations: (B, O)
        :param guesses: (B, E + 1)
        :return: (B, Z)
        """
        bare = guesses[:, -1] > 0.0
        return self.policy.act(observations, guesses[:, :-1], bare=bare if bool(bare.any()) else None)
