"""Policy gradients by hand: likelihood, advantages, and a step that keeps its trust region or is not taken."""

import math
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import numbered_episode
from torch import nn

from simpl_sb3.algorithms.policy_gradient import Rollouts, advantages, log_likelihood, trust_region_step
from simpl_sb3.experience.episode import SkillEpisode


def episode(*rewards: float) -> SkillEpisode:
    """Whose observations are all alike."""
    made = numbered_episode(0, len(rewards))
    made.observations[:] = 1.0
    made.rewards[:] = rewards
    return made


def test_likelihood() -> None:
    found = log_likelihood(th.tensor([[0.0, 1.0]]), th.tensor([[1.0, 2.0]]), th.tensor([[1.0, 1.0]]))
    assert found.item() == pytest.approx(-0.5 - math.log(2 * math.pi) - math.log(2.0))


def test_advantages_are_returns_less_the_baseline() -> None:
    lived = [episode(1.0), episode(3.0)]  # the baseline is 2
    assert np.concatenate(advantages(lived, 0.9, 1.0)).tolist() == pytest.approx([-1.0, 1.0], abs=1e-4)
    assert not np.concatenate(advantages([episode(0.0, 0.0), episode(0.0)], 0.9, 1.0)).any()


def test_one_step_errors() -> None:
    lived = [episode(0.0, 1.0)] * 2  # a baseline that is linear in time fits returns .5 and 1 to the end
    for found in advantages([*lived, episode(0.0, 3.0)], 0.5, 0.0)[:2]:
        value = (5 / 3) * 0.5  # of the first step: half the mean return of what follows
        errors = [[0.5 * 5 / 3 - value, 1.0 - 5 / 3]] * 2 + [[0.5 * 5 / 3 - value, 3.0 - 5 / 3]]
        spread = np.std(errors)
        assert found.tolist() == pytest.approx([0.0, (1.0 - 5 / 3) / spread], abs=0.05)


def test_rollouts_of_tasks_with_other_lengths() -> None:
    made = Rollouts.of([[episode(0.0, 1.0)], [episode(1.0), episode(0.0), episode(2.0)]], 0.9, 1.0, th.device("cpu"))
    assert made.observations.shape == (2, 3, 2)
    assert made.weights.tolist() == [pytest.approx([0.5, 0.5, 0.0]), pytest.approx([1 / 3] * 3)]
    thin = made.thinned(2)
    assert thin.weights.shape == (2, 2)
    assert thin.weights.sum(dim=1).tolist() == pytest.approx([1.0, 1.0])


def region(objective: Any, **changes: Any) -> tuple[nn.Parameter, Any]:
    """A step from 0 whose KL is half a quadratic form with the diagonal (1, 4)."""
    th.manual_seed(0)
    parameter = nn.Parameter(th.zeros(2))

    def evaluate() -> tuple[th.Tensor, th.Tensor]:
        return objective(parameter), 0.5 * (th.tensor([1.0, 4.0]) * parameter.square()).sum()

    return parameter, trust_region_step([parameter], evaluate, **({"max_kl": 0.01, "cg_damping": 0.0} | changes))


def test_the_natural_gradient_by_hand() -> None:
    parameter, done = region(lambda p: p @ th.tensor([1.0, 2.0]))
    direction = th.tensor([0.1, 0.05])  # sqrt(2 * .01 / 2) times the inverse of the form times (1, 2)
    share = (parameter / direction).detach()
    assert share[0].item() == pytest.approx(share[1].item(), rel=1e-3)
    assert 0.79 < share[0].item() <= 1.0 + 1e-6  # the whole step, or the next where rounding put it outside
    assert 0.0 < done.kl <= 0.01
    assert done.gain == pytest.approx(0.2 * share[0].item(), rel=1e-3)


def test_a_larger_region_allows_a_longer_step_and_damping_a_shorter_one() -> None:
    lengths = [
        region(lambda p: p @ th.tensor([1.0, 2.0]), **changes)[0].norm().item()
        for changes in ({}, {"max_kl": 0.04}, {"cg_damping": 10.0})
    ]
    assert lengths[2] < lengths[0] < lengths[1]


def test_no_step_where_none_improves_or_nothing_is_known() -> None:
    parameter, done = region(lambda p: p.sum() - 1e6 * p.square().sum())
    assert (parameter.tolist(), done.gain, done.kl) == ([0.0, 0.0], 0.0, 0.0)
    parameter, done = region(lambda p: 0.0 * p.sum())
    assert (parameter.tolist(), done.gain) == ([0.0, 0.0], 0.0)
