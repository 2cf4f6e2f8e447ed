"""The reinforcement-learning part of ``functional``: numbers by hand, and which way the gradients point."""

import math

import pytest
import torch as th

from simpl_sb3.functional import (
    actor_loss,
    bellman_target,
    critic_loss,
    gaussian_kl,
    multiplier_loss,
    n_step_return,
    residual_gaussian,
)

FLOOR = 1e-3
"""What the policy's standard deviation has under it, as published."""


# ---------------------------------------------------------------- the policy as a change of the prior


@pytest.mark.parametrize("std", [math.exp(-10.0), 1e-3, 0.1, 1.0, 7.0, 20.5, 100.0, 1e4])
def test_residuals_of_zero_give_the_prior_back(std: float) -> None:
    """Also for the least and the largest standard deviation of a skill prior (exp(-10), exp(2)), and far beyond."""
    prior_mean, prior_std = th.tensor([[0.5, -2.0]]), th.full((1, 2), std)
    mean, policy_std = residual_gaussian(prior_mean, prior_std, th.zeros(1, 2), th.zeros(1, 2))
    assert th.equal(mean, prior_mean)
    th.testing.assert_close(policy_std - FLOOR, prior_std, rtol=1e-4, atol=1e-7)


def test_residuals_by_hand() -> None:
    # softplus inverse of log 3 is log 2; a residual of log 3 - log 2 makes it log 3, whose softplus is log 4
    mean, std = residual_gaussian(
        th.tensor([1.0]), th.tensor([math.log(3.0)]), th.tensor([2.5]), th.tensor([math.log(1.5)])
    )
    assert mean.item() == 3.5
    assert std.item() == pytest.approx(FLOOR + math.log(4.0))


@pytest.mark.parametrize("std", [math.exp(-10.0), 1.0, math.exp(2.0)])
@pytest.mark.parametrize("residual", [-100.0, 0.0, 100.0])
def test_residuals_of_any_size_leave_a_positive_std_and_finite_gradients(std: float, residual: float) -> None:
    mean_residual, std_residual = (th.full((3,), residual, requires_grad=True) for _ in range(2))
    prior = th.zeros(3), th.full((3,), std)
    mean, policy_std = residual_gaussian(*prior, mean_residual, std_residual)
    assert (policy_std >= FLOOR).all()
    (gaussian_kl(mean, policy_std, *prior) + policy_std.sum()).backward()
    for given in (mean_residual, std_residual):
        assert given.grad is not None
        assert given.grad.isfinite().all()


# ---------------------------------------------------------------- returns and targets


def test_n_step_return_by_hand() -> None:
    rewards, discounts = th.tensor([[1.0, 2.0, 4.0]]), th.tensor([[0.5, 0.25, 0.1]])
    total, discount = n_step_return(rewards, discounts)
    assert total.item() == pytest.approx(1.0 + 0.5 * 2.0 + 0.5 * 0.25 * 4.0)
    assert discount.item() == pytest.approx(0.5 * 0.25 * 0.1)


def test_n_step_return_of_a_span_that_ends_early() -> None:
    """Rewards of 0 and discounts of 1 past the last step count for nothing."""
    rewards, discounts = th.tensor([[3.0, 5.0, 0.0, 0.0]]), th.tensor([[0.9, 0.9, 1.0, 1.0]])
    total, discount = n_step_return(rewards, discounts)
    assert total.item() == pytest.approx(3.0 + 0.9 * 5.0)
    assert discount.item() == pytest.approx(0.81)


def test_one_step_return_is_the_reward() -> None:
    rewards, discounts = th.rand(3, 5, 1), th.rand(3, 5, 1)
    total, discount = n_step_return(rewards, discounts)
    assert th.equal(total, rewards[..., 0])
    assert th.equal(discount, discounts[..., 0])


