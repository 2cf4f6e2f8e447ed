"""SAC + HER: meta-training to rows, what a file holds, who is refused, and that it reaches goals that it is shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from envs_for_tests import LineTask
from stock_for_tests import (
    HORIZON,
    LINE_GOALS,
    TASKS,
    LineEnvs,
    adapted,
    by_commands,
    made,
    same_episodes,
    success,
    trained,
)

from simpl_sb3.algorithms.stock import GoalSAC, read_stock
from simpl_sb3.algorithms.stock_agents import GoalAgent
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.goal_vec_env import SkillHerReplayBuffer
from simpl_sb3.experiments.stages import Experiment, adapt_stage, meta_train_stage
from simpl_sb3.methods import METHODS


def test_meta_training_is_sac_with_hindsight_over_the_training_tasks(tmp_path: Path) -> None:
    model = made("sac-her", tmp_path, LineEnvs(), n_sampled_goal=3)
    assert isinstance(model, GoalSAC)
    assert isinstance(model.replay_buffer, SkillHerReplayBuffer)
    assert model.replay_buffer.n_sampled_goal == 3
    assert model.log_ent_coef.exp().item() == pytest.approx(0.001)
    model.learn(60)
    assert model.num_timesteps >= 60
    assert model.metrics()["n_updates"] > 0
    assert {task.name for task in model.env.tasks} == {task.name for task in TASKS}
    assert model.used_settings()["net_arch"] == (8,)


def test_the_first_update_waits_for_an_episode(tmp_path: Path) -> None:
    model = made("sac-her", tmp_path, LineEnvs(train_tasks=(LineTask(30.0), LineTask(-30.0))))
    model.learn(24)  # six skills of four environments: of seven, no episode has ended
    assert model._n_updates == 0
    model.learn(28)
    assert model._n_updates > 0


def test_the_same_seed_gives_the_same_weights_and_episodes(tmp_path: Path) -> None:
    files = [read_stock(trained("sac-her", tmp_path, seed=seed), GoalSAC) for seed in (1, 1, 2)]
    one, again, other = (file.tensors for file in files)
    assert all(bool((one[name] == again[name]).all()) for name in one)
    assert any(bool((one[name] != other[name]).any()) for name in one)
    source = trained("sac-her", tmp_path)
    for steps in (0, 2):
        how: dict[str, Any] = {"n_episodes": 3, "gradient_steps": steps, "batch_size": 8}
        told, agents = adapted("sac-her", source, seed=5, **how)
        assert same_episodes(told, adapted("sac-her", source, seed=5, **how)[0])
        assert [(agent, episode) for agent, episode, _ in told] == [(a, e) for a in (0, 1) for e in (1, 2, 3)]
        weights = read_stock(source, GoalSAC).tensors
        learned = [bool((agents[0].model.weights()[name] != weights[name]).any()) for name in weights]
        assert any(learned) == (steps > 0)


def test_agents_are_shown_their_goal(tmp_path: Path) -> None:
    told, agents = adapted("sac-her", trained("sac-her", tmp_path), n_episodes=1, gradient_steps=0)
    right, left = agents
    assert isinstance(right, GoalAgent)
    assert right.scale.asked([right.task]).tolist() == [[2.0]]
    observation = np.zeros(2, np.float32)
    z, _ = right.predict(observation, deterministic=True)
    many, _ = right.predict(np.zeros((3, 2), np.float32), deterministic=True)
    assert z.shape == (1,)
    assert np.allclose(many, z)
    assert not np.array_equal(z, left.predict(observation, deterministic=True)[0])
    assert told[0][2].job.task == LineTask(2.0)


def test_it_reaches_goals_that_it_has_not_seen(tmp_path: Path) -> None:
    settings = {"net_arch": (32,), "batch_size": 64, "gradient_steps": 4, "learning_rate": 3e-3, "learning_starts": 50}
    source = trained("sac-her", tmp_path, total=1_200, **settings)
    told, _ = adapted("sac-her", source, n_episodes=10, gradient_steps=0)
    assert success(told) >= 0.9
    before, _ = adapted("sac-her", trained("sac-her", tmp_path, total=8), n_episodes=10, gradient_steps=0)
    assert success(before) <= 0.7


def test_only_domains_with_goals_are_served(tmp_path: Path) -> None:
    kitchen = Experiment.find("kitchen")
    with pytest.raises(SettingsError, match="sac-her is shown the goal, and the domain kitchen does not say how"):
        meta_train_stage(kitchen, "skills.safetensors", tmp_path, method="sac-her")
    with pytest.raises(SettingsError, match="expected another method"):
        adapt_stage(kitchen, "model.zip", tmp_path / "rows.csv", method="sac-her")
    with pytest.raises(SettingsError, match="nothing says how a task is written as a goal"):
        made("sac-her", tmp_path, LineEnvs(goals=None))
    source = trained("sac-her", tmp_path)
    with pytest.raises(SettingsError, match="nothing says how"):
        METHODS["sac-her"].make_adapter(source, {}, LineEnvs(goals=None), "cpu")
    stage = meta_train_stage(Experiment.find("maze"), "skills.safetensors", tmp_path, method="sac-her")
    assert stage.settings["training"]["n_sampled_goal"] == 4


def test_an_episode_is_a_skill_after_the_other(tmp_path: Path) -> None:
    told, _ = adapted("sac-her", trained("sac-her", tmp_path), n_episodes=2, gradient_steps=0)
    for *_, finished in told:
        assert finished.episode.skill_steps.max() <= HORIZON
        rewards, _ends = finished.job.task.rewards(finished.episode.env_observations)
        assert finished.episode.total_reward == rewards.sum()
        hits = LINE_GOALS.reached(
            LINE_GOALS.achieved(finished.episode.env_observations), LINE_GOALS.goal(finished.job.task)[None]
        )
        assert finished.success == hits.any()


def test_from_the_command_line(tmp_path: Path) -> None:
    train = [
        "--total-timesteps",
        "60",
        "--net-arch",
        "8",
        "--batch-size",
        "8",
        "--learning-starts",
        "8",
        "--n-envs",
        "2",
    ]
    rows, record = by_commands("sac-her", tmp_path, train, ["--n-episodes", "2", "--gradient-steps", "1"])
    assert [(row.method, row.task, row.episode) for row in rows] == [("sac-her", "at+2", 1), ("sac-her", "at+2", 2)]
    assert record["settings"]["gradient_steps"] == 1
