"""Target task learning: explore, infer the task, fine-tune; for one task and for many at once, and who leaves when."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch as th
from adaptation_for_tests import PROBE, QUICK, TASKS, Log, run, settings, trained, vec_env
from envs_for_tests import SKILL_DIM, LineEnv, LineTask, line_envs, same_parameters, tiny_skills
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.algorithms.cohort import Cohort
from simpl_sb3.algorithms.settings import EXPLORATION
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.algorithms.updates import AgentLearner
from simpl_sb3.errors import EnvironmentSpecError, SettingsError, SkillMismatchError
from simpl_sb3.experience.collector import Job
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper


@pytest.fixture(scope="module")
def meta() -> SkillPriorPEARL:
    return trained()


# ---------------------------------------------------------------- from the meta-policy: adapt and adapt_tasks


def test_adapt_returns_an_agent_that_acts_and_learns_on(meta: SkillPriorPEARL) -> None:
    env, log = SkillActionWrapper(LineEnv(), tiny_skills()), []
    agent = meta.adapt(env, LineTask(2.0), seed=0, on_episode=lambda *one: log.append(one), **QUICK)
    assert isinstance(agent, SkillPriorSAC)
    assert [(who, episode) for who, episode, _ in log] == [(0, episode) for episode in range(1, 6)]
    assert [one.job.kind for *_, one in log] == ["exploration"] * 2 + ["fine-tuning"] * 3
    assert all(one.job.task == LineTask(2.0) for *_, one in log)
    assert env.unwrapped.task == LineTask(2.0)  # type: ignore[attr-defined]
    assert agent.predict(PROBE)[0].shape == (5, SKILL_DIM)
    before = agent.policy.actor.weights[0].clone()
    agent.learn(10)
    assert agent.num_timesteps == 10  # from 0 again, as SB3's learn begins
    assert not th.equal(before, agent.policy.actor.weights[0])


def test_adapt_takes_the_task_that_the_environment_has(meta: SkillPriorPEARL) -> None:
    env, log = SkillActionWrapper(LineEnv(), tiny_skills()), []
    env.get_wrapper_attr("set_task")(LineTask(-2.5))
    meta.adapt(env, seed=0, on_episode=lambda *one: log.append(one), **QUICK)
    assert {one.job.task for *_, one in log} == {LineTask(-2.5)}


def test_an_adapted_agent_can_be_saved_and_evaluated(meta: SkillPriorPEARL, tmp_path: Any) -> None:
    env = SkillActionWrapper(LineEnv(), tiny_skills())
    agent = meta.adapt(env, LineTask(2.0), seed=0, **QUICK)
    agent.save(tmp_path / "agent")
    again = SkillPriorSAC.load(tmp_path / "agent", env, device="cpu")
    assert same_parameters(agent.policy, again.policy)
    assert again.policy.task_latent.abs().sum() > 0  # e* is part of the agent
    assert np.array_equal(agent.predict(PROBE, deterministic=True)[0], again.predict(PROBE, deterministic=True)[0])
    assert len(evaluate_policy(again, again.get_env(), 2, return_episode_rewards=True)[0]) == 2  # type: ignore[arg-type]


def test_adapt_tasks_gives_one_agent_per_task(meta: SkillPriorPEARL) -> None:
    agents = meta.adapt_tasks(vec_env(), TASKS, seed=0, **QUICK)
    assert [type(agent) for agent in agents] == [SkillPriorSAC] * 3
    assert len({agent.policy.task_latent.sum().item() for agent in agents}) == 3
    assert not same_parameters(agents[0].policy, agents[1].policy)


def test_returns_are_those_that_the_meta_critics_learned(
    meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: dict[str, Any] = {"gamma": 0.9, "gamma_per_env_step": True, "handle_timeout_termination": False}
    learned |= {"matmul_precision": "high"}
    monkeypatch.setattr(meta, "config", replace(meta.config, **learned))
    for given in ({}, {"gamma": 0.8, "handle_timeout_termination": True}):
        (agent,) = meta.adapt_tasks(vec_env(1), TASKS[:1], seed=0, **QUICK, **given)
        expected = {**learned, **given}
        assert {name: getattr(agent, name) for name in learned} == expected
        assert agent.replay_buffer.handle_timeout_termination == expected["handle_timeout_termination"]


def test_a_time_limit_may_be_an_end(meta: SkillPriorPEARL) -> None:
    results = [run(meta, handle_timeout_termination=handled) for handled in (True, False)]
    assert [adaptation.replay.handle_timeout_termination for *_, adaptation in results] == [True, False]
    assert not same_parameters(results[0][0][1].policy, results[1][0][1].policy)


def test_adapting_leaves_the_meta_policy_alone(meta: SkillPriorPEARL) -> None:
    before = {name: value.clone() for name, value in meta.policy.state_dict().items()}
    run(meta)
    assert all(th.equal(value, meta.policy.state_dict()[name]) for name, value in before.items())


def test_environments_that_do_not_fit_are_refused(meta: SkillPriorPEARL) -> None:
    with pytest.raises(SettingsError, match="3 tasks for 2 environments"):
        meta.adapt_tasks(vec_env(2), TASKS)
    with pytest.raises(SkillMismatchError):
        meta.adapt_tasks(SkillVecEnv(line_envs(3), tiny_skills(seed=1)), TASKS)
    with pytest.raises(EnvironmentSpecError):
        meta.adapt(LineEnv(), LineTask(1.0))


@pytest.mark.parametrize(
    "wrong", [{"exploration": "hope"}, {"n_exploration_episodes": 6}, {"n_exploration_episodes": -1}, {"n_episodes": 0}]
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        settings(**wrong)


# ---------------------------------------------------------------- episodes, and who leaves when


@pytest.mark.parametrize("with_meta", [True, False])
@pytest.mark.parametrize("native", [True, False], ids=["SkillVecEnv", "DummyVecEnv"])
def test_every_agent_lives_through_its_episodes_on_its_own_task(
    meta: SkillPriorPEARL, with_meta: bool, native: bool
) -> None:
    """Though some need fewer skills for them than others, and leave the batch earlier."""
    env = vec_env() if native else DummyVecEnv([lambda: SkillActionWrapper(LineEnv(), tiny_skills())] * 3)  # type: ignore[list-item]
    agents, log, _ = run(meta if with_meta else None, env)
    assert len(agents) == 3
    for i, task in enumerate(TASKS):
        assert [episode for episode, _ in log[i]] == [1, 2, 3, 4, 5]
        kinds = [one.job.kind for _, one in log[i]]
        assert kinds == ["exploration"] * (2 if with_meta else 0) + ["fine-tuning"] * (3 if with_meta else 5)
        assert all(one.job.task == task for _, one in log[i])
    lengths = [sum(len(one.episode) for _, one in log[i]) for i in range(3)]
    assert lengths[1] == 5 * 4  # the task that is never reached
    assert min(lengths) < max(lengths)


def test_agents_leave_as_they_are(meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that is handed over acts as its member of the batch did then, with the multiplier and latent it had."""
    hand_over, seen = Adaptation._hand_over, {}

    def spy(self: Adaptation, cohort: Cohort, member: int) -> SkillPriorSAC:
        policy, agents = cohort.policy, cohort.agents
        probe = th.as_tensor(PROBE).expand(policy.n_agents, -1, -1)
        e = policy.task_latent[:, None].expand(-1, len(PROBE), -1)
        (mean, _), _ = policy.distribution(probe, e)
        q = policy.q_values(policy.critics, probe, e, mean)
        multiplier = cohort.learner.budget.log_multiplier[member].item()
        seen[int(agents[member])] = mean[member].detach(), q[:, member].detach(), multiplier, list(agents)
        return hand_over(self, cohort, member)

    monkeypatch.setattr(Adaptation, "_hand_over", spy)
    agents, *_ = run(meta, n_episodes=9)
    assert sorted(seen) == [0, 1, 2]
    assert len({len(alive) for *_, alive in seen.values()}) > 1  # they left at different times
    for i, agent in enumerate(agents):
        mean, q, multiplier, _ = seen[i]
        probe, e = th.as_tensor(PROBE)[None], agent.policy.task_latent[:, None].expand(-1, len(PROBE), -1)
        th.testing.assert_close(agent.policy.distribution(probe, e)[0][0][0], mean)
        th.testing.assert_close(agent.policy.q_values(agent.policy.critics, probe, e, mean[None])[:, 0], q)
        assert agent.learner.budget.log_multiplier.item() == multiplier


