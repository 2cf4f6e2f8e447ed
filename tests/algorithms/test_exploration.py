"""How an unknown task is explored: guesses of its latent, and the bare skill prior among them."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch as th
from adaptation_for_tests import run, trained
from pearl_for_tests import LATENT, make

from simpl_sb3.algorithms.exploration import Elimination, Explorer
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.experience.collector import EXPLORATION, SKILL_PRIOR

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
def test_in_so_many_episodes_the_skill_prior_acts(model: SkillPriorPEARL, share: float) -> None:
    th.manual_seed(0)
    chosen = explorer(model, exploration_skill_prior=share)
    kinds = [chosen.kind() for _ in range(1_000)]
    assert set(kinds) <= {EXPLORATION, SKILL_PRIOR}
    assert kinds.count(SKILL_PRIOR) / 1_000 == pytest.approx(share, abs=0.05)
    late = [chosen.kind(late=True) for _ in range(1_000)]
    assert late.count(SKILL_PRIOR) / 1_000 == pytest.approx(max(share, 0.5) if share else 0.0, abs=0.05)
    assert chosen.guess(kind=SKILL_PRIOR).tolist() == [0.0] * LATENT + [1.0]
    assert chosen.guess(kind=EXPLORATION)[-1] == 0.0


def test_without_the_skill_prior_no_random_number_is_spent_on_it(model: SkillPriorPEARL) -> None:
    th.manual_seed(0)
    chosen = explorer(model, exploration_skill_prior=0.0)
    assert chosen.kind() == EXPLORATION
    guess = chosen.guess()[:-1]
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


# ---------------------------------------------------------------- imagined tasks, and which are ruled out


class Line:
    """A meta-policy whose imagined tasks lie at 0, 1, ..., 9 of one latent, each with a standard deviation of 0.5."""

    class imagined:
        rows = th.arange(10.0).unsqueeze(1)

    def imagine(self, rows: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        return rows, th.full_like(rows, 0.5)


def elimination(n_agents: int = 2) -> Elimination:
    return Elimination(Line(), n_agents)  # type: ignore[arg-type]


def test_a_guess_is_the_task_farthest_from_all_that_was_seen() -> None:
    chosen = elimination()
    chosen.rule_out(np.array([1]), th.tensor([[2.0]]))
    assert chosen.guess(1).tolist() == [9.0]
    chosen.leave(1)
    chosen.rule_out(np.array([1]), th.tensor([[8.0]]))
    assert chosen.guess(1).tolist() == [5.0]  # 9 was tried
    chosen.rule_out(np.array([0, 1]), th.tensor([[9.0], [0.0]]))
    assert chosen.guess(0).tolist() == [0.0]  # what one agent saw says nothing to another


def test_distances_are_in_standard_deviations() -> None:
    chosen = elimination()
    chosen.rule_out(np.array([0]), th.tensor([[3.0]]))
    assert chosen.distances[0].tolist() == [2.0 * abs(place - 3.0) for place in range(10)]
    assert chosen.distances[1].isinf().all()


def test_who_saw_nothing_draws_any_task_and_then_others() -> None:
    th.manual_seed(0)
    firsts = {elimination().guess(0).item() for _ in range(100)}
    assert firsts == set(range(10))
    chosen, tried = elimination(), set()
    for _ in range(10):
        chosen.leave(0)
        tried.add(chosen.guess(0).item())
    assert len(tried) == 10
    chosen.leave(0)
    assert not chosen.distances[0].any()
    again = {chosen.guess(0).item()}  # all were tried: it begins anew
    for _ in range(9):
        chosen.leave(0)
        again.add(chosen.guess(0).item())
    assert len(again) == 10


def test_a_guess_is_over_where_the_agent_got_there_or_after_so_many_skills(model: SkillPriorPEARL) -> None:
    ruled_out = elimination()
    config = replace(model.config, exploration_skill_prior=0.0, exploration_latent_skills=5)
    chosen = Explorer(model.policy, config, "prior", ruled_out)
    ruled_out.rule_out(np.array([1]), th.tensor([[2.0]]))
    chosen.guess(1)  # 9, and 3 standard deviations are 1.5
    assert [chosen.is_over(1, age) for age in (1, 4, 5)] == [False, False, True]
    ruled_out.rule_out(np.array([1]), th.tensor([[7.0]]))
    assert not chosen.is_over(1, 1)
    ruled_out.rule_out(np.array([1]), th.tensor([[8.0]]))
    assert chosen.is_over(1, 1)
    chosen.guess_from((th.zeros(1, LATENT), th.ones(1, LATENT)), 1)
    assert not chosen.is_over(1, 4)


def test_a_guess_of_the_skill_prior_is_not_over_at_once(model: SkillPriorPEARL) -> None:
    ruled_out = elimination()
    chosen = Explorer(model.policy, replace(model.config, exploration_skill_prior=1.0), "prior", ruled_out)
    ruled_out.guess(0)
    ruled_out.rule_out(np.array([0]), th.arange(10.0).unsqueeze(1)[[int(ruled_out.chosen[0])]])
    assert chosen.is_over(0, 1)
    chosen.guess(0)
    assert not chosen.is_over(0, 1)


def test_an_explorer_takes_its_guesses_from_there(model: SkillPriorPEARL) -> None:
    ruled_out = elimination()
    ruled_out.rule_out(np.array([1]), th.tensor([[2.0]]))
    chosen = Explorer(model.policy, replace(model.config, exploration_skill_prior=0.0), "prior", ruled_out)
    assert chosen.guess(1).tolist() == [9.0, 0.0]


def test_a_meta_training_leaves_the_states_that_it_visited() -> None:
    model = make()
    assert not model.policy.imagined.known
    model.learn(100)
    imagined = model.policy.imagined
    held = {tuple(row) for row in model.context_buffer.evenly_spaced(100_000)[0].tolist()}
    assert imagined.known
    assert {tuple(row) for row in imagined.rows.tolist()} <= held
    assert imagined.reward.tolist() == [1.0, 1.0]


# ---------------------------------------------------------------- in adaptation


@pytest.fixture(scope="module")
def trained_meta() -> SkillPriorPEARL:
    return trained()


def test_what_an_agent_saw_is_ruled_out_until_its_first_reward(
    trained_meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, list[np.ndarray]] = defaultdict(list)

    def spy(elimination: Elimination, agents: np.ndarray, rows: th.Tensor) -> None:
        for agent, row in zip(agents, rows.numpy(), strict=True):
            seen[int(agent)].append(row)

    monkeypatch.setattr(Elimination, "rule_out", spy)
    _, log, _ = run(trained_meta, exploration="unvisited", n_exploration_episodes=4, exploration_skill_prior=0.0)
    for i in range(3):
        episodes = [finished.episode for _, finished in log[i][:4]]
        first = next((k for k, episode in enumerate(episodes) if episode.total_reward > 0), 3)
        lived = np.concatenate([episode.next_observations for episode in episodes[: first + 1]])
        np.testing.assert_array_equal(np.array(seen[i])[:, -2:], lived)


def test_a_model_that_saw_no_reward_explores_around_the_training_tasks(trained_meta: SkillPriorPEARL) -> None:
    known = trained_meta.policy.imagined.rows.clone()
    trained_meta.policy.imagined.rows.zero_()
    try:
        _, _, adaptation = run(trained_meta, exploration="unvisited")
        assert adaptation.explorer.elimination is None
    finally:
        trained_meta.policy.imagined.rows.copy_(known)
