"""How an unknown task is explored: guesses of its latent, and the bare skill prior among them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch as th
from pearl_for_tests import LATENT, make

from simpl_sb3.algorithms.exploration import Explorer
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL

OBSERVATIONS = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> SkillPriorPEARL:
    """With a policy that differs from the skill prior everywhere."""
    model = make()
    with th.no_grad():
        model.policy.actor.biases[-1] += 1.0
    return model


def explorer(model: SkillPriorPEARL, **changes: Any) -> Explorer:
    return Explorer(model.policy, replace(model.config, **changes), "prior")


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_so_many_guesses_are_the_skill_prior(model: SkillPriorPEARL, share: float) -> None:
    th.manual_seed(0)
    guesses = th.stack([explorer(model, exploration_skill_prior=share).guess() for _ in range(1_000)])
    assert guesses.shape == (1_000, LATENT + 1)
    assert guesses[:, -1].mean().item() == pytest.approx(share, abs=0.05)
    assert th.all(guesses[guesses[:, -1] == 1.0, :-1] == 0.0)


def test_without_the_skill_prior_no_random_number_is_spent_on_it(model: SkillPriorPEARL) -> None:
    th.manual_seed(0)
    guess = explorer(model, exploration_skill_prior=0.0).guess()[:-1]
    th.manual_seed(0)
    assert th.equal(guess, model.policy.sample_latent("prior"))


def test_the_skill_prior_acts_where_it_was_guessed(model: SkillPriorPEARL) -> None:
    guesses = th.cat([th.randn(6, LATENT), th.tensor([[0.0], [1.0]] * 3)], dim=1)
    policy, chosen = model.policy, explorer(model)
    (mean, std), prior = policy.distribution(th.as_tensor(OBSERVATIONS)[None], guesses[None, :, :-1])
    bare = guesses[:, -1:] > 0
    expected = [th.where(bare, theirs[0], own[0]) for own, theirs in zip((mean, std), prior, strict=True)]
    th.manual_seed(0)
    z = chosen.act(OBSERVATIONS, guesses)
    th.manual_seed(0)
    wanted = (expected[0] + expected[1] * th.randn(1, *z.shape)[0]).clamp(-policy.skill_bound, policy.skill_bound)
    np.testing.assert_allclose(z, wanted.detach().numpy(), atol=1e-6)
    assert not np.allclose(z[::2], chosen.act(OBSERVATIONS, th.cat([guesses[:, :-1], th.ones(6, 1)], dim=1))[::2])


def test_a_guess_from_the_posterior(model: SkillPriorPEARL) -> None:
    posterior = th.full((1, LATENT), 7.0), th.zeros(1, LATENT)
    guess = explorer(model, exploration_skill_prior=1.0).guess_from(posterior)
    assert guess.tolist() == [7.0] * LATENT + [0.0]
