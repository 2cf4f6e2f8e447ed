"""
The learner: one update of critics, actor, KL budget and target critics, for a single agent, for M agents side by side,
and for meta-training.
"""

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch as th
from stable_baselines3.common.utils import polyak_update
from torch import nn

from simpl_sb3 import functional
from simpl_sb3.algorithms.multi_task_policy import MultiTaskPolicy
from simpl_sb3.algorithms.networks import joined
from simpl_sb3.algorithms.policies import SkillActorCritic, SkillPriorPEARLPolicy, SkillPriorPolicy
from simpl_sb3.algorithms.settings import LearnerSettings, MetaTrainingSettings, MultiTaskSettings
from simpl_sb3.errors import AFTER_DIVERGENCE, DivergenceError, ModelFileError
from simpl_sb3.experience.batch import TaskBatch
from simpl_sb3.numerics import matmul_precision
from simpl_sb3.skills.tensor_files import check_like, check_optimizer_state
from simpl_sb3.threads import largest_layer, small_products

__all__ = [
    "AgentLearner",
    "KLBudget",
    "Learner",
    "MetaLearner",
    "MultiTaskLearner",
    "NoLearner",
    "Update",
]


class KLBudget(nn.Module):
    """
    Budgets of a KL divergence, each with a learned multiplier: dual descent raises a multiplier while its KL exceeds
    its target, and lowers it otherwise.

    :param targets: in nats; one for all, or one per multiplier
    :param initial: the multipliers at the start, in any shape
    :param learning_rate: step on the multipliers' logarithm
    :param only_grow: never lower a multiplier (the paper)
    """

    targets: th.Tensor

    def __init__(
        self, targets: float | Sequence[float], initial: th.Tensor, learning_rate: float, only_grow: bool
    ) -> None:
        super().__init__()
        self.register_buffer("targets", th.as_tensor(targets, dtype=th.float32), persistent=False)
        self.log_multiplier = nn.Parameter(initial.double().log().float())
        self.only_grow, self.learning_rate = only_grow, learning_rate
        self.optimizer = th.optim.Adam([self.log_multiplier], lr=learning_rate)

    def multiplier(self, at: th.Tensor | None = None) -> th.Tensor:
        """The multipliers, or those at some indices, without gradient."""
        multiplier = self.log_multiplier.detach().exp()
        return multiplier if at is None else multiplier[at]

    @small_products()
    def update(self, kl: th.Tensor, at: th.Tensor | None = None) -> None:
        """
        One step of dual descent.

        :param kl: in nats, shaped as the multipliers, or as ``at``
        :param at: indices of the multipliers that these KLs belong to; others see no gradient
        """
        multiplier, targets = self.log_multiplier.exp(), self.targets
        if at is not None:
            multiplier, targets = multiplier[at], targets[at] if targets.dim() else targets
        self.optimizer.zero_grad()
        functional.multiplier_loss(multiplier, kl, targets).backward()
        if self.only_grow:
            assert self.log_multiplier.grad is not None
            self.log_multiplier.grad.clamp_(max=0.0)
        self.optimizer.step()


class Update(NamedTuple):
    """
    What one update did.

    :param critic_loss: sum over agents, scalar
    :param actor_loss: sum over agents, scalar
    :param skill_kl: KL of the policy to the skill prior in nats, (M, B)
    """

    critic_loss: th.Tensor
    actor_loss: th.Tensor
    skill_kl: th.Tensor


