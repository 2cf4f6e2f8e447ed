"""Learners: M agents learn as each would alone, budgets keep their KL, and what a state holds is checked."""

import numpy as np
import pytest
import torch as th
from policies_for_tests import batch, learner, make, of_members, single, single_learner, trained

from simpl_sb3.algorithms.policies import SkillPriorPolicy
from simpl_sb3.algorithms.updates import AgentLearner


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
