"""
Policies over skills: an actor that changes the frozen skill prior, twin critics, and for meta-training a task encoder.

Every network but the encoder holds M independent members side by side, so that one batched product per layer serves M
agents at once (adaptation to many tasks); meta-training and a single agent are the case M = 1.

::

    SkillActorCritic          actor, critics, the losses, and the one way to act
      SkillPriorPolicy          M agents, each with its own fixed task latent e*
      SkillPriorPEARLPolicy     the meta-policy: e is given with each observation; q(e | context)
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import nn

from simpl_sb3 import functional
from simpl_sb3.algorithms.imagined_tasks import ImaginedTasks
from simpl_sb3.algorithms.networks import EnsembleMLP, joined
from simpl_sb3.algorithms.task_encoders import make_task_encoder
from simpl_sb3.errors import AFTER_DIVERGENCE, DivergenceError, SettingsError
from simpl_sb3.experience.batch import TaskBatch
from simpl_sb3.experience.rows import ContextRows
from simpl_sb3.numerics import inference
from simpl_sb3.skills.base import Skills

Gaussian = tuple[th.Tensor, th.Tensor]  # mean and standard deviation


class SkillActorCritic(BasePolicy):
    """
    Actor and critics of M agents over one frozen skill model; conditioned on a task latent where E > 0.

    :param observation_space: one-dimensional Box
    :param action_space: of skills; actions beyond its bounds are clipped to them
    :param skills: the frozen skills; a copy is frozen where they are not
    :param net_arch: hidden sizes of actor and critics
    :param activation_fn: name in ``ACTIVATIONS``
    :param task_latent_dim: E; 0 for none
    :param n_agents: M
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        skills: Skills,
        net_arch: Sequence[int] = (128, 128, 128),
        activation_fn: str = "relu",
        task_latent_dim: int = 0,
        n_agents: int = 1,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=False)
        frozen = not any(parameter.requires_grad for parameter in skills.parameters())
        self.skills = skills if frozen else copy.deepcopy(skills).freeze()
        self.net_arch, self.task_latent_dim, self.n_agents = list(net_arch), task_latent_dim, n_agents
        self.activation_fn = activation_fn
        self.observation_dim, skill_dim = self.skills.observation_space.shape[0], self.skills.skill_dim
        self.skill_bound = float(np.max(action_space.high))
        state_dim = self.observation_dim + task_latent_dim
        actor_sizes, critic_sizes = [state_dim, *net_arch, 2 * skill_dim], [state_dim + skill_dim, *net_arch, 1]
        self.actor = EnsembleMLP(n_agents, actor_sizes, zero_output=True, activation_fn=activation_fn)
        self.critics = EnsembleMLP(2 * n_agents, critic_sizes, activation_fn=activation_fn)
        self.critics_target = copy.deepcopy(self.critics).requires_grad_(False)

    # ------------------------------------------------------------ networks and losses

    def _input(self, observations: th.Tensor, e: th.Tensor | None, *more: th.Tensor) -> th.Tensor:
        """Standardised observations (M, B, O), e (M, B, E) and whatever else the network reads, side by side."""
        parts = [self.skills.standardise(observations), *([] if e is None else [e]), *more]
        return th.cat(parts, dim=-1)

    def distribution(self, observations: th.Tensor, e: th.Tensor | None) -> tuple[Gaussian, Gaussian]:
        """
        :param observations: (M, B, O)
        :param e: (M, B, E), or None without task latent
        :return: mean and standard deviation of the policy, and of what its KL is measured to, each (M, B, Z)
        """
        prior = self.prior_of(self.skills, observations)
        residuals = self.actor(self._input(observations, e)).chunk(2, dim=-1)
        return functional.residual_gaussian(*prior, *residuals), self.anchor(observations, prior)

    @staticmethod
    @th.no_grad()
    def prior_of(skills: Skills, observations: th.Tensor) -> Gaussian:
        """The prior of some skills for observations (M, B, O): mean and standard deviation, each (M, B, Z)."""
        mean, std = (x.view(*observations.shape[:2], -1) for x in skills.prior(observations.flatten(0, 1)))
        return mean, std

    def anchor(self, observations: th.Tensor, prior: Gaussian) -> Gaussian:
        """What the policy's KL is measured to, where the observations (M, B, O) have this skill prior: that itself."""
        return prior

    def sample(self, observations: th.Tensor, e: th.Tensor | None) -> tuple[th.Tensor, th.Tensor]:
        """A reparametrised skill (M, B, Z) as it is acted, clipped, and the KL to the skill prior in nats (M, B)."""
        (mean, std), prior = self.distribution(observations, e)
        z = (mean + std * th.randn_like(std)).clamp(-self.skill_bound, self.skill_bound)
        return z, functional.gaussian_kl(mean, std, *prior)

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
        :param kl_clip: bound of the KL in the target, nats
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

    # ------------------------------------------------------------ the one way to act

    @inference()
    def act(
        self,
        observations: np.ndarray,
        e: th.Tensor | None = None,
        deterministic: bool = False,
        bare: th.Tensor | None = None,
    ) -> np.ndarray:
        """
        Skills for observations: whoever collects, predicts or films asks here. Products are in float32, and skills
        beyond the action space's bounds are clipped to them.

        :param observations: one per member (M, O), or any number for a single member (B, O)
        :param e: task latents, as many as observations, or None
        :param deterministic: the mean instead of a sample
        :param bare: where the skill prior acts instead, as many as observations; None for nowhere
        :return: skills, as many as observations, (..., Z)
        :raises DivergenceError: where they are NaN
        """
        shape = (self.n_agents, -1, observations.shape[-1])
        given = th.as_tensor(observations, dtype=th.float32, device=self.device).view(shape)
        latents = None if e is None else e.to(self.device).view(self.n_agents, -1, self.task_latent_dim)
        (mean, std), (prior_mean, prior_std) = self.distribution(given, latents)
        if bare is not None:
            where = bare.to(self.device).view(self.n_agents, -1, 1)
            mean, std = th.where(where, prior_mean, mean), th.where(where, prior_std, std)
        z = mean if deterministic else mean + std * th.randn_like(std)
        skills = np.asarray(z.clamp(-self.skill_bound, self.skill_bound).flatten(0, 1).cpu().numpy())
        if np.isnan(skills).any():
            raise DivergenceError(f"The policy's skills are NaN: the learning diverged. {AFTER_DIVERGENCE}")
        return skills

    def _checked(self, observation: Any) -> tuple[np.ndarray, bool]:
        """
        An observation or a batch of them as (B, O), and whether it was a batch.

        :raises SettingsError: for another shape than (O,) or (B, O)
        """
        expected = f"expected ({self.observation_dim},) or (n_envs, {self.observation_dim})"
        try:
            given = np.asarray(observation.cpu() if isinstance(observation, th.Tensor) else observation, np.float32)
        except (TypeError, ValueError):
            raise SettingsError(f"The observation is a {type(observation).__name__}: {expected} of numbers.") from None
        fits = given.ndim in (1, 2) and given.shape[-1] == self.observation_dim and len(given)
        if not fits or given.size % (self.n_agents * self.observation_dim):
            raise SettingsError(f"The observation of {self.n_agents} agents has shape {given.shape}: {expected}.")
        return given.reshape(-1, self.observation_dim), given.ndim == 2

    def forward(self, observation: th.Tensor, deterministic: bool = False) -> th.Tensor:
        return self._predict(observation, deterministic)

    def save(self, path: str) -> NoReturn:
        """Refused: SB3 would pickle the policy."""
        raise SettingsError("A policy is not saved alone: save the model, model.save(path), and load that.")

    @classmethod
    def load(cls, path: str, device: th.device | str = "auto") -> NoReturn:
        """Refused: SB3 would unpickle whatever the file holds."""
        raise SettingsError(
            "A policy is not loaded alone, since SB3 would run what its file holds: "
            "SkillPriorSAC.load(path) or SkillPriorPEARL.load(path) read a saved model."
        )

    def _predict(self, observation: th.Tensor, deterministic: bool = False) -> th.Tensor:  # type: ignore[override]
        z, _ = self.predict(np.asarray(observation.cpu()), deterministic=deterministic)
        return th.as_tensor(z, device=self.device)