def target(**changes: th.Tensor | float) -> th.Tensor:
    given: dict[str, th.Tensor | float] = {
        "rewards": th.tensor([1.0]),
        "discounts": th.tensor([0.5]),
        "terminated": th.tensor([0.0]),
        "next_q": th.tensor([10.0]),
        "next_kl": th.tensor([2.0]),
        "multiplier": th.tensor(0.3),
        "kl_clip": 5.0,
    }
    return bellman_target(**(given | changes))  # type: ignore[arg-type]


def test_bellman_target_by_hand() -> None:
    assert target().item() == pytest.approx(1.0 + 0.5 * (10.0 - 0.3 * 2.0))


def test_nothing_follows_a_termination() -> None:
    """Neither value nor KL of the state after it."""
    assert target(terminated=th.tensor([1.0]), next_kl=th.tensor([4.0])).item() == 1.0


def test_the_kl_in_the_target_is_clipped() -> None:
    assert target(next_kl=th.tensor([500.0])).item() == pytest.approx(1.0 + 0.5 * (10.0 - 0.3 * 5.0))
    assert target(next_kl=th.tensor([500.0])).item() == target(next_kl=th.tensor([5.0])).item()


def test_the_target_has_no_gradient() -> None:
    inputs = {name: th.tensor([1.0], requires_grad=True) for name in ("rewards", "next_q", "next_kl", "multiplier")}
    assert not target(**inputs).requires_grad


def test_the_target_broadcasts_a_multiplier_per_agent() -> None:
    multiplier = th.tensor([[0.0], [1.0]])  # (M, 1)
    values = target(rewards=th.zeros(2, 3), next_q=th.ones(2, 3), next_kl=th.full((2, 3), 2.0), multiplier=multiplier)
    th.testing.assert_close(values, th.tensor([[0.5] * 3, [-0.5] * 3]))


# ---------------------------------------------------------------- losses


def test_critic_loss_by_hand() -> None:
    """Half the squared error: mean over the batch of 4, sum over 2 critics and 3 agents."""
    q, goal = th.full((2, 3, 4), 3.0, requires_grad=True), th.ones(3, 4)
    loss = critic_loss(q, goal)
    assert loss.item() == pytest.approx(0.5 * 4.0 * 2 * 3)
    loss.backward()
    assert q.grad is not None
    th.testing.assert_close(q.grad, th.full((2, 3, 4), 2.0 / 4))  # positive: descending lowers a value that is too high


def test_actor_loss_by_hand() -> None:
    q = th.tensor([[1.0, 3.0], [5.0, 5.0]], requires_grad=True)
    kl = th.tensor([[2.0, 2.0], [0.0, 4.0]], requires_grad=True)
    multiplier = th.tensor([[0.5], [2.0]], requires_grad=True)
    loss = actor_loss(q, kl, multiplier)
    assert loss.item() == pytest.approx((0.5 * 2.0 - 2.0) + (2.0 * 2.0 - 5.0))
    loss.backward()
    assert q.grad is not None
    assert kl.grad is not None
    assert (q.grad < 0.0).all()  # descending raises the value
    th.testing.assert_close(kl.grad, th.tensor([[0.25, 0.25], [1.0, 1.0]]))  # and lowers the KL, by its weight
    assert multiplier.grad is None


@pytest.mark.parametrize("budget", [1.0, th.tensor([0.5, 2.0, 10.0])])
def test_the_gradient_of_a_multiplier_is_exactly_target_minus_kl(budget: float | th.Tensor) -> None:
    multiplier = th.tensor([1.0, 1e-6, 7.0], requires_grad=True)
    kl = th.tensor([0.25, 1.0, 30.0], requires_grad=True)
    multiplier_loss(multiplier, kl, budget).backward()
    assert multiplier.grad is not None
    assert th.equal(multiplier.grad, budget - kl.detach())
    assert kl.grad is None


def test_descending_raises_the_multiplier_of_a_kl_above_its_target() -> None:
    multiplier = th.ones(2, requires_grad=True)
    multiplier_loss(multiplier, th.tensor([3.0, 1.0]), 2.0).backward()
    assert multiplier.grad is not None
    above, below = (multiplier - 0.1 * multiplier.grad).tolist()
    assert above > 1.0 > below
