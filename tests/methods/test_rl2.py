"""RL²: meta-training to rows, one trial per test task without a gradient, and that its memory learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from envs_for_tests import LineTask
from stock_for_tests import LineEnvs, adapted, by_commands, made, same_episodes, success, trained

from simpl_sb3.algorithms.stock import TrialPPO, read_stock
from simpl_sb3.algorithms.stock_agents import TrialAgent
from simpl_sb3.errors import ModelFileError
from simpl_sb3.methods import METHODS


def test_meta_training_is_recurrent_ppo_over_trials(tmp_path: Path) -> None:
    model = made("rl2", tmp_path, LineEnvs(), episodes_per_trial=3)
    assert isinstance(model, TrialPPO)
    assert model.env.episodes_per_trial == 3
    assert model.observation_space.shape == (2 + 1 + 2,)
    assert model.policy.lstm_actor.hidden_size == 4
    model.learn(40)
    assert model.num_timesteps == 64  # whole rollouts of four environments
    assert model.env.finished.sum() > 0
    assert model.metrics()["n_updates"] == 2


def test_the_same_seed_gives_the_same_weights_and_episodes(tmp_path: Path) -> None:
    one, again, other = (read_stock(trained("rl2", tmp_path, seed=seed), TrialPPO).tensors for seed in (1, 1, 2))
    assert all(bool((one[name] == again[name]).all()) for name in one)
    assert any(bool((one[name] != other[name]).any()) for name in one)
    source = trained("rl2", tmp_path)
    told, _ = adapted("rl2", source, seed=5, n_episodes=3)
    assert same_episodes(told, adapted("rl2", source, seed=5, n_episodes=3)[0])
    assert not same_episodes(told, adapted("rl2", source, seed=6, n_episodes=3)[0])
    for agent in (0, 1):
        assert [episode for who, episode, _ in told if who == agent] == [1, 2, 3]
    tasks = {agent: finished.job.task for agent, _, finished in told}
    assert tasks == {0: LineTask(2.0), 1: LineTask(-2.0)}


def test_the_adapted_agent_goes_on_with_its_memory(tmp_path: Path) -> None:
    _, (agent, other) = adapted("rl2", trained("rl2", tmp_path), n_episodes=3)
    assert isinstance(agent, TrialAgent)
    assert not np.array_equal(agent.memory[0], other.memory[0])
    observation = np.zeros(2, np.float32)
    z, state = agent.predict(observation, deterministic=True)
    same, _ = agent.predict(observation, None, np.array([True]), deterministic=True)
    assert np.array_equal(z, same)
    (hidden, cell), latest = state
    assert hidden.shape == cell.shape == (1, 1, 4)
    assert np.array_equal(latest[0], z)
    following, later = agent.predict(observation, state, np.array([False]), deterministic=True)
    assert not np.array_equal(later[0][0], hidden)
    assert following.shape == (1,)
    many, _ = agent.predict(np.zeros((3, 2), np.float32), deterministic=True)
    assert np.allclose(many, z)


@pytest.mark.slow
def test_its_memory_learns(tmp_path: Path) -> None:
    """An episode is long enough for one side of the line: without a memory one half of the goals would be reached."""
    make_env = LineEnvs(limit=6, train_tasks=(LineTask(1.8), LineTask(-1.8)))
    settings = {"net_arch": (32,), "lstm_hidden_size": 32, "n_steps": 48, "batch_size": 256, "n_epochs": 6}
    more = {"learning_rate": 1e-3, "ent_coef": 0.005, "gamma": 0.97, "episodes_per_trial": 4}
    model = made("rl2", tmp_path, make_env, n_envs=32, **settings, **more)
    model.learn(60_000)
    model.save(tmp_path / "model.zip")
    adapter = METHODS["rl2"].make_adapter(tmp_path / "model.zip", {"n_episodes": 4}, make_env, "cpu")
    told: list[Any] = []
    tasks = make_env.arguments["train_tasks"] * 15
    adapter.run(make_env(adapter.skills, len(tasks)), tasks, 0, lambda *each: told.append(each))
    first, *_, last = (success([each for each in told if each[1] == episode]) for episode in (1, 2, 3, 4))
    assert last >= 0.9
    assert first <= 0.7


def test_a_file_of_another_method_is_refused(tmp_path: Path) -> None:
    source = trained("rl2", tmp_path)
    with pytest.raises(ModelFileError, match="holds a TrialPPO: expected a GoalSAC"):
        METHODS["sac-her"].make_adapter(source, {}, LineEnvs(), "cpu")
    skills = tmp_path / "skills.safetensors"
    with pytest.raises(ModelFileError, match="is not a saved TrialPPO"):
        METHODS["rl2"].make_adapter(skills, {}, LineEnvs(), "cpu")


def test_from_the_command_line(tmp_path: Path) -> None:
    small = ["--n-steps", "8", "--batch-size", "8", "--net-arch", "8", "--lstm-hidden-size", "4"]
    train = ["--total-timesteps", "32", "--episodes-per-trial", "2", "--n-envs", "2", *small]
    rows, record = by_commands("rl2", tmp_path, train, ["--n-episodes", "3"])
    assert [(row.method, row.task, row.episode) for row in rows] == [("rl2", "at+2", episode) for episode in (1, 2, 3)]
    assert record["settings"]["n_episodes"] == 3
    assert (tmp_path / "meta" / "progress.csv").read_text().count("\n") > 1
