"""DistilledSkills: no change at first, a change by hand, and a file that holds both models."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch as th
from envs_for_tests import ACTIONS, OBSERVATIONS, straight_skills, tiny_skills

from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.distilled import DistilledSkills

SEEN = th.tensor([[0.3, -1.0], [2.0, 0.5]])


def test_it_begins_as_the_prior_and_decodes_the_same_skills() -> None:
    skills = tiny_skills()
    skills.set_observation_statistics(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    distilled = DistilledSkills.over(skills, (8,))
    for own, theirs in zip(distilled.prior(SEEN), skills.prior(SEEN), strict=True):
        assert th.allclose(own, theirs, atol=2e-3)  # a floor of 0.001 stands under the standard deviation
    assert (distilled.horizon, distilled.skill_dim, distilled.action_bound) == (skills.horizon, 3, 3.0)
    assert th.equal(distilled.observation_std, skills.observation_std)
    z = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    assert np.array_equal(distilled.act(SEEN.numpy(), z), skills.act(SEEN.numpy(), z))


def test_a_change_by_hand_has_a_gradient_that_the_inner_prior_has_not() -> None:
    skills = straight_skills(OBSERVATIONS, ACTIONS, 4)  # its prior is N(0, 1)
    distilled = DistilledSkills.over(skills, ())
    with th.no_grad():
        distilled.change.output.bias[:] = th.tensor([0.7, 1.0])
    mean, std = distilled.prior(SEEN)
    raw = math.log(math.e - 1.0)  # softplus of it is 1
    assert mean[:, 0].tolist() == pytest.approx([0.7, 0.7])
    assert std[:, 0].tolist() == pytest.approx([1e-3 + math.log1p(math.exp(raw + 1.0))] * 2)
    mean.sum().backward()
    gradient = distilled.change.output.bias.grad
    assert gradient is not None
    assert gradient.tolist() == [2.0, 0.0]
    assert all(parameter.grad is None for parameter in skills.parameters())


def test_its_file_holds_both(tmp_path: Path) -> None:
    distilled = DistilledSkills.over(tiny_skills(), (8,))
    with th.no_grad():
        distilled.change.output.bias.fill_(0.3)
    distilled.save(tmp_path / "d.safetensors")
    loaded = Skills.load(tmp_path / "d.safetensors")
    assert isinstance(loaded, DistilledSkills)
    assert all(th.equal(*pair) for pair in zip(loaded.prior(SEEN), distilled.prior(SEEN), strict=True))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
