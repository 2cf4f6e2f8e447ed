"""One way to act: the member that earned a row, the agent handed over, saved, loaded and asked are one function."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import LineTask, line_envs, tiny_skills
from pearl_for_tests import make as make_meta
from policies_for_tests import BATCH, batch, make, single, trained

from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.algorithms.cohort import Cohort
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.skills.vec_env import SkillVecEnv

QUICK: dict[str, Any] = {
    "n_exploration_episodes": 2,
    "explore_until_reward": False,
    "initial_updates": 2,
    "batch_size": 6,
    "buffer_size": 100,
}
BOUND = 3.0
PROBE = 5.0 * np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def meta() -> SkillPriorPEARL:
    """Trained a little, and then with an actor that leaves the bounds now and then."""
    model = make_meta(learning_rate=0.01, gradient_steps=5).learn(60)
    with th.no_grad():
        model.policy.actor.biases[-1][..., :3] += th.tensor([3.0, -3.5, 0.5])
    return model


def vec_env(number: int) -> SkillVecEnv:
    return SkillVecEnv(line_envs(number), tiny_skills())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[int, dict[str, Any]]:
    """What each member of a batched learner answers when it is handed over; all members see the same."""
    hand_over, seen = Adaptation._hand_over, {}

    def spy(self: Adaptation, cohort: Cohort, member: int) -> SkillPriorSAC:
        policy = cohort.policy
        answers = np.stack(
            [policy.predict(np.repeat(row[None], policy.n_agents, 0), deterministic=True)[0] for row in PROBE]
        )
        agent = hand_over(self, cohort, member)
        seen[int(cohort.agents[member])] = {"answers": answers[:, member], "n_agents": policy.n_agents}
        return agent

    monkeypatch.setattr(Adaptation, "_hand_over", spy)
    return seen


@pytest.mark.parametrize("number", [1, 3])
def test_the_agent_that_is_returned_saved_and_loaded_is_the_member(
    meta: SkillPriorPEARL, asked: dict[int, dict[str, Any]], number: int, tmp_path: Path
) -> None:
    """To the bit for as many agents, within 1e-5 across numbers of agents; and it ends beyond no bound."""
    tasks = [LineTask(30.0)] * number
    agents = meta.adapt_tasks(vec_env(number), tasks, seed=0, n_episodes=5, **QUICK)
    for i, agent in enumerate(agents):
        agent.save(tmp_path / "agent")
        again = SkillPriorSAC.load(tmp_path / "agent", device="cpu")
        one_by_one = [np.stack([each.predict(row, deterministic=True)[0] for row in PROBE]) for each in (agent, again)]
        assert np.array_equal(*one_by_one)
        if asked[i]["n_agents"] == 1:
            assert np.array_equal(one_by_one[0], asked[i]["answers"])
        np.testing.assert_allclose(one_by_one[0], asked[i]["answers"], rtol=0.0, atol=1e-5)
        np.testing.assert_allclose(agent.predict(PROBE, deterministic=True)[0], one_by_one[0], rtol=0.0, atol=1e-5)
        assert np.abs(one_by_one[0]).max() == BOUND  # the bound is felt


def test_sampled_skills_are_equal_with_equal_random_numbers(meta: SkillPriorPEARL, tmp_path: Path) -> None:
    (agent,) = meta.adapt_tasks(vec_env(1), [LineTask(30.0)], seed=0, n_episodes=3, **QUICK)
    agent.save(tmp_path / "agent")
    again = SkillPriorSAC.load(tmp_path / "agent", device="cpu")
    drawn = []
    for act in (
        lambda: agent.predict(PROBE)[0],
        lambda: again.predict(PROBE)[0],
        lambda: agent.policy.act(PROBE, agent.policy.task_latent.expand(len(PROBE), -1)),
        lambda: agent.policy(th.as_tensor(PROBE)).numpy(),
    ):
        th.manual_seed(7)
        drawn.append(act())
    for other in drawn[1:]:
        assert np.array_equal(drawn[0], other)
    assert np.abs(drawn[0]).max() <= BOUND


def test_what_is_lived_through_is_inside_the_bounds(meta: SkillPriorPEARL) -> None:
    """Rows hold the skills that the environments executed: those that the policies chose, clipped."""
    episodes: list[FinishedEpisode] = []
    meta.adapt_tasks(
        vec_env(2),
        [LineTask(30.0)] * 2,
        seed=0,
        n_episodes=4,
        on_episode=lambda agent, episode, finished: episodes.append(finished),
        **QUICK,
    )
    skills = {
        kind: np.concatenate([e.episode.actions for e in episodes if e.job.kind == kind])
        for kind in ("exploration", "fine-tuning")
    }
    for kind, lived in skills.items():
        assert np.abs(lived).max() == BOUND, kind
        assert (np.abs(lived) <= BOUND).all(), kind


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_acting_and_inferring_do_not_depend_on_the_precision_of_the_process(
    meta: SkillPriorPEARL, precision: str
) -> None:
    before = th.get_float32_matmul_precision()
    context = th.randn(1, 6, 2 * 2 + meta.skills.skill_dim + 2, generator=th.Generator().manual_seed(0))
    e = th.ones(len(PROBE), meta.task_latent_dim)
    expected = meta.policy.act(PROBE, e, deterministic=True), meta.infer_task_latent(context)[0]
    th.set_float32_matmul_precision(precision)
    try:
        assert np.array_equal(meta.policy.act(PROBE, e, deterministic=True), expected[0])
        assert th.equal(meta.infer_task_latent(context)[0], expected[1])
        assert th.get_float32_matmul_precision() == precision
    finally:
        th.set_float32_matmul_precision(before)


def test_updates_set_their_precision_and_leave_the_process_as_it_was(
    meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    critic_loss = type(meta.policy).critic_loss

    def spy(self: Any, *given: Any) -> th.Tensor:
        seen.append(th.get_float32_matmul_precision())
        return critic_loss(self, *given)

    monkeypatch.setattr("simpl_sb3.algorithms.policies.SkillActorCritic.critic_loss", spy)
    before = th.get_float32_matmul_precision()
    for precision in ("high", "medium"):
        (agent,) = meta.adapt_tasks(
            vec_env(1), [LineTask(30.0)], seed=0, n_episodes=3, matmul_precision=precision, **QUICK
        )
        assert set(seen) == {precision}
        assert agent.matmul_precision == precision
        seen.clear()
    assert th.get_float32_matmul_precision() == before


def test_the_precision_is_stored_with_the_agent(meta: SkillPriorPEARL, tmp_path: Path) -> None:
    """The meta-trained one's, unless another was asked for."""
    for given in ({}, {"matmul_precision": "highest"}):
        (agent,) = meta.adapt_tasks(vec_env(1), [LineTask(30.0)], seed=0, n_episodes=3, **QUICK, **given)
        agent.save(tmp_path / "agent")
        stored = SkillPriorSAC.load(tmp_path / "agent", device="cpu").matmul_precision
        assert stored == given.get("matmul_precision", meta.matmul_precision)


def test_many_agents_act_as_each_alone_within_rounding() -> None:
    policy = trained(make(5))
    observations = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    together, _ = policy.predict(observations, deterministic=True)
    for member in range(5):
        alone, _ = single(policy, member).predict(observations[member], deterministic=True)
        np.testing.assert_allclose(together[member], alone, rtol=0.0, atol=1e-5)


def test_losses_ask_the_critics_about_the_skills_that_are_acted() -> None:
    """A sample beyond the bounds is clipped there too: values of skills that are never acted pull no actor."""
    policy = trained(make(2))
    policy.skill_bound = 0.05
    z, _ = policy.sample(batch(2).observations, th.randn(2, BATCH, 2))
    assert float(z.detach().abs().max()) == pytest.approx(0.05)
