"""Learners: M agents learn as each would alone, budgets keep their KL, and what a state holds is checked."""

import copy
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import SKILL_DIM
from policies_for_tests import (
    NET,
    batch,
    learner,
    make,
    make_meta,
    of_members,
    single,
    single_learner,
    trained,
)

from simpl_sb3.algorithms.policies import SkillPriorPolicy
from simpl_sb3.algorithms.settings import MetaTrainingSettings
from simpl_sb3.algorithms.updates import AgentLearner, KLBudget, MetaLearner
from simpl_sb3.errors import ModelFileError
from simpl_sb3.functional import standard_gaussian_kl


@pytest.fixture
def still_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise of every sample is 0.3, so that the number of members does not matter to it."""
    monkeypatch.setattr(th, "randn_like", lambda tensor: th.full_like(tensor, 0.3))


# ---------------------------------------------------------------- an update


def test_multipliers_go_up_above_the_budget_and_down_below_it_unless_they_may_only_grow() -> None:
    # The members' KL is that of their random residuals: far above 0, far below 1,000.
    for only_grow in (False, True):
        for target, above in ((0.0, True), (1000.0, False)):
            learning = learner(trained(make(2)), target, learning_rate=1e-3, multipliers_only_grow=only_grow)
            before = learning.budget.log_multiplier.detach().clone()
            for seed in range(3):
                learning.update_agents(batch(2, seed=seed))
            moved = learning.budget.log_multiplier.detach() - before
            if above:
                th.testing.assert_close(moved, th.full((2, 1), 0.03), rtol=0.1, atol=0.0)
            elif only_grow:
                assert (moved == 0).all()
            else:
                th.testing.assert_close(moved, th.full((2, 1), -0.03), rtol=0.1, atol=0.0)


def test_target_critics_follow_by_tau() -> None:
    policy = make(1)
    before = [parameter.clone() for parameter in policy.critics_target.parameters()]
    learner(policy, tau=0.25).update_agents(batch(1))
    for old, own, target in zip(before, policy.critics.parameters(), policy.critics_target.parameters(), strict=True):
        th.testing.assert_close(target, 0.75 * old + 0.25 * own)


def test_an_update_reports_means_over_the_agents() -> None:
    metrics = learner(trained(make(3))).update_agents(batch(3))
    assert metrics.keys() == {"critic_loss", "actor_loss", "skill_kl", "skill_multiplier"}
    assert metrics["skill_multiplier"] == pytest.approx(np.exp([-3.0, -1.5, 0.0]).mean())
    assert all(np.isfinite(value) for value in metrics.values())


# ---------------------------------------------------------------- members come and go


def agreement(many: SkillPriorPolicy, alone: list[SkillPriorPolicy]) -> None:
    for member, expected_policy in enumerate(alone):
        copy = single(many, member)
        for name in ("actor", "critics", "critics_target"):
            pairs = zip(getattr(copy, name).parameters(), getattr(expected_policy, name).parameters(), strict=True)
            for got, expected in pairs:
                th.testing.assert_close(got, expected, atol=2e-5, rtol=1e-3)
        assert th.equal(copy.task_latent, expected_policy.task_latent)


def multipliers_agree(many: AgentLearner, alone: list[AgentLearner]) -> None:
    expected = th.cat([learning.budget.log_multiplier.detach() for learning in alone])
    th.testing.assert_close(many.budget.log_multiplier.detach(), expected)


def test_updates_of_many_members_are_those_of_each_alone_also_after_some_left(still_noise: None) -> None:
    """One update of M = 3 equals three of M = 1; and those that stay keep their part of the optimisers' state."""
    many = learner(trained(make(3)))
    alone = [single_learner(many, member) for member in range(3)]
    agreement(many.policy, [learning.policy for learning in alone])
    members = [0, 1, 2]
    for step in range(6):
        if step == 3:
            many.keep_agents(np.array([2, 0]))
            members = [2, 0]
            assert many.policy.n_agents == 2
            assert many.policy.critics.weights[0].shape[0] == 4
        given = batch(3, seed=10 + step)
        many.update_agents(of_members(given, members))
        for member in members:
            alone[member].update_agents(of_members(given, [member]))
        agreement(many.policy, [alone[member].policy for member in members])
        multipliers_agree(many, [alone[member] for member in members])
    kept = [state for optimizer in many.all_optimizers().values() for state in optimizer.state.values()]
    assert all(int(state["step"]) == 6 for state in kept)


