"""The skill part of ``functional``: numbers by hand, and which way the gradients point."""

import math

import pytest
import torch as th
from torch.distributions import Normal, kl_divergence

from simpl_sb3.functional import (
    behaviour_cloning_loss,
    gaussian_kl,
    prior_fit_loss,
    skill_loss,
    standard_gaussian_kl,
)


def random_gaussian(seed: int, *shape: int) -> tuple[th.Tensor, th.Tensor]:
    generator = th.Generator().manual_seed(seed)
    return th.randn(*shape, generator=generator), th.rand(*shape, generator=generator) + 0.1


def test_kl_by_hand() -> None:
    one, two = th.tensor([1.0]), th.tensor([2.0])
    # KL(N(1, 1) || N(0, 2)) = log 2 + (1 + 1) / 8 - 1 / 2
    assert gaussian_kl(one, one, th.tensor([0.0]), two).item() == pytest.approx(math.log(2.0) - 0.25)
    # KL(N(3, 2) || N(0, 1)) = (4 + 9 - 1) / 2 - log 2
    assert standard_gaussian_kl(th.tensor([3.0]), two).item() == pytest.approx(6.0 - math.log(2.0))


def test_kl_sums_the_last_dimension_and_agrees_with_torch() -> None:
    mean_p, std_p = random_gaussian(0, 3, 5, 4)
    mean_q, std_q = random_gaussian(1, 3, 5, 4)
    expected = kl_divergence(Normal(mean_p, std_p), Normal(mean_q, std_q)).sum(-1)
    th.testing.assert_close(gaussian_kl(mean_p, std_p, mean_q, std_q), expected)
    th.testing.assert_close(
        standard_gaussian_kl(mean_p, std_p),
        gaussian_kl(mean_p, std_p, th.zeros_like(mean_p), th.ones_like(std_p)),
    )


def test_kl_is_exactly_zero_where_both_agree_and_its_gradient_finite() -> None:
    mean, std = random_gaussian(2, 6, 3)
    mean.requires_grad_()
    kl = gaussian_kl(mean, std, mean.detach(), std)
    assert (kl == 0.0).all()
    kl.sum().backward()
    assert mean.grad is not None
    assert (mean.grad == 0.0).all()


def test_behaviour_cloning_sums_over_steps_and_numbers_and_averages_over_the_batch() -> None:
    actions = th.zeros(2, 3, 2)
    predicted = th.ones(2, 3, 2, requires_grad=True)
    loss = behaviour_cloning_loss(predicted, actions)
    assert loss.item() == pytest.approx(3.0)  # half of 3 steps x 2 numbers
    loss.backward()
    assert predicted.grad is not None
    assert (predicted.grad > 0.0).all()  # descending lowers what is too high


def test_prior_follows_the_posterior_and_not_the_other_way_round() -> None:
    posterior_mean, posterior_std = (tensor.requires_grad_() for tensor in random_gaussian(3, 4, 2))
    prior_mean = (posterior_mean + 1.0).detach().requires_grad_()
    prior_std = th.full((4, 2), 10.0, requires_grad=True)
    prior_fit_loss(posterior_mean, posterior_std, prior_mean, prior_std).backward()
    assert posterior_mean.grad is None
    assert posterior_std.grad is None
    assert prior_mean.grad is not None
    assert prior_std.grad is not None
    assert (prior_mean.grad > 0.0).all()  # descending lowers a mean that is too high
    assert (prior_std.grad > 0.0).all()  # and a standard deviation that is too wide


def test_skill_loss_weighs_the_kl_only() -> None:
    total = skill_loss(th.tensor(2.0), th.tensor([1.0, 3.0]), th.tensor(0.5), kl_weight=0.1)
    assert total.item() == pytest.approx(2.0 + 0.1 * 2.0 + 0.5)
