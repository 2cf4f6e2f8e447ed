"""Stages as values and at work: what they refuse before they write, what they keep, where they run."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from envs_for_tests import ACTIONS, OBSERVATIONS, tiny_skills

from simpl_sb3 import PRETRAINED, Episode, SkillExtractor, SkillModel, SkillPriorPEARL, write_minari
from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError, SkillMismatchError
from simpl_sb3.experiments.recorder import RowKeeper
from simpl_sb3.experiments.run_folder import state_of
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import (
    Experiment,
    adapt_stage,
    collect_stage,
    extract_stage,
    meta_train_stage,
    run_stage,
)
from simpl_sb3.experiments.training_callbacks import BorderCheckpoints, TimeLimit
from simpl_sb3.results.rows import read_results
from simpl_sb3.skills.wrapper import SkillActionWrapper

MAZE = Experiment.find("maze")
MODEL = PRETRAINED / "maze-fast" / "model.zip"
SKILLS = PRETRAINED / "maze-fast" / "skills.safetensors"
SMALL_SKILLS = {"encoder_hidden": (8,), "decoder_hidden": (8,), "prior_hidden": (8,), "batch_size": 16}
QUICK = RunOptions(device="cpu")
AGAIN = RunOptions(device="cpu", overwrite=True)
NO_UPDATES = {"gradient_steps": 0, "net_arch": (8,), "batch_size": 8}


def small_meta_training(skills: Path, output: Path, **changes: Any) -> Stage:
    asked: dict[str, Any] = {"train_tasks": "easy", "total_timesteps": 10, "n_envs": 5}
    settings = {"gradient_steps": 1, "batch_size": 8, "net_arch": (8,)}
    return meta_train_stage(MAZE, skills, output, settings=settings, **asked | changes)


def small_adaptation(source: Path, output: Path, method: str = "spirl", **settings: Any) -> Stage:
    chosen = {"n_episodes": 1} | (NO_UPDATES if method == "spirl" else {}) | settings
    return adapt_stage(MAZE, source, output, method=method, tasks="random:2:0", settings=chosen)


@pytest.fixture(scope="module")
def line_skills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Skills of a user's own environment, whose spaces are not the maze's."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("line")
    episodes = (Episode(rng.normal(size=(13, 2)), rng.uniform(-1, 1, (12, 1))) for _ in range(4))
    write_minari("own/line-v0", episodes, OBSERVATIONS, ACTIONS, root=folder)
    stage = extract_stage(
        MAZE, folder / "skills", dataset="own/line-v0", datasets=folder, total_updates=2, settings=SMALL_SKILLS
    )
    path: Path = run_stage(stage, QUICK)
    return path


# ------------------------------------------------------------ what will be used


def test_stages_hold_what_will_be_used_in_full() -> None:
    extract = extract_stage(MAZE, "skills", settings={"kl_weight": 0.5})
    assert extract.settings["extraction"]["kl_weight"] == 0.5
    assert extract.settings["extraction"]["learning_rate"] == 2e-3
    assert extract.settings["model"]["encoder"] == "mlp"
    assert extract.settings["total_updates"] == 8_000
    train = meta_train_stage(Experiment.find("kitchen"), "skills.safetensors", "model")
    assert (train.settings["env"], train.settings["train_tasks"]) == ({"physics": "fast"}, "train")
    assert train.settings["training"]["net_arch"] == [256, 256, 256]
    collect = collect_stage(MAZE, trajectories=3)
    assert (collect.settings["dataset"], collect.settings["trajectories"]) == ("simpl/maze-planner-v0", 3)
    assert collect.settings["demonstrator"]["noise"] == 0.0


def test_what_a_meta_trained_model_decides_is_left_to_it() -> None:
    adaptation = adapt_stage(MAZE, MODEL, "rows.csv").settings["adaptation"]
    assert not {"gamma", "handle_timeout_termination", "net_arch"} & set(adaptation)
    given = adapt_stage(MAZE, MODEL, "rows.csv", settings={"gamma": 0.9}).settings["adaptation"]
    assert given["gamma"] == 0.9
    assert "gamma" in adapt_stage(MAZE, SKILLS, "rows.csv", method="spirl").settings["adaptation"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: collect_stage(MAZE, settings={"pushes": 0.1}), "pushes"),
        (lambda: collect_stage(MAZE, trajectories=0), "trajectories is 0"),
        (lambda: collect_stage(MAZE, env={"gravity": 3}), "Settings of SimplMaze-v0: .*gravity"),
        (lambda: extract_stage(MAZE, "x", settings={"n_episodes": 3}), "no setting 'n_episodes'"),
        (lambda: extract_stage(MAZE, "x", seed=-1), "seed is -1"),
        (lambda: extract_stage(MAZE, "x", seed=2**32), "below"),
        (lambda: meta_train_stage(MAZE, None, "x"), "Method simpl starts from skills"),
        (lambda: meta_train_stage(MAZE, "s", "x", method="spirl"), "has no meta-training"),
        (lambda: meta_train_stage(MAZE, "s", "x", train_tasks="nowhere"), "No task set or task 'nowhere'"),
        (lambda: meta_train_stage(MAZE, "s", "x", minutes=-1.0), "minutes is -1"),
        (lambda: adapt_stage(MAZE, "s", "x.csv", settings={"n_episodes": 3}), "20 exploring episodes of 3"),
        (lambda: adapt_stage(MAZE, "s", "x.csv", agents_per_task=0), "agents_per_task is 0"),
        (lambda: adapt_stage(MAZE, "s", "x.csv", tasks="12-7,nowhere"), "'nowhere'"),
    ],
)
def test_what_cannot_work_is_no_stage(make: Callable[[], Stage], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make()


# ------------------------------------------------------------ bad input, before anything is written


def test_skills_of_other_spaces_are_refused(line_skills: Path, tmp_path: Path) -> None:
    for stage in (
        small_meta_training(line_skills, tmp_path / "model"),
        small_adaptation(line_skills, tmp_path / "rows.csv"),
    ):
        with pytest.raises((SkillMismatchError, EnvironmentSpecError), match=r"\(2,\)|obs"):
            run_stage(stage, QUICK)
    assert not list(tmp_path.iterdir())


def test_files_of_another_kind_are_refused(line_skills: Path, tmp_path: Path) -> None:
    for stage in (
        small_meta_training(MODEL, tmp_path / "model"),
        small_meta_training(tmp_path / "missing.safetensors", tmp_path / "model"),
        small_adaptation(line_skills, tmp_path / "rows.csv", "simpl", n_exploration_episodes=1),
        small_adaptation(MODEL, tmp_path / "rows.csv"),
    ):
        with pytest.raises(ModelFileError):
            run_stage(stage, QUICK)
    with pytest.raises(SettingsError, match="device is 'tpx': expected"):
        run_stage(small_meta_training(SKILLS, tmp_path / "model"), RunOptions(device="tpx"))
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------ what is left


def test_extraction_says_what_it_used(line_skills: Path) -> None:
    run = json.loads((line_skills.parent / "run.json").read_text())
    assert (run["stage"], run["state"], run["schema_version"]) == ("extract", "finished", 1)
    assert run["inputs"] == {"dataset": "own/line-v0"}
    used = run["settings"]
    assert (used["learning_rate"], used["batch_size"], used["encoder"], used["optimizer"]) == (2e-3, 16, "mlp", "adam")
    assert (used["device"], used["torch_threads"], used["seed"]) == ("cpu", 1, 0)
    assert (run["metrics"]["episodes"], run["metrics"]["steps"], run["metrics"]["episodes_skipped"]) == (4, 48, 0)
    assert SkillModel.load(line_skills).horizon == 10
    assert (line_skills.parent / "progress.csv").exists()
    assert state_of(line_skills.parent) == "finished"


def test_a_stage_runs_in_another_process(tmp_path: Path) -> None:
    stage = small_adaptation(SKILLS, tmp_path / "rows.csv", kl_clip=float("inf"))
    code = (
        "import sys; from simpl_sb3.experiments.stages import run_stage; "
        "from simpl_sb3.experiments.stage import RunOptions, Stage; "
        "stage = Stage.from_json(sys.stdin.read()); run_stage(stage, RunOptions(device='cpu')); print(stage.key)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], input=stage.as_json(), capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [stage.key]
    (there,) = read_results(tmp_path / "rows.csv")
    assert there.metadata["settings"]["kl_clip"] == "infinity"
    here = small_adaptation(SKILLS, tmp_path / "again.csv", kl_clip=float("inf"))
    run_stage(here, QUICK)
    assert read_results(tmp_path / "again.csv")[0].rows == there.rows


def test_a_film_goes_with_the_agents_that_it_shows(tmp_path: Path) -> None:
    for name in ("rows.mp4", "rows.png", "other.mp4"):
        (tmp_path / name).touch()
    run_stage(small_adaptation(SKILLS, tmp_path / "rows.csv"), AGAIN)
    own = [f"rows.{ending}" for ending in ("csv", "json", "npz", "tensorboard")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.mp4", *own]


# ------------------------------------------------------------ stopping


def stop_at(monkeypatch: pytest.MonkeyPatch, n_rows: int) -> None:
    keep = RowKeeper.__call__

    def interrupted(self: RowKeeper, agent: int, episode: int, finished: Any) -> None:
        keep(self, agent, episode, finished)
        if len(self.rows) == n_rows:
            raise KeyboardInterrupt

    monkeypatch.setattr(RowKeeper, "__call__", interrupted)


def test_whoever_interrupts_adaptation_keeps_the_episodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, stage = tmp_path / "rows.csv", small_adaptation(SKILLS, tmp_path / "rows.csv", n_episodes=2)
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(KeyboardInterrupt) as stop:
            run_stage(stage, QUICK)
    assert stop.value.__notes__[0].startswith(f"3 of 4 episodes are in {rows}")
    (file,) = read_results(rows)
    assert len(file.rows) == 3
    assert file.metadata["settings"]["interrupted"]
    run_stage(stage, AGAIN)
    assert len(read_results(rows)[0].rows) == 4
    stop_at(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, AGAIN)
    assert len(read_results(rows)[0].rows) == 4  # the finished result stays
    assert len(read_results(tmp_path / "rows.unfinished.csv")[0].rows) == 1


def test_rows_are_written_while_agents_adapt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpl_sb3.experiments.row_file.FLUSH_SECONDS", 0.0)
    seen, rows = [], tmp_path / "rows.csv"
    keep = RowKeeper.__call__

    def look(self: RowKeeper, *episode: Any) -> None:
        if rows.exists():
            (file,) = read_results(rows)
            seen.append((len(file.rows), file.metadata["settings"].get("interrupted")))
        keep(self, *episode)

    monkeypatch.setattr(RowKeeper, "__call__", look)
    run_stage(small_adaptation(SKILLS, rows, n_episodes=2), QUICK)
    assert seen == [(1, True), (2, True), (3, True)]
    assert "interrupted" not in read_results(rows)[0].metadata["settings"]


def test_rows_that_cannot_be_written_in_their_place_go_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, run = tmp_path / "rows.csv", RowKeeper.close

    def vanish(self: RowKeeper) -> None:
        run(self)
        rows.with_suffix(".json").mkdir()

    monkeypatch.setattr(RowKeeper, "close", vanish)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(Exception, match=r"could not be written .* the rows are in .*rows\.csv"):
        run_stage(small_adaptation(SKILLS, rows), QUICK)
    (refuge,) = tmp_path.glob("simpl-sb3-*/rows.csv")
    assert len(read_results(refuge)[0].rows) == 2


def test_whoever_interrupts_meta_training_keeps_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    stage = small_meta_training(SKILLS, tmp_path / "model")
    run_stage(stage, QUICK)
    assert not (tmp_path / "model" / "checkpoints").exists()  # one meta-iteration has no border within
    finished = (tmp_path / "model" / "model.zip").read_bytes()
    monkeypatch.setattr(SkillPriorPEARL, "train", interrupted)
    with pytest.raises(KeyboardInterrupt) as stop:
        run_stage(stage, AGAIN)
    kept = tmp_path / "model" / "unfinished" / "model.zip"
    assert f"is {kept}" in stop.value.__notes__[0]
    assert SkillPriorPEARL.load(kept, device="cpu").num_timesteps > 0
    assert (tmp_path / "model" / "model.zip").read_bytes() == finished
    assert (state_of(tmp_path / "model"), state_of(kept.parent)) == ("finished", "interrupted")


def test_an_interrupted_extraction_goes_on_by_the_same_command(
    line_skills: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = SkillExtractor._update

    def interrupted(self: SkillExtractor, total_updates: int) -> Any:
        if self.n_updates == 3:
            raise KeyboardInterrupt
        return update(self, total_updates)

    def stage(name: str) -> Stage:
        data = {"dataset": "own/line-v0", "datasets": line_skills.parents[1]}
        return extract_stage(MAZE, tmp_path / name, **data, total_updates=9, settings=SMALL_SKILLS)

    with monkeypatch.context() as patch:
        patch.setattr(SkillExtractor, "_update", interrupted)
        with pytest.raises(KeyboardInterrupt) as stop:
            run_stage(stage("skills"), QUICK)
    assert stop.value.__notes__[0].startswith("3 of 9 updates are in")
    assert (tmp_path / "skills" / "checkpoint_00000003.pt").exists()
    assert state_of(tmp_path / "skills") == "interrupted"
    once, twice = (SkillModel.load(run_stage(stage(name), QUICK)) for name in ("once", "skills"))
    assert all(th.equal(value, twice.state_dict()[name]) for name, value in once.state_dict().items())
    assert not list((tmp_path / "skills").glob("checkpoint_*"))
    assert state_of(tmp_path / "skills") == "finished"


def logged(path: Path) -> list[dict[str, str]]:
    """The lines of a log, without empty cells and what the clock says."""
    clocks = ("time/time_elapsed", "time/fps", "")
    rows = csv.DictReader(path.read_text().splitlines())
    return [{name: number for name, number in row.items() if number and name not in clocks} for row in rows]


def test_an_interrupted_meta_training_goes_on_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("simpl_sb3.experiments.running.CHECKPOINT_SECONDS", 0.0)
    collect, seen = SkillPriorPEARL._collect, [0]

    def interrupted(self: SkillPriorPEARL, *arguments: Any) -> bool:
        seen[0] += 1
        if seen[0] in (2, 4):
            raise KeyboardInterrupt
        return collect(self, *arguments)

    def stage(name: str) -> Stage:
        return small_meta_training(SKILLS, tmp_path / name, total_timesteps=6_000)

    with monkeypatch.context() as patch:
        patch.setattr(SkillPriorPEARL, "_collect", interrupted)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt) as stop:
                run_stage(stage("twice"), QUICK)
            assert "the same command goes on from the last checkpoint" in stop.value.__notes__[0]
    assert len(list((tmp_path / "twice" / "checkpoints").glob("state_*"))) == 2
    once, twice = (run_stage(stage(name), QUICK) for name in ("once", "twice"))
    assert "Going on after" in capsys.readouterr().err
    first, second = (SkillPriorPEARL.load(path, device="cpu") for path in (once, twice))
    assert first.num_timesteps == second.num_timesteps
    assert all(th.equal(value, second.policy.state_dict()[name]) for name, value in first.policy.state_dict().items())
    logs = [logged(tmp_path / name / "progress.csv") for name in ("once", "twice")]
    assert logs[0] == logs[1]
    assert len(logs[0]) > 3
    assert not list((tmp_path / "twice").glob("checkpoints/state_*"))


def test_an_environment_without_tasks_is_refused() -> None:
    env = gym.make("MountainCarContinuous-v0")
    skills = tiny_skills(env.observation_space, env.action_space)  # type: ignore[arg-type]
    with pytest.raises(EnvironmentSpecError, match="tasks"):
        SkillPriorPEARL("MlpPolicy", SkillActionWrapper(env, skills))


# ------------------------------------------------------------ wall clock and checkpoints


def test_the_wall_clock_ends_learning_at_a_meta_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("simpl_sb3.experiments.training_callbacks.time.perf_counter", lambda: now)
    clock = TimeLimit(60.0)
    now = 159.0
    clock._on_rollout_start()
    assert clock._on_step()
    now = 161.0
    assert clock._on_step()  # an iteration that has begun is lived through
    clock._on_rollout_start()
    assert not clock._on_step()
    endless = TimeLimit(None)
    now = 1e9
    endless._on_rollout_start()
    assert endless._on_step()


def test_checkpoints_come_after_each_fifth_between_meta_iterations(tmp_path: Path) -> None:
    class Saved:
        names: list[str] = []

        def save(self, path: Path) -> None:
            self.names.append(path.name)

    checkpoints = BorderCheckpoints(tmp_path, 1000)
    checkpoints.model = Saved()  # type: ignore[assignment]
    for lived in (0, 90, 230, 390, 410, 850):
        checkpoints.num_timesteps = lived
        checkpoints._on_rollout_start()
    assert Saved.names == ["model_230_steps.zip", "model_410_steps.zip", "model_850_steps.zip"]
