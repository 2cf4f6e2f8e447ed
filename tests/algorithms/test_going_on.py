"""What ``adapt`` returns goes on learning from where adaptation stopped, on its task, at the same rate of updates."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import CountingEnv, LineEnv, LineTask, line_envs, tiny_skills
from pearl_for_tests import make as make_meta
from stable_baselines3.common.evaluation import evaluate_policy

from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.algorithms.cohort import Cohort
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper

QUICK: dict[str, Any] = {
    "n_episodes": 5,
    "n_exploration_episodes": 2,
    "explore_until_reward": False,
    "initial_updates": 3,
    "batch_size": 6,
    "buffer_size": 100,
}
FAR = LineTask(30.0)
"""Never reached: its episodes are four skills long."""


@pytest.fixture(scope="module")
def meta() -> SkillPriorPEARL:
    return make_meta(learning_rate=0.01, gradient_steps=5).learn(60)


def wrapped(**arguments: Any) -> SkillActionWrapper:
    return SkillActionWrapper(LineEnv(**arguments), tiny_skills())


def agents_and_their_learner(
    meta: SkillPriorPEARL, tasks: list[LineTask], monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> tuple[list[SkillPriorSAC], dict[int, dict[str, Any]]]:
    """The agents of an adaptation, and the state of each one's member when it was handed over."""
    seen: dict[int, dict[str, Any]] = {}
    hand_over = Adaptation._hand_over

    def spy(self: Adaptation, cohort: Cohort, member: int) -> SkillPriorSAC:
        index = int(cohort.agents[member])
        learner, length = cohort.learner, self.settings.buffer_size
        rows = slice(index * length, (index + 1) * length)
        weight = cohort.policy.actor.weights[0]
        seen[index] = {
            "rows": self.replay.rows[rows].copy(),
            "written": int(self.replay.written[index]),
            "multiplier": learner.budget.log_multiplier[member].detach().clone(),
            "moments": learner.optimizers["actor"].state[weight]["exp_avg_sq"][[member]].clone(),
            "steps": float(learner.optimizers["actor"].state[weight]["step"]),
            "n_updates": int(self.n_updates[index]),
        }
        return hand_over(self, cohort, member)

    monkeypatch.setattr(Adaptation, "_hand_over", spy)
    env = SkillVecEnv(line_envs(len(tasks)), tiny_skills())
    return meta.adapt_tasks(env, tasks, seed=0, **(QUICK | changes)), seen


