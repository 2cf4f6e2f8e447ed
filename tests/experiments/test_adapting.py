"""The stage ``adapt`` after an interruption or a kill: the same command goes on, with the results of one run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from envs_for_tests import same_parameters
from kills_for_tests import run_and_kill
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simpl_sb3 import PRETRAINED, AdaptationCheckpoints
from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.recorder import Adapted, RowKeeper
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import Experiment, adapt_stage, run_stage
from simpl_sb3.experiments.worker import work
from simpl_sb3.results.rows import read_results

MAZE = Experiment.find("maze")
SKILLS = PRETRAINED / "maze-fast" / "skills.safetensors"
FILES = ["rows.csv", "rows.json", "rows.npz", "rows.tensorboard"]
QUICK = RunOptions(device="cpu")
SPIRL = {"n_episodes": 2, "gradient_steps": 1, "train_freq": 20, "net_arch": (8,), "batch_size": 8}


def stage(folder: Path, name: str, **settings: Any) -> Stage:
    tasks = {"tasks": "random:2:0", "settings": SPIRL | settings}
    return adapt_stage(MAZE, SKILLS, folder / f"{name}.csv", method="spirl", **tasks)


def results(path: Path) -> dict[str, Any]:
    """The content of CSV, JSON, traces and TensorBoard's files, but for clocks and the seal of their file."""
    metadata = json.loads(path.with_suffix(".json").read_text())
    for name in ("wall_time_s", "written_at", "seal"):
        del metadata[name]
    with np.load(path.with_suffix(".npz")) as arrays:
        traces = {name: arrays[name].tolist() for name in arrays.files}
    events = EventAccumulator(str(path.with_suffix(".tensorboard")))
    events.Reload()
    logged = [(event.step, event.value) for event in events.Scalars("rollout/return")]
    return {"rows": path.read_bytes(), "metadata": metadata, "traces": traces, "logged": logged}


def assert_same(found: list[Adapted], expected: list[Adapted]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one[:2] == other[:2]
        assert same_parameters(one.agent.policy, other.agent.policy)
        assert (one.agent.replay_buffer.rows == other.agent.replay_buffer.rows).all()


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Adapted]]:
    """What an adaptation comes to that was left alone."""
    folder = tmp_path_factory.mktemp("once")
    agents = run_stage(stage(folder, "rows"), QUICK)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    return results(folder / "rows.csv"), agents


def stop_at(monkeypatch: pytest.MonkeyPatch, n_rows: int) -> None:
    keep = RowKeeper.__call__

    def interrupted(self: RowKeeper, agent: int, episode: int, finished: Any) -> None:
        keep(self, agent, episode, finished)
        if len(self.rows) == n_rows:
            raise KeyboardInterrupt

    monkeypatch.setattr(RowKeeper, "__call__", interrupted)


def write_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every 60th skill, of the some 200 of an episode."""

    def write(self: AdaptationCheckpoints, adaptation: Adaptation) -> None:
        if adaptation.rounds % 60 == 0:
            self.write(adaptation)

    monkeypatch.setattr(AdaptationCheckpoints, "write_if_due", write)


def newest(folder: Path) -> int:
    return max((int(path.stem[-8:]) for path in folder.glob("rows.unfinished/state_*")), default=0)


def test_killed_it_goes_on_by_the_same_command(once: tuple[dict[str, Any], list[Adapted]], tmp_path: Path) -> None:
    """SIGKILL, while checkpoints are written without pause."""
    run_and_kill(stage(tmp_path, "rows"), "state_*", 6)
    agents = run_stage(stage(tmp_path, "rows"), QUICK)
    assert results(tmp_path / "rows.csv") == once[0]
    assert_same(agents, once[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    with pytest.raises(SettingsError, match=r"rows\.csv exists"):
        run_stage(stage(tmp_path, "rows"), QUICK)


def test_interrupted_it_says_how_to_go_on(
    once: tuple[dict[str, Any], list[Adapted]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_often(monkeypatch)
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(KeyboardInterrupt) as stop:
            run_stage(stage(tmp_path, "rows"), QUICK)
    rows = tmp_path / "rows.csv"
    assert stop.value.__notes__ == [
        f"3 of 4 episodes are in {rows}, which report reads; the same command goes on after 2 of them, and with "
        "--overwrite from the start."
    ]
    assert len(read_results(rows)[0].rows) == 3
    with pytest.raises(SettingsError, match=r"rows\.csv exists"):  # another stage does not go on
        run_stage(stage(tmp_path, "rows", batch_size=9), QUICK)
    run_stage(stage(tmp_path, "rows"), QUICK)
    assert "Going on after 2 episodes." in capsys.readouterr().err
    assert results(rows) == once[0]


def test_an_overwriting_that_was_stopped_goes_on_and_the_earlier_result_stays(
    once: tuple[dict[str, Any], list[Adapted]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = RunOptions(device="cpu", overwrite=True)
    write_often(monkeypatch)
    (tmp_path / "rows.csv").write_text("an earlier result")
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(KeyboardInterrupt) as stop:
            run_stage(stage(tmp_path, "rows"), again)
    assert stop.value.__notes__[0].endswith("the same command goes on after 2 of them.")
    assert (tmp_path / "rows.csv").read_text() == "an earlier result"
    assert len(read_results(tmp_path / "rows.unfinished.csv")[0].rows) == 3
    run_stage(stage(tmp_path, "rows"), again)
    assert results(tmp_path / "rows.csv") == once[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


@pytest.mark.parametrize("wanted", ["the start", "another stage"])
def test_to_begin_anew_leaves_nothing_of_the_earlier_run(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_often(monkeypatch)
    changes = {} if wanted == "the start" else {"batch_size": 9}
    stop_at(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage(tmp_path, "rows"), QUICK)
    assert newest(tmp_path) > 0
    written, write = list[Adaptation](), AdaptationCheckpoints.write

    def counted(self: AdaptationCheckpoints, adaptation: Adaptation) -> None:
        written.append(adaptation)
        write(self, adaptation)

    monkeypatch.setattr(AdaptationCheckpoints, "write", counted)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage(tmp_path, "rows", **changes), RunOptions(device="cpu", overwrite=True))
    assert "Going on" not in capsys.readouterr().err
    assert newest(tmp_path) == len(written) > 0  # counted from 1 again
    note = json.loads((tmp_path / "rows.unfinished" / "stage.json").read_text())
    assert (note["key"], note["replaces"]) == (stage(tmp_path, "rows", **changes).key, True)


def test_in_a_grid_it_goes_on_as_well(
    once: tuple[dict[str, Any], list[Adapted]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also where nothing but rows stands there, as earlier versions left them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("simpl_sb3.experiments.worker.end_with_parent", lambda: None)  # tests have no standard input
    write_often(monkeypatch)
    (tmp_path / "rows.csv").write_text("unfinished rows")
    (tmp_path / "stage.json").write_text(stage(Path(), "rows").as_json())
    work_here: Callable[[], None] = lambda: work(str(tmp_path), "stage.json", "cpu")  # noqa: E731
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(SystemExit) as stop:
            work_here()
    assert stop.value.code == 130
    assert "the same command goes on after 2 of them" in capsys.readouterr().err
    work_here()
    assert "Going on after 2 episodes." in capsys.readouterr().err
    found = results(tmp_path / "rows.csv")
    assert all(found[name] == once[0][name] for name in ("rows", "traces", "logged"))  # a grid's paths are its own
