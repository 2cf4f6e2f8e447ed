"""Small policies whose members differ, and batches for them."""

from typing import Any

import numpy as np
import torch as th
from envs_for_tests import OBSERVATIONS, SKILL_DIM, tiny_skills

from simpl_sb3.algorithms.policies import SkillPriorPolicy
from simpl_sb3.experience.buffer import TaskBatch
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.wrapper import skill_action_space

BATCH, NET = 5, (8, 7)
UPDATE: dict[str, Any] = {"skill_kl_target": 0.5, "kl_clip": 5.0, "tau": 0.1, "multipliers_only_grow": False}


def skills(**arguments: Any) -> SkillModel:
    model = tiny_skills(**arguments)
    model.set_observation_statistics(np.array([1.0, -2.0]), np.array([3.0, 0.5]))
    return model


def make(n_agents: int = 1, latent_dim: int = 2, seed: int = 0, model: SkillModel | None = None) -> SkillPriorPolicy:
    """A policy whose members differ, their actors included."""
    model = model or skills()
    th.manual_seed(seed)
    policy = SkillPriorPolicy(
        OBSERVATIONS, skill_action_space(model), lambda _: 0.0, model.settings, NET, latent_dim, n_agents
    )
    policy.skills.load_state_dict(model.state_dict())
    return policy


def trained(policy: SkillPriorPolicy) -> SkillPriorPolicy:
    """As if every member had learned something of its own."""
    generator = th.Generator().manual_seed(3)
    with th.no_grad():
        for module in (policy.actor, policy.critics, policy.critics_target):
            for parameter in module.parameters():
                parameter.add_(0.3 * th.randn(parameter.shape, generator=generator))
        policy.log_multiplier.copy_(th.linspace(-3.0, 0.0, policy.n_agents)[:, None])
        policy.task_latent.normal_(generator=generator)
    return policy


def single(policy: SkillPriorPolicy, member: int) -> SkillPriorPolicy:
    one = make(1, policy.task_latent_dim)
    one.copy_agent(policy, member)
    return one


def batch(n_agents: int, size: int = BATCH, seed: int = 1) -> TaskBatch:
    generator = th.Generator().manual_seed(seed)

    def normal(*shape: int) -> th.Tensor:
        return th.randn(n_agents, size, *shape, generator=generator)

    return TaskBatch(
        observations=normal(2),
        actions=normal(SKILL_DIM),
        rewards=normal(),
        discounts=th.full((n_agents, size), 0.9),
        terminated=(normal() > 0.5).float(),
        next_observations=normal(2),
    )