def test_replay_moments_and_multiplier_are_carried_on(meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each agent's own, also of those that leave the batch later."""
    tasks = [LineTask(1.3), FAR, LineTask(-1.3)]
    agents, seen = agents_and_their_learner(meta, tasks, monkeypatch, n_episodes=9)
    assert len({given["n_updates"] for given in seen.values()}) > 1
    for i, agent in enumerate(agents):
        given = seen[i]
        assert np.array_equal(agent.replay_buffer.rows, given["rows"])
        assert agent.replay_buffer.written.tolist() == [given["written"]]
        assert th.equal(agent.learner.budget.log_multiplier[0], given["multiplier"])
        state = agent.learner.optimizers["actor"].state[agent.policy.actor.weights[0]]
        assert th.equal(state["exp_avg_sq"], given["moments"])
        assert float(state["step"]) == given["steps"] > 0
        assert agent._n_updates == given["n_updates"]
        assert agent.num_timesteps == given["written"]  # exploring episodes included
        assert agent._episode_num == 9


def test_copies_share_nothing(meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch) -> None:
    agents, _ = agents_and_their_learner(meta, [FAR, FAR], monkeypatch)
    before = [parameter.clone() for parameter in agents[1].policy.parameters()]
    rows = agents[1].replay_buffer.rows.copy()
    agents[0].set_env(wrapped())
    agents[0].learn(12, reset_num_timesteps=False)
    assert all(th.equal(old, new) for old, new in zip(before, agents[1].policy.parameters(), strict=True))
    assert np.array_equal(rows, agents[1].replay_buffer.rows)


RATES: dict[str, tuple[dict[str, Any], Callable[[int], int]]] = {
    "one per two skills": ({"train_freq": 2, "gradient_steps": 1}, lambda n: n // 2),
    "the earlier name": ({"updates_per_skill": 0.5}, lambda n: n // 2),
    "two per skill": ({"train_freq": 1, "gradient_steps": 2}, lambda n: 2 * n),
    "as many as skills": ({"train_freq": 4, "gradient_steps": -1}, lambda n: n),
    "none": ({"gradient_steps": 0}, lambda n: 0),
}


@pytest.mark.parametrize("rate", RATES)
def test_it_learns_on_at_the_same_rate(meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    changes, expected = RATES[rate]
    (agent,), seen = agents_and_their_learner(meta, [FAR], monkeypatch, **changes)
    assert seen[0]["n_updates"] == 3 + expected(3 * 4)  # three fine-tuning episodes of four skills
    agent.set_env(wrapped())
    before = agent._n_updates, agent.num_timesteps
    agent.learn(20, reset_num_timesteps=False)
    assert agent.num_timesteps == before[1] + 20
    assert agent._n_updates == before[0] + expected(20)


def test_it_samples_what_adaptation_lived_through(meta: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch) -> None:
    (agent,), seen = agents_and_their_learner(meta, [FAR], monkeypatch)
    agent.set_env(wrapped())
    agent.learn(4, reset_num_timesteps=False)
    assert agent.replay_buffer.sizes.tolist() == [seen[0]["written"] + 4]
    assert np.array_equal(agent.replay_buffer.rows[: seen[0]["written"]], seen[0]["rows"][: seen[0]["written"]])


# ---------------------------------------------------------------- the task


def test_an_agent_keeps_its_task_and_gives_it_to_environments(meta: SkillPriorPEARL, tmp_path: Path) -> None:
    """Also from a file, where the environment lists a task of that name."""
    env = wrapped()
    agent = meta.adapt(env, LineTask(2.0), seed=0, **QUICK)
    assert (agent.task, agent.task_name) == (LineTask(2.0), "2")
    fresh = wrapped()
    agent.set_env(fresh)
    assert fresh.unwrapped.task == LineTask(2.0)  # type: ignore[attr-defined]
    agent.save(tmp_path / "agent")
    again = SkillPriorSAC.load(tmp_path / "agent", device="cpu")
    assert again.task_name == "2"
    fresh = wrapped()
    again.set_env(fresh)
    assert fresh.unwrapped.task == LineTask(2.0)  # type: ignore[attr-defined]
    again.save(tmp_path / "twice")
    assert SkillPriorSAC.load(tmp_path / "twice", device="cpu").task_name == "2"


def test_an_agent_that_is_loaded_into_an_environment_gives_it_its_task(meta: SkillPriorPEARL, tmp_path: Path) -> None:
    meta.adapt(wrapped(), LineTask(-2.0), seed=0, **QUICK).save(tmp_path / "agent")
    env = wrapped()
    SkillPriorSAC.load(tmp_path / "agent", env, device="cpu")
    assert env.unwrapped.task == LineTask(-2.0)  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["load", "set_env"])
def test_a_task_that_the_environment_does_not_list_is_warned_of(
    meta: SkillPriorPEARL, how: str, tmp_path: Path
) -> None:
    meta.adapt(wrapped(), LineTask(0.7), seed=0, **QUICK).save(tmp_path / "agent")
    agent, env = SkillPriorSAC.load(tmp_path / "agent", device="cpu"), wrapped()
    doors: dict[str, Callable[[], Any]] = {
        "load": lambda: SkillPriorSAC.load(tmp_path / "agent", env, device="cpu"),
        "set_env": lambda: agent.set_env(env),
    }
    with pytest.warns(UserWarning, match=r"adapted to the task 0\.7, which the environment does not list"):
        doors[how]()


def test_agents_without_a_task_say_nothing() -> None:
    agent = SkillPriorSAC("MlpPolicy", wrapped(), net_arch=(8,), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.set_env(wrapped())


@pytest.mark.parametrize("loaded", [False, True])
def test_an_evaluation_on_another_task_is_warned_of(meta: SkillPriorPEARL, loaded: bool, tmp_path: Path) -> None:
    """SB3's ``evaluate_policy`` gives the environment to nobody; the agent sees which one it is."""
    agent = meta.adapt(wrapped(), LineTask(2.0), seed=0, **QUICK)
    if loaded:
        agent.save(tmp_path / "agent")
        agent = SkillPriorSAC.load(tmp_path / "agent", device="cpu")
    env = SkillVecEnv(line_envs(2), tiny_skills())
    with pytest.warns(UserWarning, match=r"adapted to the task 2, and is evaluated on 1\.5.*set_task"):
        evaluate_policy(agent, env, 2)
    env.env_method("set_task", LineTask(2.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_policy(agent, env, 2)
        agent.predict(np.zeros((1, 2)), episode_start=np.ones(1, bool))


def test_an_evaluation_in_an_environment_without_tasks_says_nothing(meta: SkillPriorPEARL) -> None:
    agent = meta.adapt(wrapped(), LineTask(2.0), seed=0, **QUICK)
    env = SkillVecEnv([lambda: CountingEnv(truncate_at=9)], tiny_skills())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_policy(agent, env, 1)