def test_episodes_that_only_explore(meta: SkillPriorPEARL) -> None:
    """All of them: agents conditioned on their e*, without an update of their own but the initial ones."""
    agents, log, _ = run(meta, n_episodes=2, initial_updates=0)
    assert [len(log[i]) for i in range(3)] == [2, 2, 2]
    for agent in agents:
        for name in ("actor", "critics", "critics_target"):
            assert same_parameters(getattr(agent.policy, name), getattr(meta.policy, name))


def test_who_was_never_rewarded_goes_on_exploring(meta: SkillPriorPEARL) -> None:
    """And begins to fine-tune in the episode after its first reward, as one whose exploring ended there."""
    agents, log, adaptation = run(
        meta,
        explore_until_reward=True,
        n_episodes=12,
        exploration="posterior",
        exploration_skill_prior=0.5,
        context_size=None,
    )
    for i in range(3):
        kinds = ["exploration" if one.job.explores else one.job.kind for _, one in log[i]]
        rewarded = [one.episode.total_reward > 0 for _, one in log[i]]
        first = rewarded.index(True) + 1 if any(rewarded) else 12
        assert kinds == ["exploration"] * max(2, first) + ["fine-tuning"] * (12 - max(2, first))
        mean, _ = meta.infer_task_latent(context_of(log, i, max(2, first)))
        th.testing.assert_close(agents[i].policy.task_latent, mean, rtol=1e-4, atol=1e-5)
        assert adaptation.replay.sizes[i] == sum(len(one.episode) for _, one in log[i])  # exploring ones included
        assert agents[i].num_timesteps == adaptation.lived[i] == adaptation.replay.sizes[i]
    assert all(one.job.explores for _, one in log[1])
    assert {one.job.kind for _, one in log[1]} == {"exploration", "skill_prior"}
    assert any(2 < [one.job.explores for _, one in log[i]].count(True) < 12 for i in (0, 2))