class Learner:
    """
    Everything that learns but the policy itself: optimisers and KL budgets, and the update that uses them.

    :param policy: actor and critics of M agents
    :param settings: steps, discount and precision
    :param budgets: KL budgets by name
    :param encoder: parameters that learn from the critics' loss
    """

    def __init__(
        self,
        policy: SkillActorCritic,
        settings: LearnerSettings,
        budgets: dict[str, KLBudget],
        encoder: Iterable[nn.Parameter] = (),
    ) -> None:
        self.policy, self.settings, self.budgets = policy, settings, budgets
        rate = settings.learning_rate if isinstance(settings.learning_rate, float) else settings.learning_rate[1]
        values = [*policy.critics.parameters(), *encoder]
        self.optimizers = {
            "actor": th.optim.Adam(policy.actor.parameters(), lr=rate, fused=True),
            "critic": th.optim.Adam(values, lr=rate, fused=True),
        }

    def update(
        self,
        batch: TaskBatch,
        e: th.Tensor | None,
        multiplier: th.Tensor,
        encoder_loss: th.Tensor | None = None,
    ) -> Update:
        """
        Critics (and through ``e`` the encoder), actor, target critics; the budgets are the caller's.

        :param batch: tensors (M, B, ...)
        :param e: task latents (M, B, E), or None
        :param multiplier: weight of the skill KL, broadcastable to (M, B)
        :param encoder_loss: added to the critics' loss
        """
        policy, settings = self.policy, self.settings
        products = small_products(batch.rewards.shape[-1] * largest_layer(policy))
        with products, matmul_precision(settings.matmul_precision):
            critic_loss = policy.critic_loss(batch, e, multiplier, settings.kl_clip)
            self._step("critic", critic_loss if encoder_loss is None else critic_loss + encoder_loss)
            fixed = None if e is None else e.detach()
            actor_loss, skill_kl = policy.actor_loss(batch.observations, fixed, multiplier)
            self._step("actor", actor_loss)
            polyak_update(policy.critics.parameters(), policy.critics_target.parameters(), settings.tau)
        return Update(critic_loss.detach(), actor_loss.detach(), skill_kl)

    def _step(self, name: str, loss: th.Tensor) -> None:
        self.optimizers[name].zero_grad()
        loss.backward()
        self.optimizers[name].step()

    # ------------------------------------------------------------ state

    def all_optimizers(self) -> dict[str, th.optim.Optimizer]:
        """Optimisers of networks and of budgets, by name."""
        return {**self.optimizers, **{name: budget.optimizer for name, budget in self.budgets.items()}}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers of optimisers and multipliers."""
        return {
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.all_optimizers().items()},
            "multipliers": {name: budget.log_multiplier.detach() for name, budget in self.budgets.items()},
        }

    def load_state_dict(self, state: dict[str, Any], strict: bool = True) -> None:
        """
        Take :meth:`state_dict` of a learner of the same sizes. Everything is checked before anything is taken.

        :param strict: as in torch; nothing may be missing in either case
        :raises ModelFileError: for other names, shapes or kinds, or a number that is not finite
        """
        parts = ("multipliers", "optimizers")
        if not isinstance(state, dict) or not all(isinstance(state.get(part), dict) for part in parts):
            raise ModelFileError(f"The state of a learner holds {' and '.join(parts)}: something else was given.")
        for name, budget in self.budgets.items():
            check_like(f"multiplier {name}", state["multipliers"].get(name), budget.log_multiplier)
        checked: dict[str, dict[str, Any]] = {}
        for name, optimizer in self.all_optimizers().items():
            try:
                checked[name] = check_optimizer_state(state["optimizers"].get(name), optimizer)
            except ModelFileError as error:
                raise ModelFileError(f"The optimiser {name!r}: {error}.") from None
        for name, budget in self.budgets.items():
            with th.no_grad():
                budget.log_multiplier.copy_(state["multipliers"][name])
        for name, optimizer in self.all_optimizers().items():
            optimizer.load_state_dict(copy.deepcopy(checked[name]))  # torch would share moments with their source


class NoLearner(Learner):
    """Of a policy that no optimiser changes."""

    def __init__(self, policy: SkillActorCritic) -> None:
        self.policy = policy
        self.optimizers, self.budgets = {}, {}


class AgentLearner(Learner):
    """
    The learner of M agents, each with its own task latent e* and its own multiplier of the skill KL.

    :param policy: of M agents
    :param settings: steps, discount and precision
    :param skill_kl_target: budget of KL(policy || skill prior), nats
    :param multiplier: its multiplier at the start
    """

    policy: SkillPriorPolicy

    def __init__(
        self, policy: SkillPriorPolicy, settings: LearnerSettings, skill_kl_target: float, multiplier: float
    ) -> None:
        initial = th.full((policy.n_agents, 1), multiplier, dtype=th.float64)
        rate, only_grow = settings.multiplier_learning_rate, settings.multipliers_only_grow
        budget = KLBudget(skill_kl_target, initial, rate, only_grow).to(policy.device)
        super().__init__(policy, settings, {"skill_kl": budget})

    @property
    def budget(self) -> KLBudget:
        """The one of the skill KL, with multipliers (M, 1)."""
        return self.budgets["skill_kl"]

    def update_agents(self, batch: TaskBatch) -> dict[str, float]:
        """
        One update of all agents, each on its own part of the batch.

        :param batch: tensors (M, B, ...)
        :return: metrics, mean over the agents
        :raises DivergenceError: for losses that are NaN or infinite
        """
        multiplier = self.budget.multiplier()
        done = self.update(batch, self.policy.latents(batch.rewards.shape[1]), multiplier)
        mean_kl = done.skill_kl.mean(dim=1, keepdim=True)  # (M, 1)
        self.budget.update(mean_kl)
        losses = _finite({"critic_loss": done.critic_loss.item(), "actor_loss": done.actor_loss.item()})
        means = {"skill_kl": mean_kl.mean().item(), "skill_multiplier": multiplier.mean().item()}
        return {name: value / self.policy.n_agents for name, value in losses.items()} | means

    def _rows(self, members: np.ndarray) -> list[tuple[nn.Parameter, th.Tensor]]:
        """Every parameter that agents own, multipliers included, and the rows of these agents."""
        actors = th.as_tensor(members, device=self.policy.device)
        return [*self.policy.by_agent(members), (self.budget.log_multiplier, actors)]

    def keep_agents(self, members: np.ndarray) -> None:
        """Drop all agents but these (indices (K,)), with their part of the optimisers' state."""
        states = {p: state for optimizer in self.all_optimizers().values() for p, state in optimizer.state.items()}
        for parameter, at in self._rows(members):
            for name, value in states.get(parameter, {}).items():
                if value.dim() == parameter.dim():
                    states[parameter][name] = value[at]
        self.budget.log_multiplier.data = self.budget.log_multiplier.data[th.as_tensor(members)]
        self.budget.log_multiplier.grad = None
        self.policy.keep_agents(members)

    def add_agents(self, other: "AgentLearner") -> None:
        """
        Take in all agents of a learner of the same kind, after one's own. Adam counts the updates of all together: the
        newcomers' moments are scaled so that they mean what they did, with its corrections for a short past.
        """
        copies = {parameter: len(at) for parameter, at in self._rows(np.zeros(1, int))}
        for ours, others in zip(self.all_optimizers().values(), other.all_optimizers().values(), strict=True):
            (group,), (their_group,) = ours.param_groups, others.param_groups
            for parameter, given in zip(group["params"], their_group["params"], strict=True):
                moments, taken = ours.state.get(parameter, {}), others.state.get(given)
                for name, beta in zip(("exp_avg", "exp_avg_sq"), group["betas"] if moments else (), strict=False):
                    scale = (1.0 - beta ** moments["step"]) / (1.0 - beta ** taken["step"]) if taken else 0.0
                    more = taken[name] * scale if taken else th.zeros_like(given)
                    moments[name] = joined(moments[name], more, copies[parameter])
        own, theirs = self.budget.log_multiplier, other.budget.log_multiplier
        own.data, own.grad = joined(own.data, theirs.data, 1), None
        self.policy.add_agents(other.policy)

    def copy_agent(self, source: "AgentLearner", member: int) -> None:
        """Become the learner of one agent of ``source``: weights, task latent, multiplier, optimisers' moments."""
        own = dict(zip([p for p, _ in self._rows(np.zeros(1, int))], source._rows(np.array([member])), strict=True))
        for optimizer, theirs in zip(self.all_optimizers().values(), source.all_optimizers().values(), strict=True):
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                origin, at = own[parameter]
                if moments := theirs.state.get(origin):  # empty ones, of what was never updated, no file can hold
                    optimizer.state[parameter] = {
                        name: (value[at] if value.dim() == origin.dim() else value).clone()
                        for name, value in moments.items()
                    }
        self.budget.log_multiplier.data.copy_(source.budget.log_multiplier.data[[member]])
        self.policy.copy_agent(source.policy, member)


