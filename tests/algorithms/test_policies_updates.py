"""Multipliers, how updates report, and the meta-policy."""

import numpy as np
import pytest
import torch as th
from envs_for_tests import OBSERVATIONS, SKILL_DIM
from policies_for_tests import NET, UPDATE, batch, make, skills, trained

from simpl_sb3.algorithms.policies import SkillPriorPEARLPolicy
from simpl_sb3.algorithms.skill_prior_sac import make_optimizers, update_agents
from simpl_sb3.skills.wrapper import skill_action_space

# ---------------------------------------------------------------- multipliers, and how updates report


def test_multipliers_go_up_above_the_budget_and_down_below_it_unless_they_may_only_grow() -> None:
    # The members' KL is that of their random residuals: far above 0, far below 1,000.
    for only_grow in (False, True):
        for target, above in ((0.0, True), (1000.0, False)):
            policy = trained(make(2))
            before = policy.log_multiplier.detach().clone()
            optimizers = make_optimizers(policy, 1e-3, 1e-2)
            for seed in range(3):
                update_agents(
                    policy,
                    optimizers,
                    batch(2, seed=seed),
                    **(UPDATE | {"skill_kl_target": target, "multipliers_only_grow": only_grow}),
                )
            moved = policy.log_multiplier.detach() - before
            if above:
                th.testing.assert_close(moved, th.full((2, 1), 0.03), rtol=0.1, atol=0.0)
            elif only_grow:
                assert (moved == 0).all()
            else:
                th.testing.assert_close(moved, th.full((2, 1), -0.03), rtol=0.1, atol=0.0)


def test_target_critics_follow_by_tau() -> None:
    policy = make(1)
    before = [parameter.clone() for parameter in policy.critics_target.parameters()]
    update_agents(policy, make_optimizers(policy, 1e-2, 1e-2), batch(1), **(UPDATE | {"tau": 0.25}))
    for old, own, target in zip(before, policy.critics.parameters(), policy.critics_target.parameters(), strict=True):
        th.testing.assert_close(target, 0.75 * old + 0.25 * own)


def test_an_update_reports_means_over_the_agents() -> None:
    policy = trained(make(3))
    metrics = update_agents(policy, make_optimizers(policy, 1e-3, 1e-3), batch(3), **UPDATE)
    assert metrics.keys() == {"critic_loss", "actor_loss", "skill_kl", "skill_multiplier"}
    assert metrics["skill_multiplier"] == pytest.approx(np.exp([-3.0, -1.5, 0.0]).mean())
    assert all(np.isfinite(value) for value in metrics.values())


# ---------------------------------------------------------------- the meta-policy


def meta(task_encoder: str = "deep-set", n_tasks: int = 4) -> SkillPriorPEARLPolicy:
    model = skills()
    th.manual_seed(0)
    policy = SkillPriorPEARLPolicy(
        OBSERVATIONS, skill_action_space(model), lambda _: 0.0, model.settings, NET, 2, n_tasks, task_encoder, 8
    )
    policy.skills.load_state_dict(model.state_dict())
    return policy


@pytest.mark.parametrize("task_encoder", ["deep-set", "set-transformer"])
def test_the_encoder_reads_standardised_observations(task_encoder: str) -> None:
    policy = meta(task_encoder)
    rows = th.randn(3, 6, 2 + SKILL_DIM + 2 + 2)
    given = rows.clone()
    for part in (slice(0, 2), slice(-2, None)):
        given[..., part] = given[..., part] * policy.skills.observation_std + policy.skills.observation_mean
    for got, expected in zip(policy.encode(given), policy.task_encoder(rows), strict=True):
        assert got.shape == (3, 2)
        th.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_latents_to_explore_with() -> None:
    """From N(0, I), or from the one Gaussian that has the moments of the tasks' posteriors."""
    policy = meta()
    th.manual_seed(0)
    untrained = th.stack([policy.sample_latent("aggregate") for _ in range(2000)])
    means = th.tensor([[10.0, -10.0], [12.0, -6.0], [14.0, -8.0]])
    policy.remember_latents(means, th.full((3, 2), 0.5))
    prior = th.stack([policy.sample_latent("prior") for _ in range(2000)])
    aggregate = th.stack([policy.sample_latent("aggregate") for _ in range(2000)])
    for standard in (untrained, prior):
        th.testing.assert_close(standard.mean(dim=0), th.zeros(2), atol=0.1, rtol=0.0)
        th.testing.assert_close(standard.T.cov(), th.eye(2), atol=0.1, rtol=0.0)
    th.testing.assert_close(aggregate.mean(dim=0), th.tensor([12.0, -8.0]), atol=0.2, rtol=0.0)
    th.testing.assert_close(aggregate.T.cov(), means.T.cov() + 0.25 * th.eye(2), atol=0.4, rtol=0.0)
