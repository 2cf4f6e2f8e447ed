"""The stages as functions, what they refuse, and that they refuse it before they write."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from envs_for_tests import ACTIONS, OBSERVATIONS, tiny_skills

from simpl_envs import KITCHEN_TASK_SETS, MAZE_TASK_SETS, PUBLISHED_LAYOUT
from simpl_sb3 import PRETRAINED, Episode, SimplError, SkillModel, SkillPriorPEARL, preset, write_minari
from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError, SkillMismatchError
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.experiments.recorder import Adapted, RowKeeper
from simpl_sb3.experiments.run_folder import new_folder, new_results
from simpl_sb3.experiments.stages import (
    EpochClock,
    adapt,
    collect,
    extract,
    find_tasks,
    meta_train,
    minari_folder,
)
from simpl_sb3.results.rows import read_results
from simpl_sb3.skills.wrapper import SkillActionWrapper

FAST = preset("maze-fast")
SMALL_SKILLS = {"encoder_hidden": (8,), "decoder_hidden": (8,), "prior_hidden": (8,), "batch_size": 16}


def meta_train_quickly(skills: Path, output: Path, **changes: Any) -> Path:
    arguments: dict[str, Any] = {"train_tasks": "easy", "total_timesteps": 10, "minutes": None, "n_envs": 5, "seed": 0}
    arguments |= {"device": "cpu", "progress_bar": False, "verbose": 0}
    settings = changes.pop("settings", {"gradient_steps": 1, "batch_size": 8, "net_arch": (8,)})
    return meta_train(FAST, skills, output, settings, **arguments | changes)


def adapt_quickly(source: Path, output: Path, **changes: Any) -> list[Adapted]:
    arguments: dict[str, Any] = {"method": "simpl", "test_tasks": "random:2:0", "n_agents": 1, "seed": 0}
    arguments |= {"device": "cpu", "overwrite": False, "progress_bar": False}
    settings = changes.pop("settings", {"n_episodes": 1, "n_exploration_episodes": 1, "initial_updates": 1})
    return adapt(FAST, source, output, settings, **arguments | changes)


# ------------------------------------------------------------ folders


def test_a_new_folder_is_not_made_before_something_is_written(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "new", overwrite=False) == tmp_path / "new"
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    new_folder(tmp_path / "empty", overwrite=False)


def test_folders_and_files_that_stand_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.json").touch()
    with pytest.raises(SettingsError, match="not empty"):
        new_folder(tmp_path, overwrite=False)
    assert new_folder(tmp_path, overwrite=True) == tmp_path
    with pytest.raises(SettingsError, match="is a file"):
        new_folder(tmp_path / "rows.json", overwrite=True)
    with pytest.raises(SettingsError, match=r"rows\.json exists"):
        new_results(tmp_path / "rows.csv", overwrite=False)
    assert new_results(tmp_path / "rows.csv", overwrite=True) == tmp_path / "rows.csv"
    with pytest.raises(SettingsError, match=r"ends in \.csv"):
        new_results(tmp_path / "rows.txt", overwrite=False)


def test_minari_keeps_its_datasets_elsewhere_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", "before")
    seen = []

    def fail_within() -> None:
        with minari_folder(tmp_path):
            seen.append(os.environ["MINARI_DATASETS_PATH"])
            raise KeyError

    with pytest.raises(KeyError):
        fail_within()
    assert seen == [str(tmp_path)]
    with minari_folder(None):
        assert os.environ["MINARI_DATASETS_PATH"] == "before"
    monkeypatch.delenv("MINARI_DATASETS_PATH")
    with minari_folder(tmp_path):
        pass
    assert "MINARI_DATASETS_PATH" not in os.environ


# ------------------------------------------------------------ tasks


def test_task_sets_by_name() -> None:
    assert find_tasks("SimplMaze-v0", "target") == MAZE_TASK_SETS["target"]
    assert find_tasks("SimplKitchen-v0", "target") == KITCHEN_TASK_SETS["target"]


def test_random_goals_are_far_and_not_among_the_published() -> None:
    tasks = find_tasks("SimplMaze-v0", "random:10:3")
    assert tasks == find_tasks("SimplMaze-v0", "random:10:3") != find_tasks("SimplMaze-v0", "random:10:4")
    assert len(set(tasks)) == 10
    assert not set(tasks) & {task for known in MAZE_TASK_SETS.values() for task in known}
    distances = PUBLISHED_LAYOUT.distances(PUBLISHED_LAYOUT.start)
    assert all(distances[int(task.goal[0]), int(task.goal[1])] >= 5 for task in tasks)


@pytest.mark.parametrize(
    ("env_id", "name"),
    [
        *(
            ("SimplMaze-v0", name)
            for name in ("", "targets", "random", "random:3", "random:0:1", "random:-1:1", "random:x:1")
        ),
        ("SimplMaze-v0", "random:100000:1"),
        ("SimplKitchen-v0", "random:900:1"),
        ("SimplKitchen-v0", "train-40"),
    ],
)
def test_unknown_task_sets_are_refused(env_id: str, name: str) -> None:
    with pytest.raises(SimplError, match=r"No task set|Asked for 100000 goals|900 random tasks"):
        find_tasks(env_id, name)


# ------------------------------------------------------------ bad input, end to end


@pytest.fixture(scope="module")
def line_skills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Skills of a user's own environment, whose spaces are not the maze's."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("line")
    episodes = (Episode(rng.normal(size=(13, 2)), rng.uniform(-1, 1, (12, 1))) for _ in range(4))
    with minari_folder(folder):
        write_minari("own/line-v0", episodes, OBSERVATIONS, ACTIONS, overwrite=True)
        return extract("own/line-v0", folder / "skills", SMALL_SKILLS, 2, 0, "cpu", False)


def test_extraction_says_what_it_did(line_skills: Path) -> None:
    run = json.loads((line_skills.parent / "run.json").read_text())
    assert (run["stage"], run["schema_version"], run["settings"]["dataset"]) == ("extract", 1, "own/line-v0")
    assert (run["metrics"]["episodes"], run["metrics"]["steps"], run["metrics"]["episodes_skipped"]) == (4, 48, 0)
    assert SkillModel.load(line_skills).horizon == 10
    assert (line_skills.parent / "progress.csv").exists()


def test_skills_of_other_spaces_are_refused_before_anything_is_written(line_skills: Path, tmp_path: Path) -> None:
    with pytest.raises(SkillMismatchError, match=r"observations \(2,\).*environment has observations \(4,\)"):
        meta_train_quickly(line_skills, tmp_path / "model")
    with pytest.raises(SkillMismatchError, match=r"observations \(2,\)"):
        adapt_quickly(line_skills, tmp_path / "rows.csv", method="spirl")
    assert not list(tmp_path.iterdir())


def test_files_of_another_kind_are_refused_before_anything_is_written(line_skills: Path, tmp_path: Path) -> None:
    model = PRETRAINED / "maze-fast" / "model.zip"
    refused: list[Callable[[], object]] = [
        lambda: meta_train_quickly(model, tmp_path / "model"),
        lambda: meta_train_quickly(tmp_path / "missing.safetensors", tmp_path / "model"),
        lambda: adapt_quickly(line_skills, tmp_path / "rows.csv"),
        lambda: adapt_quickly(model, tmp_path / "rows.csv", method="spirl"),
        lambda: adapt_quickly(tmp_path / "missing.zip", tmp_path / "rows.csv"),
    ]
    for call in refused:
        with pytest.raises(ModelFileError):
            call()
    assert not list(tmp_path.iterdir())


def test_settings_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    skills = PRETRAINED / "maze-fast" / "skills.safetensors"
    with pytest.raises(SettingsError, match="No device 'tpx'"):
        meta_train_quickly(skills, tmp_path / "model", device="tpx")
    with pytest.raises(SettingsError, match="20 exploring episodes of 3"):
        adapt_quickly(skills, tmp_path / "rows.csv", method="spirl", settings={"n_episodes": 3})
    with pytest.raises(SettingsError, match="noise"):
        collect(FAST, 1, {"noise": -1.0}, 0, "own/maze-v0", False, False)
    assert not list(tmp_path.iterdir())


def test_a_film_goes_with_the_agents_that_it_shows(tmp_path: Path) -> None:
    skills, rows = PRETRAINED / "maze-fast" / "skills.safetensors", tmp_path / "rows.csv"
    for name in ("rows.mp4", "rows.png", "other.mp4"):
        (tmp_path / name).touch()
    settings = {"n_episodes": 1, "n_exploration_episodes": 0, "updates_per_skill": 0.0}
    adapt_quickly(skills, rows, method="spirl", settings=settings, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.mp4", "rows.csv", "rows.json", "rows.npz"]


def test_whoever_interrupts_adaptation_keeps_the_episodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = RowKeeper.__call__

    def interrupted(self: RowKeeper, agent: int, episode: int, finished: FinishedEpisode) -> None:
        keep(self, agent, episode, finished)
        if len(self.rows) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(RowKeeper, "__call__", interrupted)
    skills, rows = PRETRAINED / "maze-fast" / "skills.safetensors", tmp_path / "rows.csv"
    settings = {"n_episodes": 3, "n_exploration_episodes": 0, "updates_per_skill": 0.0}
    with pytest.raises(KeyboardInterrupt):
        adapt_quickly(skills, rows, method="spirl", settings=settings)
    (file,) = read_results(rows)
    assert len(file.rows) == 3
    assert file.metadata["settings"]["interrupted"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "rows.json", "rows.npz"]


def test_what_an_earlier_run_left_goes_before_the_work(
    line_skills: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skills = PRETRAINED / "maze-fast" / "skills.safetensors"
    meta_train_quickly(skills, tmp_path)
    assert (tmp_path / "checkpoints").exists()

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SkillPriorPEARL, "learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        meta_train_quickly(skills, tmp_path)
    assert not [path.name for path in tmp_path.iterdir() if path.name in ("model.zip", "run.json", "checkpoints")]


def test_an_environment_without_tasks_is_refused() -> None:
    env = gym.make("MountainCarContinuous-v0")
    skills = tiny_skills(env.observation_space, env.action_space)  # type: ignore[arg-type]
    with pytest.raises(EnvironmentSpecError, match="has no tasks"):
        SkillPriorPEARL("MlpPolicy", SkillActionWrapper(env, skills))
    with pytest.raises(EnvironmentSpecError, match="has none: wrap it in SkillActionWrapper"):
        SkillPriorPEARL("MlpPolicy", env)


def test_a_discrete_action_space_is_refused() -> None:
    with pytest.raises(EnvironmentSpecError, match=r"bounded Box.*Discrete"):
        SkillActionWrapper(gym.make("CartPole-v1"), tiny_skills())


# ------------------------------------------------------------ wall clock


def test_the_wall_clock_ends_learning_at_a_meta_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("simpl_sb3.experiments.stages.time.perf_counter", lambda: now)
    clock = EpochClock(60.0)
    now = 159.0
    clock._on_rollout_start()
    assert clock._on_step()
    now = 161.0
    assert clock._on_step()  # an iteration that has begun is lived through
    clock._on_rollout_start()
    assert not clock._on_step()
    endless = EpochClock(None)
    now = 1e9
    endless._on_rollout_start()
    assert endless._on_step()