class MultiTaskLearner(AgentLearner):
    """
    The learner of several tasks' policies, and of the one that is distilled from them (Teh et al., 2017).

    :param policy: of the tasks
    :param settings: of the training
    """

    policy: MultiTaskPolicy

    def __init__(self, policy: MultiTaskPolicy, settings: MultiTaskSettings) -> None:
        super().__init__(policy, settings, settings.skill_kl_target, settings.skill_kl_multiplier)
        rate = self.optimizers["actor"].defaults["lr"]
        self.optimizers["distilled"] = th.optim.Adam(policy.distilled.change.parameters(), lr=rate, fused=True)

    def update_agents(self, batch: TaskBatch) -> dict[str, float]:
        """One update of every task's policy, and one of the shared policy on the same states."""
        metrics = super().update_agents(batch)
        with small_products(batch.rewards.numel() * largest_layer(self.policy.distilled.change)):
            loss = self.policy.distillation_loss(batch.observations)
            self._step("distilled", loss)
        return metrics | {"distillation_kl": loss.item()}


class MetaLearner(Learner):
    """
    The learner of meta-training (Section 4.2): each update sees two groups of tasks, with contexts of few and of many
    rows, and each group has its own KL budgets; of the latent KL, the second group has one per task.

    :param policy: the meta-policy
    :param settings: of meta-training
    :param n_tasks: training tasks
    """

    policy: SkillPriorPEARLPolicy
    settings: MetaTrainingSettings

    def __init__(self, policy: SkillPriorPEARLPolicy, settings: MetaTrainingSettings, n_tasks: int) -> None:
        step = settings.multiplier_learning_rate, settings.multipliers_only_grow
        (few, many), (few_target, many_target) = settings.latent_kl_multipliers, settings.latent_kl_targets
        latent = th.tensor([few, *[many] * n_tasks], dtype=th.float64)
        budgets = {
            "skill_kl": KLBudget(
                settings.skill_kl_targets, th.tensor(settings.skill_kl_multipliers, dtype=th.float64), *step
            ),
            "latent_kl": KLBudget([few_target, *[many_target] * n_tasks], latent, *step),
        }
        budgets = {name: budget.to(policy.device) for name, budget in budgets.items()}
        super().__init__(policy, settings, budgets, policy.task_encoder.parameters())

    def update_tasks(self, tasks: np.ndarray, batch: TaskBatch, few: th.Tensor, many: th.Tensor) -> dict[str, float]:
        """
        One update: critics and task encoder, actor, target critics, budgets.

        :param tasks: indices of both groups' tasks, the prior-sized first, (T,)
        :param batch: their transitions, one after the other, (1, T * B, ...)
        :param few: contexts of the prior-sized group, (T1, N1, row)
        :param many: contexts of the posterior-sized group, (T2, N2, row)
        :return: metrics
        :raises DivergenceError: for losses that are NaN or infinite
        """
        skill_budget, latent_budget = self.budgets["skill_kl"], self.budgets["latent_kl"]
        groups, device = [len(few), len(many)], self.policy.device
        own = np.concatenate([np.zeros(len(few), np.int64), 1 + tasks[len(few) :]])
        of_latent = th.as_tensor(own, device=device)  # (T,): which budget of the latent KL is each task's
        size = batch.rewards.shape[1] // len(tasks)  # B
        rows = max(few.shape[0] * few.shape[1], many.shape[0] * many.shape[1])
        products = small_products(rows * largest_layer(self.policy.task_encoder))
        with products, matmul_precision(self.settings.matmul_precision):
            (few_mean, few_std), (many_mean, many_std) = self.policy.encode(few), self.policy.encode(many)
            e_mean, e_std = th.cat([few_mean, many_mean]), th.cat([few_std, many_std])  # (T, E)
            noise = th.randn(len(tasks), size, e_mean.shape[-1], device=device)  # another e for each transition
            e = (e_mean.unsqueeze(1) + e_std.unsqueeze(1) * noise).view(1, -1, e_mean.shape[-1])
            latent_kl = functional.standard_gaussian_kl(e_mean, e_std)  # (T,)
            latent_loss = (latent_budget.multiplier(of_latent) * latent_kl).mean()
        multiplier = skill_budget.multiplier().repeat_interleave(th.tensor(groups, device=device))  # (T,)

        done = self.update(batch, e, multiplier.repeat_interleave(size), latent_loss)

        group_kl = _group_means(done.skill_kl.view(len(tasks), -1).mean(dim=1), groups)
        skill_budget.update(group_kl)
        latent_budget.update(latent_kl, of_latent)
        metrics = _finite({"critic_loss": done.critic_loss.item(), "actor_loss": done.actor_loss.item()})
        for name, pair in {"skill_kl": group_kl, "latent_kl": _group_means(latent_kl.detach(), groups)}.items():
            metrics[f"{name}_prior_sized"], metrics[f"{name}_posterior_sized"] = pair.tolist()
        return metrics


def _group_means(values: th.Tensor, groups: list[int]) -> th.Tensor:
    """(T,) -> (2,): mean over each group."""
    return th.stack([part.mean() for part in values.split(groups)])


def _finite(losses: dict[str, float]) -> dict[str, float]:
    """
    :raises DivergenceError: for a loss that is NaN or infinite
    """
    if not all(map(math.isfinite, losses.values())):
        raise DivergenceError(f"The losses are {losses}: the learning diverged. {AFTER_DIVERGENCE}")
    return losses