def test_a_member_does_not_feel_the_others(still_noise: None) -> None:
    """The others' transitions may be anything."""
    results = []
    for scale in (1.0, 1e4):
        policy = trained(make(3))
        given = batch(3)
        given.rewards[1:] *= scale
        given.observations[1:] += scale
        learner(policy).update_agents(given)
        results.append(single(policy, 0))
    for first, second in zip(results[0].parameters(), results[1].parameters(), strict=True):
        assert th.equal(first, second)


def test_keep_agents_keeps_the_right_ones() -> None:
    many = learner(trained(make(4)))
    before = [single_learner(many, member) for member in range(4)]
    many.keep_agents(np.array([3, 1]))
    agreement(many.policy, [before[3].policy, before[1].policy])
    multipliers_agree(many, [before[3], before[1]])


def test_keep_agents_keeps_adams_state_by_hand() -> None:
    """Moments of actors and multipliers lie by agent, those of the critics twice, (2, M)."""
    many = learner(trained(make(3)))
    many.update_agents(batch(3))
    for optimizer in many.all_optimizers().values():
        for state in optimizer.state.values():
            for name in ("exp_avg", "exp_avg_sq"):
                rows = th.arange(len(state[name]), dtype=th.float32).view(-1, *[1] * (state[name].dim() - 1))
                state[name] = rows.expand_as(state[name]).clone()
    many.keep_agents(np.array([2, 0]))
    expected = {"actor": [2.0, 0.0], "critic": [2.0, 0.0, 5.0, 3.0], "skill_kl": [2.0, 0.0]}
    for name, optimizer in many.all_optimizers().items():
        for parameter, state in optimizer.state.items():
            assert state["exp_avg"].shape == state["exp_avg_sq"].shape == parameter.shape
            assert state["exp_avg"].flatten(1)[:, 0].tolist() == expected[name], name
            assert float(state["step"]) == 1.0
    many.update_agents(batch(2))  # and goes on


def test_a_copied_learner_has_weights_multiplier_and_moments_of_its_own() -> None:
    many = learner(trained(make(3)))
    many.update_agents(batch(3))
    alone = single_learner(many, 1)
    moments = many.optimizers["critic"].state[many.policy.critics.weights[0]]["exp_avg"]
    copied = alone.optimizers["critic"].state[alone.policy.critics.weights[0]]["exp_avg"]
    assert th.equal(copied, moments[[1, 4]])
    before = copied.clone()
    many.update_agents(batch(3, seed=5))
    assert th.equal(copied, before)


# ---------------------------------------------------------------- budgets


def budget(targets: float | list[float], initial: list[float], only_grow: bool = False) -> KLBudget:
    return KLBudget(targets, th.tensor(initial), 0.1, only_grow)


def test_the_gradient_in_a_multiplier_is_target_less_kl() -> None:
    """And so, in its logarithm, multiplier * (target - KL)."""
    few = budget([0.5, 2.0, 1.0], [0.1, 0.2, 0.4])
    few.update(th.tensor([0.4, 3.0, 1.0]))
    assert few.log_multiplier.grad is not None
    assert few.log_multiplier.grad.tolist() == pytest.approx([0.1 * 0.1, 0.2 * -1.0, 0.0], rel=1e-5)
    logs = few.log_multiplier.detach() - th.tensor([0.1, 0.2, 0.4]).log()
    assert logs.tolist() == pytest.approx([-0.1, 0.1, 0.0], abs=1e-6)  # Adam's first step is the learning rate


