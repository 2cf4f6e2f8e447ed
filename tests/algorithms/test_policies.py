"""Policies: the actor starts as the frozen prior, M members side by side are M policies, and what is frozen stays."""

import numpy as np
import pytest
import torch as th
import torch.nn.functional as F
from envs_for_tests import SKILL_DIM
from policies_for_tests import BATCH, batch, learner, make, make_meta, single, skills, trained
from torch import nn

from simpl_sb3.algorithms.networks import EnsembleMLP


@pytest.fixture
def still_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise of every sample is 0.3, so that the number of members does not matter to it."""
    monkeypatch.setattr(th, "randn_like", lambda tensor: th.full_like(tensor, 0.3))


# ---------------------------------------------------------------- many networks at once


def test_an_ensemble_is_that_many_networks() -> None:
    th.manual_seed(0)
    ensemble = EnsembleMLP(3, [4, 6, 5, 2])
    inputs = th.randn(3, 7, 4)
    for member in range(3):
        hidden = inputs[member]
        for weight, bias in zip(ensemble.weights[:-1], ensemble.biases[:-1], strict=True):
            hidden = F.relu(hidden @ weight[member] + bias[member])
        expected = hidden @ ensemble.weights[-1][member] + ensemble.biases[-1][member]
        th.testing.assert_close(ensemble(inputs)[member], expected)


def test_members_start_differently_within_the_bounds_of_a_linear_layer() -> None:
    ensemble = EnsembleMLP(2, [16, 64, 1])
    linear = nn.Linear(16, 64)
    assert not th.equal(ensemble.weights[0][0], ensemble.weights[0][1])
    assert ensemble.weights[0].abs().max() <= 0.25
    assert ensemble.weights[0].std().item() == pytest.approx(linear.weight.std().item(), rel=0.1)
    assert EnsembleMLP(2, [16, 8, 3], zero_output=True)(th.randn(2, 5, 16)).abs().max() == 0.0


# ---------------------------------------------------------------- the actor and its prior


@pytest.mark.parametrize("latent_dim", [0, 2])
@pytest.mark.parametrize("n_agents", [1, 3])
def test_the_actor_starts_as_the_prior(n_agents: int, latent_dim: int) -> None:
    policy = make(n_agents, latent_dim)
    observations = 5.0 * th.randn(n_agents, BATCH, 2)
    e = th.randn(n_agents, BATCH, latent_dim) if latent_dim else None
    (mean, std), (prior_mean, prior_std) = policy.distribution(observations, e)
    assert mean.shape == std.shape == (n_agents, BATCH, SKILL_DIM)
    assert th.equal(mean, prior_mean)
    th.testing.assert_close(std, prior_std + 1e-3)
    assert policy.sample(observations, e)[1].abs().max() < 1e-3  # its KL, which the floor of the std leaves


def test_the_prior_is_that_of_the_skills() -> None:
    model = skills(norm="batch")
    policy = make(2, model=model)
    observations = th.randn(2, BATCH, 2)
    _, prior = policy.distribution(observations, th.zeros(2, BATCH, 2))
    for member in range(2):
        for got, expected in zip(prior, model.prior(observations[member]), strict=True):
            th.testing.assert_close(got[member], expected)


def test_frozen_skills_do_not_move_in_training_mode() -> None:
    """Neither their weights nor the statistics of their normalisation, and nothing flows into them."""
    policy = trained(make(2, model=skills(norm="batch", prior_hidden=(8, 8, 8), decoder_hidden=(8, 8))))
    before = {name: value.clone() for name, value in policy.skills.state_dict().items()}
    assert any("running_mean" in name for name in before)
    for enter in (lambda: policy.set_training_mode(True), policy.train):
        enter()
        assert policy.training
        assert not any(module.training for module in policy.skills.modules())
        learning = learner(policy)
        for _ in range(3):
            learning.update_agents(batch(2))
    assert all(parameter.grad is None for parameter in policy.skills.parameters())
    assert not any(parameter.requires_grad for parameter in policy.skills.parameters())
    for name, value in policy.skills.state_dict().items():
        assert th.equal(value, before[name]), name


def test_the_kl_is_that_of_the_policy_to_the_prior() -> None:
    policy = trained(make(1, 2))
    observations, e = th.randn(1, BATCH, 2), th.randn(1, BATCH, 2)
    (mean, std), prior = policy.distribution(observations, e)
    expected = th.distributions.kl_divergence(th.distributions.Normal(mean, std), th.distributions.Normal(*prior)).sum(
        -1
    )
    th.testing.assert_close(policy.sample(observations, e)[1], expected)


def test_samples_follow_the_distribution() -> None:
    policy = trained(make(1, 2))
    observations, e = th.randn(1, 1, 2).expand(1, 20_000, 2), th.randn(1, 1, 2).expand(1, 20_000, 2)
    (mean, std), _ = policy.distribution(observations, e)
    z, _ = policy.sample(observations, e)
    th.testing.assert_close(z.mean(dim=1), mean[:, 0], atol=0.1, rtol=0.05)
    th.testing.assert_close(z.std(dim=1), std[:, 0], atol=0.05, rtol=0.05)


# ---------------------------------------------------------------- critics


def test_layout_of_the_twin_critics() -> None:
    """First critic of all members, then second critic of all members."""
    policy = trained(make(3))
    observations, e, z = th.randn(3, BATCH, 2), th.randn(3, BATCH, 2), th.randn(3, BATCH, SKILL_DIM)
    values = policy.q_values(policy.critics, observations, e, z)
    assert values.shape == (2, 3, BATCH)
    inputs = th.cat([policy.skills.standardise(observations), e, z], dim=-1)
    for twin in range(2):
        for member in range(3):
            hidden = inputs[member]
            layers = list(zip(policy.critics.weights, policy.critics.biases, strict=True))
            for weight, bias in layers[:-1]:
                hidden = F.relu(hidden @ weight[3 * twin + member] + bias[3 * twin + member])
            weight, bias = (parameter[3 * twin + member] for parameter in layers[-1])
            th.testing.assert_close(values[twin, member], (hidden @ weight + bias)[:, 0])


def test_target_critics_start_as_the_critics_and_are_not_trained() -> None:
    policy = make(2)
    for own, target in zip(policy.critics.parameters(), policy.critics_target.parameters(), strict=True):
        assert th.equal(own, target)
        assert own is not target
        assert not target.requires_grad


def test_critic_loss_by_hand(still_noise: None) -> None:
    policy, given, e = trained(make(1)), batch(1), th.randn(1, BATCH, 2)
    (mean, std), prior = policy.distribution(given.next_observations, e)
    next_z = mean + 0.3 * std
    next_q = policy.q_values(policy.critics_target, given.next_observations, e, next_z).amin(dim=0)
    kl = th.distributions.kl_divergence(th.distributions.Normal(mean, std), th.distributions.Normal(*prior)).sum(-1)
    clip = kl.median().item()
    target = given.rewards + 0.9 * (1 - given.terminated) * (next_q - 0.2 * kl.clamp(max=clip))
    first, second = policy.q_values(policy.critics, given.observations, e, given.actions)
    expected = 0.5 * ((first - target) ** 2).mean() + 0.5 * ((second - target) ** 2).mean()
    assert kl.max() > clip > kl.min()
    th.testing.assert_close(policy.critic_loss(given, e, th.tensor(0.2), kl_clip=clip), expected)


def test_the_task_latent_learns_from_the_critics_predictions_and_not_from_their_targets() -> None:
    policy, given = trained(make(1)), batch(1)
    e = th.randn(1, BATCH, 2, requires_grad=True)
    policy.critic_loss(given, e, th.tensor(0.1), 5.0).backward()
    assert e.grad is not None
    assert (e.grad != 0).any()
    assert all(parameter.grad is not None for parameter in policy.critics.parameters())
    assert all(
        parameter.grad is None for parameter in [*policy.actor.parameters(), *policy.critics_target.parameters()]
    )


def test_the_actors_loss_trains_the_actor_only() -> None:
    policy, observations, e = trained(make(2)), th.randn(2, BATCH, 2), th.randn(2, BATCH, 2)
    loss, kl = policy.actor_loss(observations, e, th.tensor(0.1))
    loss.backward()
    assert kl.shape == (2, BATCH)
    assert not kl.requires_grad
    assert all(parameter.grad is not None for parameter in policy.actor.parameters())
    assert all(parameter.grad is None for parameter in policy.critics.parameters())
    assert all(parameter.requires_grad for parameter in policy.critics.parameters())  # again


def test_actor_loss_by_hand(still_noise: None) -> None:
    policy, observations, e = trained(make(2)), th.randn(2, BATCH, 2), th.randn(2, BATCH, 2)
    z, kl = policy.sample(observations, e)
    q = policy.q_values(policy.critics, observations, e, z).amin(dim=0)
    multiplier = th.tensor([[0.5], [2.0]])
    loss, _ = policy.actor_loss(observations, e, multiplier)
    th.testing.assert_close(loss, (0.5 * kl[0] - q[0]).mean() + (2.0 * kl[1] - q[1]).mean())


# ---------------------------------------------------------------- acting


@pytest.mark.parametrize("latent_dim", [0, 2])
def test_each_member_acts_for_itself(latent_dim: int) -> None:
    policy = trained(make(3, latent_dim))
    observations = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    e = th.randn(3, latent_dim) if latent_dim else None
    together = policy.act(observations, e, deterministic=True)
    assert together.shape == (3, SKILL_DIM)
    assert together.dtype == np.float32
    for member in range(3):
        own = None if e is None else e[[member]]
        alone = single(policy, member).act(observations[[member]], own, deterministic=True)
        assert np.allclose(together[[member]], alone, atol=1e-6)


def test_one_member_acts_for_any_number_of_observations() -> None:
    policy = trained(make(1))
    observations, e = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32), th.randn(6, 2)
    together = policy.act(observations, e, deterministic=True)
    alone = np.concatenate([policy.act(observations[[i]], e[[i]], deterministic=True) for i in range(6)])
    assert np.allclose(together, alone, atol=1e-6)
    assert not np.array_equal(policy.act(observations, e), policy.act(observations, e))


@pytest.mark.parametrize("deterministic", [False, True])
def test_predict_as_sb3_users_expect(deterministic: bool) -> None:
    """With the member's own task latent, clipped to the action space; one observation or many, of any float type."""
    policy = trained(make(1))
    observations = 20.0 * np.random.default_rng(0).normal(size=(50, 2))
    th.manual_seed(5)
    z, state = policy.predict(observations, deterministic=deterministic)
    assert z.shape == (50, SKILL_DIM)
    assert state is None
    assert np.abs(z).max() <= 3.0
    th.manual_seed(5)
    acted = policy.act(observations.astype(np.float32), policy.task_latent.expand(50, -1), deterministic)
    assert np.array_equal(z, acted)
    assert policy.predict(observations[0])[0].shape == (SKILL_DIM,)


# ---------------------------------------------------------------- members come and go


def test_a_copied_agent_is_a_copy() -> None:
    policy = trained(make(2))
    alone = single(policy, 1)
    with th.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
    assert all((parameter != 0).any() for parameter in alone.actor.parameters())


# ---------------------------------------------------------------- the meta-policy


@pytest.mark.parametrize("task_encoder", ["deep-set", "set-transformer"])
def test_the_encoder_reads_standardised_observations(task_encoder: str) -> None:
    policy = make_meta(task_encoder=task_encoder)
    rows = th.randn(3, 6, 2 + SKILL_DIM + 2 + 2)
    given = rows.clone()
    for part in (slice(0, 2), slice(-2, None)):
        given[..., part] = given[..., part] * policy.skills.observation_std + policy.skills.observation_mean
    for got, expected in zip(policy.encode(given), policy.task_encoder(rows), strict=True):
        assert got.shape == (3, 2)
        th.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_latents_to_explore_with() -> None:
    """From N(0, I), or from the one Gaussian that has the moments of the tasks' posteriors."""
    policy = make_meta()
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
