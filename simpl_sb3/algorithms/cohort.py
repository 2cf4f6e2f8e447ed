"""``Cohort``: the agents of an adaptation that fine-tune, as one batched policy and its learner."""

from typing import Any

import numpy as np

from simpl_sb3.algorithms.policies import SkillPriorPEARLPolicy, SkillPriorPolicy
from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.updates import AgentLearner
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.skills.base import Skills

__all__ = ["Cohort"]


class Cohort:
    """
    Agents that learn side by side, at first with networks that have learned nothing.

    :param agents: their indices; member m of the policy is ``agents[m]``
    :param spaces: of observations, and of skills
    :param skills: frozen
    :param meta: the meta-policy whose sizes theirs have; None for those of the settings
    :param settings: of the adaptation
    :param multiplier: of the skill KL at the start
    """

    def __init__(
        self,
        agents: np.ndarray,
        spaces: tuple[Any, Any],
        skills: Skills,
        meta: SkillPriorPEARLPolicy | None,
        settings: AdaptationSettings,
        multiplier: float,
    ) -> None:
        self.agents = agents
        self.policy = SkillPriorPolicy(
            *spaces,
            skills,
            net_arch=settings.net_arch if meta is None else meta.net_arch,
            activation_fn=settings.activation_fn if meta is None else meta.activation_fn,
            task_latent_dim=0 if meta is None else meta.task_latent_dim,
            n_agents=len(agents),
        ).to(skills.observation_mean.device if meta is None else meta.device)
        self.learner = AgentLearner(self.policy, settings, settings.skill_kl_target, multiplier)

    def update(self, replay: TaskReplayBuffer, settings: AdaptationSettings, n_updates: int) -> None:
        """Some updates, each agent's from its own ring of the replay buffer."""
        how = settings.batch_size, settings.gamma, settings.n_steps, settings.gamma_per_env_step
        for _ in range(n_updates):
            self.learner.update_agents(replay.sample(self.agents, *how))

    def without(self, agents: np.ndarray) -> "Cohort | None":
        """Itself after some agents left; None where nobody stays."""
        stay = np.flatnonzero(~np.isin(self.agents, agents))
        if len(stay) < len(self.agents):
            self.agents = self.agents[stay]
            if len(stay):
                self.learner.keep_agents(stay)
        return self if len(stay) else None

    def joined_by(self, other: "Cohort") -> "Cohort":
        """Itself with the agents of another one."""
        self.agents = np.concatenate([self.agents, other.agents])
        self.learner.add_agents(other.learner)
        return self