def test_multipliers_that_may_only_grow() -> None:
    few = budget(1.0, [0.1, 0.2], only_grow=True)
    for _ in range(3):
        few.update(th.tensor([0.0, 50.0]))
    assert few.log_multiplier.grad is not None
    assert few.log_multiplier.grad[0] == 0.0
    assert few.multiplier()[0].item() == pytest.approx(0.1)
    assert few.multiplier()[1].item() == pytest.approx(0.2 * np.exp(0.3), rel=1e-2)


def test_a_budget_of_some_indices() -> None:
    """A multiplier that several KLs belong to sees the sum of their gradients; one that none belongs to, none."""
    few = budget([1.0, 9.0, 9.0, 9.0], [1.0, 10.0, 100.0, 1000.0])
    at = th.tensor([0, 1, 2, 2])
    assert few.multiplier(at).tolist() == pytest.approx([1.0, 10.0, 100.0, 100.0])
    few.update(th.tensor([5.0, 5.0, 20.0, 10.0]), at)
    assert few.log_multiplier.grad is not None
    assert few.log_multiplier.grad.tolist() == pytest.approx([-4.0, 10.0 * 4.0, 100.0 * (-11.0 - 1.0), 0.0])
    assert few.multiplier()[3].item() == pytest.approx(1000.0)


def test_multipliers_carry_no_gradient_into_losses() -> None:
    assert not budget(1.0, [0.1]).multiplier().requires_grad


# ---------------------------------------------------------------- meta-training's two groups


def meta_learner(**changes: Any) -> MetaLearner:
    settings = {"net_arch": NET, "task_latent_dim": 2, "encoder_width": 8, "matmul_precision": "highest"}
    return MetaLearner(make_meta(), MetaTrainingSettings(**settings | changes), 3)  # type: ignore[arg-type]


def contexts(n_tasks: int, n_rows: int) -> th.Tensor:
    return th.randn(n_tasks, n_rows, 2 + SKILL_DIM + 2 + 2, generator=th.Generator().manual_seed(0))