class SkillPriorPolicy(SkillActorCritic):
    """
    M agents, each with its own task latent e* where E > 0; "MlpPolicy" of ``SkillPriorSAC``.

    Parameters are those of ``SkillActorCritic``.
    """

    task_latent: th.Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_buffer("task_latent", th.zeros(self.n_agents, self.task_latent_dim))

    def latents(self, n: int) -> th.Tensor | None:
        """The agents' task latents for n observations each, (M, n, E); None without task latent."""
        return self.task_latent.unsqueeze(1).expand(-1, n, -1) if self.task_latent_dim else None

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """
        As in SB3.

        :param observation: (O,) or (n_envs, O); of M agents one each, (M, O)
        :param state: handed back
        :param episode_start: not used
        :param deterministic: the mean instead of a sample
        :return: skills (Z,) or (n_envs, Z), and the state
        """
        self.set_training_mode(False)
        observations, batched = self._checked(observation)
        latents = self.latents(len(observations) // self.n_agents)
        z = self.act(observations, latents, deterministic)
        return (z if batched else z[0]), state

    def by_agent(self, members: np.ndarray) -> Iterator[tuple[nn.Parameter, th.Tensor]]:
        """Every parameter that agents own, and the rows of its first dimension that belong to these agents."""
        actors = th.as_tensor(members, device=self.device)
        twins = th.cat([actors, actors + self.n_agents])  # critics are laid (2, M)
        for module, at in ((self.actor, actors), (self.critics, twins), (self.critics_target, twins)):
            for parameter in module.parameters():
                yield parameter, at

    def keep_agents(self, members: np.ndarray) -> None:
        """Drop all agents but these (indices (K,))."""
        for parameter, at in self.by_agent(members):
            parameter.data = parameter.data[at]
            parameter.grad = None
        self.task_latent = self.task_latent[th.as_tensor(members)]
        self.n_agents = len(members)

    def add_agents(self, other: "SkillPriorPolicy") -> None:
        """Take in all agents of a policy of the same sizes, after one's own."""
        first = np.zeros(1, int)
        for (own, at), (theirs, _) in zip(self.by_agent(first), other.by_agent(first), strict=True):
            own.data, own.grad = joined(own.data, theirs.data, len(at)), None
        self.task_latent = th.cat([self.task_latent, other.task_latent])
        self.n_agents += other.n_agents

    def copy_agent(self, source: "SkillPriorPolicy", member: int) -> None:
        """Become one agent of ``source``, which has the same sizes."""
        ours = [parameter for parameter, _ in self.by_agent(np.zeros(1, int))]
        for own, (parameter, at) in zip(ours, source.by_agent(np.array([member])), strict=True):
            own.data.copy_(parameter.data[at])
        self.task_latent.copy_(source.task_latent[[member]])

    def copy_meta(self, meta: "SkillPriorPEARLPolicy") -> None:
        """Every agent becomes a copy of the meta-policy, which has the same sizes."""
        for name in ("actor", "critics", "critics_target"):
            ours, metas = getattr(self, name).parameters(), getattr(meta, name).parameters()
            for own, theirs in zip(ours, metas, strict=True):
                own.data.copy_(theirs.data.repeat_interleave(self.n_agents, dim=0))


class SkillPriorPEARLPolicy(SkillActorCritic):
    """
    The meta-policy: one member, whose e is given with each observation, and the task encoder q(e | context).

    :param task_encoder: one of ``task_encoders.TASK_ENCODERS``
    :param encoder_width: features of the encoder
    :param exploration: where :meth:`predict` takes a task latent from, see :meth:`sample_latent`
    :param exploration_spread: factor on the standard deviation of "aggregate"
    """

    later_tensors = ("imagined.rows", "imagined.unrewarded", "imagined.reward")  # not in earlier files
    latent_mean: th.Tensor
    latent_cholesky: th.Tensor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        skills: Skills,
        net_arch: Sequence[int] = (128, 128, 128),
        activation_fn: str = "relu",
        task_latent_dim: int = 5,
        task_encoder: str = "deep-set",
        encoder_width: int = 128,
        exploration: str = "aggregate",
        exploration_spread: float = 1.5,
    ) -> None:
        super().__init__(observation_space, action_space, skills, net_arch, activation_fn, task_latent_dim)
        self.context_rows = ContextRows(self.observation_dim, self.skills.skill_dim)
        self.task_encoder = make_task_encoder(task_encoder, self.context_rows.dim, task_latent_dim, encoder_width)
        self.exploration, self.exploration_spread = exploration, exploration_spread
        self.register_buffer("latent_mean", th.zeros(task_latent_dim))  # the training tasks' latents, as one Gaussian
        self.register_buffer("latent_cholesky", th.eye(task_latent_dim))
        self.imagined = ImaginedTasks(self.context_rows.dim, self.context_rows.outcome)

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
        q(e | context) with gradients, its observations standardised first.

        :param context: rows (s, z, r, done, s'), (T, N, row)
        :return: mean and standard deviation, each (T, E)
        """
        return self.task_encoder.infer(self._embed(context))

    def _embed(self, rows: th.Tensor) -> th.Tensor:
        parts = {name: rows[..., columns] for name, columns in self.context_rows.columns.items()}
        for name in ("observations", "next_observations"):
            parts[name] = self.skills.standardise(parts[name])
        return self.task_encoder.embed(th.cat(list(parts.values()), dim=-1))

    @inference()
    def infer(self, context: th.Tensor) -> Gaussian:
        """As :meth:`encode`, without gradients and in float32: what a context says about its task."""
        return self.encode(context.to(self.device))

    @inference()
    def imagine(self, rows: th.Tensor) -> Gaussian:
        """q(e | one reward, after the last state of a row) for rows (K, row), whose own rewards do not matter."""
        return self.imagined.infer(rows.to(self.device), self._embed, self.task_encoder.infer)

    def predict(  # type: ignore[override]
        self,
        observation: np.ndarray,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """
        Skills of the policy that explores: ``state`` holds each environment's task latent, drawn again where an episode
        starts.

        :param observation: (O,) or (n_envs, O)
        :param state: what the last call returned, or None at the start
        :param episode_start: where an episode starts, (n_envs,)
        :param deterministic: the mean instead of a sample
        :return: skills (Z,) or (n_envs, Z), and the state (e (n_envs, E),)
        """
        self.set_training_mode(False)
        observations, batched = self._checked(observation)
        e = np.array(state[0] if state is not None else np.zeros((len(observations), self.task_latent_dim)), np.float32)
        starts = np.ones(len(e), bool) if state is None else np.zeros(len(e), bool)
        if state is not None and episode_start is not None:
            starts = np.asarray(episode_start, bool).reshape(-1)
        for i in np.flatnonzero(starts):
            e[i] = self.sample_latent(self.exploration, self.exploration_spread).cpu().numpy()
        z = self.act(observations, th.as_tensor(e, device=self.device), deterministic)
        return (z if batched else z[0]), (e,)
