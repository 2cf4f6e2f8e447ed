"""Policies: the actor starts as the frozen prior, M members side by side are M policies, and what is frozen stays."""

import numpy as np
import pytest
import torch as th
import torch.nn.functional as F
from envs_for_tests import SKILL_DIM
from policies_for_tests import BATCH, UPDATE, batch, make, single, skills, trained
from torch import nn

from simpl_sb3.algorithms.policies import EnsembleMLP, SkillPriorPolicy
from simpl_sb3.algorithms.skill_prior_sac import make_optimizers, update_agents
from simpl_sb3.experience.buffer import TaskBatch


def of_member(many: TaskBatch, member: int) -> TaskBatch:
    return TaskBatch(**{name: value[[member]] for name, value in vars(many).items()})


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
        optimizers = make_optimizers(policy, 1e-2, 1e-2)
        for _ in range(3):
            update_agents(
                policy, optimizers, batch(2), skill_kl_target=1.0, kl_clip=5.0, tau=0.1, multipliers_only_grow=True
            )
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
    target = given.rewards + 0.9 * (1 - given.terminated) * (next_q - 0.2 * kl.clamp(max=3.0))
    first, second = policy.q_values(policy.critics, given.observations, e, given.actions)
    expected = 0.5 * ((first - target) ** 2).mean() + 0.5 * ((second - target) ** 2).mean()
    assert kl.max() > 3.0 > kl.min()
    th.testing.assert_close(policy.critic_loss(given, e, th.tensor(0.2), kl_clip=3.0), expected)


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
    assert np.allclose(z, np.clip(acted, -3.0, 3.0), atol=1e-6)
    assert policy.predict(observations[0])[0].shape == (SKILL_DIM,)


# ---------------------------------------------------------------- members come and go


def agreement(many: SkillPriorPolicy, ones: list[SkillPriorPolicy]) -> None:
    for member, one in enumerate(ones):
        copy = single(many, member)
        for name in ("actor", "critics", "critics_target"):
            for got, expected in zip(getattr(copy, name).parameters(), getattr(one, name).parameters(), strict=True):
                th.testing.assert_close(got, expected, atol=2e-5, rtol=1e-3)
        th.testing.assert_close(copy.log_multiplier, one.log_multiplier)
        assert th.equal(copy.task_latent, one.task_latent)


def test_updates_of_many_members_are_those_of_each_alone_also_after_some_left(still_noise: None) -> None:
    """One update of M = 3 equals three of M = 1; and those that stay keep their part of the optimisers' state."""
    many = trained(make(3))
    ones = [single(many, member) for member in range(3)]
    agreement(many, ones)
    optimizers = make_optimizers(many, 1e-2, 1e-2)
    own_optimizers = [make_optimizers(one, 1e-2, 1e-2) for one in ones]
    members = [0, 1, 2]
    for step in range(6):
        if step == 3:
            many.keep_agents(np.array([2, 0]), optimizers)
            members = [2, 0]
            assert many.n_agents == 2
            assert many.critics.weights[0].shape[0] == 4
        given = batch(3, seed=10 + step)
        update_agents(
            many, optimizers, TaskBatch(**{name: value[members] for name, value in vars(given).items()}), **UPDATE
        )
        for member in members:
            update_agents(ones[member], own_optimizers[member], of_member(given, member), **UPDATE)
        agreement(many, [ones[member] for member in members])
    kept = [state for optimizer in optimizers.values() for state in optimizer.state.values()]
    assert all(int(state["step"]) == 6 for state in kept)


def test_a_member_does_not_feel_the_others(still_noise: None) -> None:
    """The others' transitions may be anything."""
    results = []
    for scale in (1.0, 1e4):
        policy = trained(make(3))
        given = batch(3)
        given.rewards[1:] *= scale
        given.observations[1:] += scale
        update_agents(policy, make_optimizers(policy, 1e-2, 1e-2), given, **UPDATE)
        results.append(single(policy, 0))
    for one, other in zip(results[0].parameters(), results[1].parameters(), strict=True):
        assert th.equal(one, other)


def test_keep_agents_keeps_the_right_ones() -> None:
    policy = trained(make(4))
    before = [single(policy, member) for member in range(4)]
    policy.keep_agents(np.array([3, 1]), make_optimizers(policy, 1e-3, 1e-3))
    agreement(policy, [before[3], before[1]])


def test_a_copied_agent_is_a_copy() -> None:
    policy = trained(make(2))
    one = single(policy, 1)
    with th.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
    assert all((parameter != 0).any() for parameter in one.actor.parameters())
