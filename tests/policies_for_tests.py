"""Small policies whose members differ, their learners, and batches for them."""

from typing import Any

import numpy as np
import torch as th
from envs_for_tests import OBSERVATIONS, SKILL_DIM, tiny_skills

from simpl_sb3.algorithms.policies import SkillPriorPEARLPolicy, SkillPriorPolicy
from simpl_sb3.algorithms.settings import LearnerSettings
from simpl_sb3.algorithms.updates import AgentLearner
from simpl_sb3.experience.batch import TaskBatch
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.wrapper import skill_action_space

BATCH, NET = 5, (8, 7)
UPDATE: dict[str, Any] = {
    "kl_clip": 5.0,
    "tau": 0.1,
    "learning_rate": 1e-2,
    "multiplier_learning_rate": 1e-2,
    "matmul_precision": "highest",
}


def skills(**arguments: Any) -> SkillModel:
    model = tiny_skills(**arguments)
    model.set_observation_statistics(np.array([1.0, -2.0]), np.array([3.0, 0.5]))
    return model


def make(
    n_agents: int = 1, latent_dim: int = 2, seed: int = 0, model: SkillModel | None = None, **arguments: Any
) -> SkillPriorPolicy:
    """A policy whose members differ, their actors included."""
    model = model or skills()
    th.manual_seed(seed)
    sizes: dict[str, Any] = {"net_arch": NET, "task_latent_dim": latent_dim, "n_agents": n_agents}
    return SkillPriorPolicy(OBSERVATIONS, skill_action_space(model), model, **(sizes | arguments))


def make_meta(**arguments: Any) -> SkillPriorPEARLPolicy:
    model = skills()
    th.manual_seed(0)
    sizes: dict[str, Any] = {"net_arch": NET, "task_latent_dim": 2, "encoder_width": 8}
    return SkillPriorPEARLPolicy(OBSERVATIONS, skill_action_space(model), model, **(sizes | arguments))


def trained(policy: SkillPriorPolicy) -> SkillPriorPolicy:
    """As if every member had learned something of its own."""
    generator = th.Generator().manual_seed(3)
    with th.no_grad():
        for module in (policy.actor, policy.critics, policy.critics_target):
            for parameter in module.parameters():
                parameter.add_(0.3 * th.randn(parameter.shape, generator=generator))
        policy.task_latent.normal_(generator=generator)
    return policy


def learner(policy: SkillPriorPolicy, skill_kl_target: float = 0.5, **changes: Any) -> AgentLearner:
    """The learner of a policy, its members' multipliers from exp(-3) to 1."""
    made = AgentLearner(policy, LearnerSettings(**(UPDATE | changes)), skill_kl_target, 0.05)
    with th.no_grad():
        made.budget.log_multiplier.copy_(th.linspace(-3.0, 0.0, policy.n_agents)[:, None])
    return made


def single(policy: SkillPriorPolicy, member: int) -> SkillPriorPolicy:
    alone = make(1, policy.task_latent_dim)
    alone.copy_agent(policy, member)
    return alone


def single_learner(many: AgentLearner, member: int) -> AgentLearner:
    alone = AgentLearner(make(1, many.policy.task_latent_dim), many.settings, float(many.budget.targets), 0.05)
    alone.copy_agent(many, member)
    return alone


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


def of_members(many: TaskBatch, members: list[int]) -> TaskBatch:
    return TaskBatch(**{name: value[members] for name, value in vars(many).items()})