def test_a_reward_in_the_last_exploring_episode_is_known_to_the_next(meta: SkillPriorPEARL) -> None:
    """The posterior is asked as soon as there is a reward, not an episode later."""
    known: list[tuple[int, bool]] = []
    guess = Adaptation._guess_for

    def spy(self: Adaptation, job: Job) -> th.Tensor:
        known.append((job.task_index, self.context.rewarded(job.task_index)))
        return guess(self, job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Adaptation, "_guess_for", spy)
        _, log, _ = run(meta, exploration="posterior", n_exploration_episodes=5, exploration_latent_skills=None)
    for i in range(3):
        rewarded = np.cumsum([one.episode.total_reward > 0 for _, one in log[i]]) > 0
        assert [was for agent, was in known if agent == i] == [False, *rewarded[:-1]]


def test_after_episodes_that_only_explore_the_initial_updates_are_done_once(
    meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates: list[int] = []
    update = AgentLearner.update_agents
    monkeypatch.setattr(
        AgentLearner,
        "update_agents",
        lambda self, given: (updates.append(self.policy.n_agents), update(self, given))[1],
    )
    run(meta, n_episodes=2, initial_updates=3)
    assert updates == [3, 3, 3]


# ---------------------------------------------------------------- inference


def context_of(log: Log, agent: int, n_episodes: int) -> th.Tensor:
    """Rows (s, z, r, done, s') of an agent's first episodes, (1, N, row)."""
    episodes = [one.episode for _, one in log[agent][:n_episodes]]
    return th.as_tensor(
        np.concatenate(
            [
                np.column_stack([e.observations, e.actions, e.rewards, e.terminated, e.next_observations])
                for e in episodes
            ]
        )
    )[None]


def test_the_latent_is_the_mean_of_the_posterior_of_all_that_was_seen(meta: SkillPriorPEARL) -> None:
    """Of the exploring episodes, each agent's own."""
    agents, log, _ = run(meta, context_size=None)
    for i, agent in enumerate(agents):
        mean, _ = meta.infer_task_latent(context_of(log, i, 2))
        th.testing.assert_close(agent.policy.task_latent, mean, rtol=1e-4, atol=1e-5)


def test_agents_start_as_the_meta_policy(meta: SkillPriorPEARL) -> None:
    """With its posterior-sized multiplier, or the one that is given."""
    agents, *_ = run(meta, initial_updates=0, updates_per_skill=0.0)
    for agent in agents:
        for name in ("actor", "critics", "critics_target"):
            assert same_parameters(getattr(agent.policy, name), getattr(meta.policy, name))
        assert agent.learner.budget.multiplier().item() == pytest.approx(
            meta.learner.budgets["skill_kl"].multiplier()[1].item()
        )
    agents, *_ = run(meta, initial_updates=0, updates_per_skill=0.0, skill_kl_multiplier=0.25)
    assert agents[0].learner.budget.multiplier().item() == pytest.approx(0.25)


def test_exploring_episodes_have_fresh_latents(meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch) -> None:
    """One each, from N(0, I) where the paper's way is asked for."""
    given: list[np.ndarray] = []
    act = type(meta.policy).act

    def spy(self: Any, observations: np.ndarray, e: th.Tensor | None, *more: Any, **named: Any) -> np.ndarray:
        if self is meta.policy:
            assert e is not None
            given.append(e.numpy().copy())
        return act(self, observations, e, *more, **named)

    monkeypatch.setattr(type(meta.policy), "act", spy)
    fresh = {"exploration": "prior", "exploration_latent_skills": None, "exploration_skill_prior": 0.0}
    run(meta, **fresh, n_exploration_episodes=4)
    latents = {tuple(row) for e in given for row in e}
    assert len(latents) == 3 * 4


@pytest.mark.parametrize("exploration", EXPLORATION)
def test_ways_to_explore(meta: SkillPriorPEARL, exploration: str) -> None:
    _, log, _ = run(meta, exploration=exploration, n_exploration_episodes=3, exploration_latent_skills=2)
    assert [len(log[i]) for i in range(3)] == [5, 5, 5]


# ---------------------------------------------------------------- learning


@pytest.mark.parametrize(("updates_per_skill", "initial_updates"), [(0.5, 3), (2.0, 0), (0.0, 4)])
def test_number_of_updates(
    meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch, updates_per_skill: float, initial_updates: int
) -> None:
    """As many for each skill as told, whatever the number of agents."""
    updates: list[int] = []
    update = AgentLearner.update_agents
    monkeypatch.setattr(
        AgentLearner,
        "update_agents",
        lambda self, given: (updates.append(self.policy.n_agents), update(self, given))[1],
    )
    _, log, _ = run(meta, updates_per_skill=updates_per_skill, initial_updates=initial_updates)
    longest = max(sum(len(one.episode) for _, one in log[i][2:]) for i in range(3))
    assert len(updates) == initial_updates + int(updates_per_skill * longest)
    assert updates == sorted(updates, reverse=True)  # the batch only shrinks


@pytest.mark.parametrize("reuse", [True, False])
def test_the_replay_starts_with_the_exploring_episodes_or_empty(meta: SkillPriorPEARL, reuse: bool) -> None:
    """The paper's starts empty."""
    _, log, adaptation = run(meta, reuse_exploration=reuse)
    for i in range(3):
        first = 0 if reuse else 2
        rows = context_of({i: log[i][first:]}, i, 99)[0].numpy()
        size = int(adaptation.replay.sizes[i])
        assert np.array_equal(adaptation.replay.rows[i * 100 : i * 100 + size], rows)


def test_from_scratch_it_is_spirl() -> None:
    """No meta-policy, no latent, and actors that begin as the skill prior."""
    agents, *_ = run(None, updates_per_skill=0.0, skill_kl_multiplier=0.3)
    for agent in agents:
        assert agent.task_latent_dim == 0
        mean = tiny_skills().prior(th.as_tensor(PROBE))[0].clamp(-3.0, 3.0)
        assert np.allclose(agent.predict(PROBE, deterministic=True)[0], mean, atol=1e-6)
        assert agent.learner.budget.multiplier().item() == pytest.approx(0.3)
        assert agent.net_arch == (8,)
    learned, *_ = run(None, updates_per_skill=1.0)
    assert not np.allclose(learned[0].predict(PROBE, deterministic=True)[0], mean, atol=1e-6)


def test_seeded_runs_are_equal_to_the_bit(meta: SkillPriorPEARL) -> None:
    """Environments included, which the seed of the adaptation seeds."""
    first, again = (run(meta)[0] for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert same_parameters(one.policy, other.policy)
