"""
Policies over skills: an actor that changes the frozen skill prior, twin critics, and for meta-training a task encoder.

Every network but the encoder holds M independent members side by side, so that one batched product per layer serves M
agents at once (adaptation to many tasks); meta-training and a single agent are the case M = 1.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch as th
import torch.nn.functional as F
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from simpl_sb3 import functional
from simpl_sb3.algorithms.task_encoders import make_task_encoder
from simpl_sb3.experience.buffer import TaskBatch
from simpl_sb3.skills.base import Skills

Gaussian = tuple[th.Tensor, th.Tensor]  # mean and standard deviation


class EnsembleMLP(nn.Module):
    """
    M independent ReLU networks of one shape.

    :param members: M
    :param sizes: features of input, hidden layers, and output
    :param zero_output: start with an output of 0
    """

    def __init__(self, members: int, sizes: Sequence[int], zero_output: bool = False) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for fan_in, fan_out in pairwise(sizes):
            bound = fan_in**-0.5  # as nn.Linear
            self.weights.append(th.empty(members, fan_in, fan_out).uniform_(-bound, bound))
            self.biases.append(th.empty(members, 1, fan_out).uniform_(-bound, bound))
        if zero_output:
            nn.init.zeros_(self.weights[-1])
            nn.init.zeros_(self.biases[-1])

    def forward(self, inputs: th.Tensor) -> th.Tensor:
        """(M, B, in) -> (M, B, out)."""
        hidden = inputs
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = F.relu(th.baddbmm(bias, hidden, weight), inplace=True)
        return th.baddbmm(self.biases[-1], hidden, self.weights[-1])


class SkillPriorPolicy(BasePolicy):
    """
    Actor, critics and KL multiplier of M agents over one frozen skill model; conditioned on a task latent where E > 0.

    :param skill_settings: from which ``Skills.from_settings`` rebuilds the frozen skills; weights are loaded later
    :param net_arch: hidden sizes of actor and critics
    :param task_latent_dim: E; 0 for none
    :param n_agents: M
    """

    task_latent: th.Tensor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        skill_settings: dict[str, Any],
        net_arch: Sequence[int] = (128, 128, 128),
        task_latent_dim: int = 0,
        n_agents: int = 1,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=False)
        self.skills = Skills.from_settings(skill_settings).freeze()  # its normalisation statistics never move
        self.net_arch, self.task_latent_dim, self.n_agents = list(net_arch), task_latent_dim, n_agents
        self.observation_dim, skill_dim = self.skills.observation_space.shape[0], self.skills.skill_dim
        state_dim = self.observation_dim + task_latent_dim
        self.actor = EnsembleMLP(n_agents, [state_dim, *net_arch, 2 * skill_dim], zero_output=True)
        self.critics = EnsembleMLP(2 * n_agents, [state_dim + skill_dim, *net_arch, 1])
        self.critics_target = EnsembleMLP(2 * n_agents, [state_dim + skill_dim, *net_arch, 1]).requires_grad_(False)
        self.critics_target.load_state_dict(self.critics.state_dict())
        self.log_multiplier = nn.Parameter(th.zeros(n_agents, 1))
        self.register_buffer("task_latent", th.zeros(n_agents, task_latent_dim))

    def _input(self, observations: th.Tensor, e: th.Tensor | None, *more: th.Tensor) -> th.Tensor:
        """Standardised observations (M, B, O), e (M, B, E) and whatever else the network reads, side by side."""
        parts = [self.skills.standardise(observations), *([] if e is None else [e]), *more]
        return th.cat(parts, dim=-1)

    def distribution(self, observations: th.Tensor, e: th.Tensor | None) -> tuple[Gaussian, Gaussian]:
        """
        :param observations: (M, B, O)
        :param e: (M, B, E), or None without task latent
        :return: the policy's and the skill prior's mean and standard deviation, each (M, B, Z)
        """
        with th.no_grad():
            prior = tuple(x.view(*observations.shape[:2], -1) for x in self.skills.prior(observations.flatten(0, 1)))
        residuals = self.actor(self._input(observations, e)).chunk(2, dim=-1)
        return functional.residual_gaussian(*prior, *residuals), prior  # type: ignore[return-value]

    def sample(self, observations: th.Tensor, e: th.Tensor | None) -> tuple[th.Tensor, th.Tensor]:
        """A reparametrised skill (M, B, Z), and the policy's KL to the skill prior in nats (M, B)."""
        (mean, std), prior = self.distribution(observations, e)
        return mean + std * th.randn_like(std), functional.gaussian_kl(mean, std, *prior)

    def q_values(self, critics: EnsembleMLP, observations: th.Tensor, e: th.Tensor | None, z: th.Tensor) -> th.Tensor:
        """Values (2, M, B) of skills z (M, B, Z)."""
        inputs = self._input(observations, e, z)
        both = inputs.unsqueeze(0).expand(2, -1, -1, -1).flatten(0, 1)  # (2 M, B, in)
        return critics(both).view(2, *inputs.shape[:2])

    def critic_loss(self, batch: TaskBatch, e: th.Tensor | None, multiplier: th.Tensor, kl_clip: float) -> th.Tensor:
        """
        Bellman error of the critics; its gradient also reaches ``e``, which is how the task encoder learns.

        :param batch: tensors (M, B, ...)
        :param e: (M, B, E) or None
        :param multiplier: weight of the skill KL, broadcastable to (M, B)
        :param kl_clip: in nats
        """
        with th.no_grad():
            fixed = None if e is None else e.detach()
            next_z, next_kl = self.sample(batch.next_observations, fixed)
            next_q = self.q_values(self.critics_target, batch.next_observations, fixed, next_z).amin(dim=0)
            target = functional.bellman_target(
                batch.rewards, batch.discounts, batch.terminated, next_q, next_kl, multiplier, kl_clip
            )
        return functional.critic_loss(self.q_values(self.critics, batch.observations, e, batch.actions), target)

    def actor_loss(
        self, observations: th.Tensor, e: th.Tensor | None, multiplier: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor]:
        """
        :return: the actor's loss, and its KL to the skill prior without gradient, (M, B)
        """
        z, kl = self.sample(observations, e)
        self.critics.requires_grad_(False)
        q = self.q_values(self.critics, observations, e, z).amin(dim=0)
        self.critics.requires_grad_(True)
        return functional.actor_loss(q, kl, multiplier), kl.detach()

    @th.no_grad()
    def act(self, observations: np.ndarray, e: th.Tensor | None, deterministic: bool = False) -> np.ndarray:
        """
        :param observations: one per member (n_agents, O), or any number for a single member (B, O)
        :param e: task latents, as many as observations, or None
        :return: skills, as many as observations, (..., Z)
        """
        shape = (self.n_agents, -1, observations.shape[-1])
        latents = None if e is None else e.to(self.device).view(self.n_agents, -1, self.task_latent_dim)
        (mean, std), _ = self.distribution(th.as_tensor(observations, device=self.device).view(shape), latents)
        z = mean if deterministic else mean + std * th.randn_like(std)
        return np.asarray(z.flatten(0, 1).cpu().numpy())

    def keep_agents(self, members: np.ndarray, optimizers: dict[str, th.optim.Optimizer]) -> None:
        """
        Drop all agents but these, with their part of the optimisers' state.

        :param members: indices of the agents to keep, (K,)
        """
        states = {parameter: state for optimizer in optimizers.values() for parameter, state in optimizer.state.items()}
        for parameter, at in self._by_agent(members):
            parameter.data = parameter.data[at]
            parameter.grad = None
            for name, value in states.get(parameter, {}).items():
                if value.dim() == parameter.dim():
                    states[parameter][name] = value[at]
        self.task_latent = self.task_latent[th.as_tensor(members)]
        self.n_agents = len(members)

    def copy_agent(self, source: "SkillPriorPolicy", member: int) -> None:
        """Become one agent of ``source``, which has the same sizes."""
        ours = [parameter for parameter, _ in self._by_agent(np.zeros(1, int))]
        for own, (parameter, at) in zip(ours, source._by_agent(np.array([member])), strict=True):
            own.data.copy_(parameter.data[at])
        self.task_latent.copy_(source.task_latent[[member]])

    def _by_agent(self, members: np.ndarray) -> Iterator[tuple[nn.Parameter, th.Tensor]]:
        """Every parameter that agents own, and the rows of its first dimension that belong to these agents."""
        actors = th.as_tensor(members, device=self.device)
        twins = th.cat([actors, actors + self.n_agents])  # critics are laid (2, M)
        for module, at in ((self.actor, actors), (self.critics, twins), (self.critics_target, twins)):
            for parameter in module.parameters():
                yield parameter, at
        yield self.log_multiplier, actors

    def _predict(self, observation: th.Tensor, deterministic: bool = False) -> th.Tensor:  # type: ignore[override]
        observations = observation.float().view(self.n_agents, -1, self.observation_dim)
        e = self.task_latent.unsqueeze(1).expand(-1, observations.shape[1], -1) if self.task_latent_dim else None
        (mean, std), _ = self.distribution(observations, e)
        z = mean if deterministic else mean + std * th.randn_like(std)
        return z.flatten(0, 1)

    def forward(self, observation: th.Tensor, deterministic: bool = False) -> th.Tensor:
        return self._predict(observation, deterministic)