def test_groups_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prior-sized group first; its own multipliers of both KLs; the posterior-sized one has one per task."""
    learning = meta_learner(skill_kl_multipliers=(0.5, 7.0))
    with th.no_grad():
        learning.budgets["latent_kl"].log_multiplier.copy_(th.tensor([1.0, 10.0, 100.0, 1000.0]).log())
    seen: dict[str, Any] = {}
    update = learning.update

    def spy(given: Any, e: Any, multiplier: th.Tensor, latent_loss: th.Tensor) -> Any:
        seen.update(e=e, multiplier=multiplier, latent_loss=latent_loss.item())
        return update(given, e, multiplier, latent_loss)

    monkeypatch.setattr(learning, "update", spy)
    few, many = contexts(1, 2), contexts(3, 8)
    with th.no_grad():
        kl = th.cat([standard_gaussian_kl(*learning.policy.encode(part)) for part in (few, many)])
    metrics = learning.update_tasks(np.array([2, 0, 1, 1]), batch(1, 4 * 5), few, many)
    assert seen["multiplier"].tolist() == pytest.approx([0.5] * 5 + [7.0] * 15)
    assert seen["e"].shape == (1, 20, 2)
    expected = (kl * th.tensor([1.0, 10.0, 100.0, 100.0])).mean().item()
    assert seen["latent_loss"] == pytest.approx(expected, rel=1e-5)
    assert metrics["latent_kl_prior_sized"] == pytest.approx(kl[0].item(), rel=1e-5)
    assert metrics["latent_kl_posterior_sized"] == pytest.approx(kl[1:].mean().item(), rel=1e-5)


@pytest.mark.parametrize("only_grow", [False, True])
def test_multipliers_of_meta_training_follow_their_own_budgets(only_grow: bool) -> None:
    """Up above the budget, down below it; those of tasks that are not in the update stay."""
    learning = meta_learner(
        multipliers_only_grow=only_grow, skill_kl_targets=(1000.0, 0.0), latent_kl_targets=(1000.0, 0.0)
    )
    before = {name: each.multiplier() for name, each in learning.budgets.items()}
    for seed in range(2):
        learning.update_tasks(np.array([2, 0, 1, 1]), batch(1, 20, seed=seed), contexts(1, 2), contexts(3, 8))
    moved = {name: (each.multiplier() - before[name]).sign().tolist() for name, each in learning.budgets.items()}
    down = 0.0 if only_grow else -1.0
    assert moved == {"skill_kl": [down, 1.0], "latent_kl": [down, 1.0, 1.0, 0.0]}


# ---------------------------------------------------------------- state


def test_a_state_continues_to_the_bit(still_noise: None) -> None:
    first, second = learner(trained(make(2))), learner(trained(make(2)))
    first.update_agents(batch(2))
    second.policy.load_state_dict(first.policy.state_dict())
    second.load_state_dict(first.state_dict())
    for learning in (first, second):
        learning.update_agents(batch(2, seed=4))
    for own, other in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        assert th.equal(own, other)
    assert th.equal(first.budget.log_multiplier, second.budget.log_multiplier)


def hurt(state: dict[str, Any], how: str) -> None:
    actor = state["optimizers"]["actor"]["state"]
    changes = {
        "moments of three numbers": lambda: actor[0].update(exp_avg=th.zeros(3), exp_avg_sq=th.zeros(3)),
        "moments of another kind": lambda: actor[0].update(exp_avg=th.zeros(actor[0]["exp_avg"].shape, dtype=th.int8)),
        "moments that are no tensors": lambda: actor[0].update(exp_avg=[0.0]),
        "a moment too many": lambda: actor[0].update(max_exp_avg_sq=th.zeros(3)),
        "a moment too few": lambda: actor[0].pop("exp_avg_sq"),
        "NaN": lambda: actor[0].update(exp_avg=actor[0]["exp_avg"] * th.nan),
        "a negative second moment": lambda: actor[0].update(exp_avg_sq=actor[0]["exp_avg_sq"] - 1.0),
        "a negative step": lambda: actor[0].update(step=th.tensor(-1.0)),
        "a step of three numbers": lambda: actor[0].update(step=th.zeros(3)),
        "a parameter that there is not": lambda: actor.update({99: actor[0]}),
        "no state": lambda: state["optimizers"].pop("critic"),
        "a multiplier of another shape": lambda: state["multipliers"].update(skill_kl=th.zeros(5)),
        "no multiplier": lambda: state["multipliers"].pop("skill_kl"),
        "no optimisers": lambda: state.pop("optimizers"),
    }
    changes[how]()


WRONG = ["moments of three numbers", "moments of another kind", "moments that are no tensors", "a moment too many"]
WRONG += ["a moment too few", "NaN", "a negative second moment", "a negative step", "a step of three numbers"]
WRONG += ["a parameter that there is not", "no state", "a multiplier of another shape", "no multiplier"]
WRONG += ["no optimisers"]


@pytest.mark.parametrize("how", WRONG)
def test_a_state_that_does_not_fit_is_refused_and_nothing_of_it_taken(how: str) -> None:
    """A fused step would write past the end of a moment that is too small."""
    source, target = learner(trained(make(1))), learner(trained(make(1)))
    source.update_agents(batch(1))
    target.update_agents(batch(1, seed=2))
    before, state = copy.deepcopy(target.state_dict()), copy.deepcopy(source.state_dict())
    hurt(state, how)
    with pytest.raises(ModelFileError):
        target.load_state_dict(state)
    after = target.state_dict()
    assert th.equal(after["multipliers"]["skill_kl"], before["multipliers"]["skill_kl"])
    for name, optimizer in before["optimizers"].items():
        for index, values in optimizer["state"].items():
            assert all(th.equal(after["optimizers"][name]["state"][index][key], values[key]) for key in values)
    target.update_agents(batch(1))


def test_rates_are_those_of_the_settings_not_of_the_state() -> None:
    learning = learner(trained(make(1)))
    learning.update_agents(batch(1))
    state = copy.deepcopy(learning.state_dict())
    for optimizer in state["optimizers"].values():
        optimizer["param_groups"] = [{"lr": float("nan"), "betas": "x", "params": [0]}]
    learning.load_state_dict(state)
    assert learning.optimizers["actor"].param_groups[0]["lr"] == 1e-2