class SkillPriorPEARLPolicy(SkillPriorPolicy):
    """
    The meta-policy: one member conditioned on e, with the task encoder q(e | context) and one multiplier per KL budget.

    :param n_tasks: training tasks, each with its own multiplier of the latent's KL at the posterior-sized context
    :param task_encoder: one of ``task_encoders.TASK_ENCODERS``
    :param encoder_width: features of the encoder
    """

    latent_mean: th.Tensor
    latent_cholesky: th.Tensor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        skill_settings: dict[str, Any],
        net_arch: Sequence[int] = (128, 128, 128),
        task_latent_dim: int = 5,
        n_tasks: int = 1,
        task_encoder: str = "deep-set",
        encoder_width: int = 128,
    ) -> None:
        super().__init__(observation_space, action_space, lr_schedule, skill_settings, net_arch, task_latent_dim)
        context_dim = 2 * self.observation_dim + self.skills.skill_dim + 2  # (s, z, r, done, s')
        self.task_encoder = make_task_encoder(task_encoder, context_dim, task_latent_dim, encoder_width)
        # of KL(policy || skill prior): prior-sized, posterior-sized; of KL(q(e | c) || N(0, I)): prior-sized, per task
        self.log_skill_multipliers = nn.Parameter(th.zeros(2))
        self.log_latent_multipliers = nn.Parameter(th.zeros(1 + n_tasks))
        self.register_buffer("latent_mean", th.zeros(task_latent_dim))  # the training tasks' latents, as one Gaussian
        self.register_buffer("latent_cholesky", th.eye(task_latent_dim))

    def sample_latent(self, exploration: str, spread: float = 1.0) -> th.Tensor:
        """
        A task latent to explore with.

        :param exploration: "prior" for N(0, I); "aggregate" for the Gaussian around the latents of the training tasks
        :param spread: factor on the standard deviation of "aggregate"
        :return: (E,)
        """
        noise = th.randn(self.task_latent_dim, device=self.device)
        return noise if exploration == "prior" else self.latent_mean + spread * (self.latent_cholesky @ noise)

    def remember_latents(self, mean: th.Tensor, std: th.Tensor) -> None:
        """
        Fit the Gaussian from which ``sample_latent("aggregate")`` draws to the posteriors of tasks, by its moments.

        :param mean: of q(e | context), (T, E)
        :param std: (T, E)
        """
        centred = mean - mean.mean(dim=0)
        covariance = centred.T @ centred / max(1, len(mean) - 1) + th.diag(std.square().mean(dim=0))
        self.latent_mean.copy_(mean.mean(dim=0))
        self.latent_cholesky.copy_(th.linalg.cholesky(covariance))

    def encode(self, context: th.Tensor) -> Gaussian:
        """
        q(e | context), its observations standardised first.

        :param context: rows (s, z, r, done, s'), (T, N, row)
        :return: mean and standard deviation, each (T, E)
        """
        size = self.observation_dim
        before, middle, after = context.split([size, context.shape[-1] - 2 * size, size], dim=-1)
        rows = th.cat([self.skills.standardise(before), middle, self.skills.standardise(after)], dim=-1)
        return self.task_encoder(rows)
