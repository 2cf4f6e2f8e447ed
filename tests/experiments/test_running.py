"""The stage ``collect`` after an interruption or a kill: the same dataset, to the bit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kills_for_tests import run_and_kill, write_half

from simpl_sb3.demonstrations.kept import KeptEpisodes
from simpl_sb3.demonstrations.minari import read_settings
from simpl_sb3.demonstrations.windows import Episode
from simpl_sb3.errors import DatasetError
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import Experiment, collect_stage, run_stage

MAZE = Experiment.find("maze")
QUICK = RunOptions()
AGAIN = RunOptions(overwrite=True)
ID = "simpl/maze-planner-v0"
N = 8


def stage(root: Path, n: int = N) -> Stage:
    """Some of the trajectories are too short for it, and replaced."""
    return collect_stage(MAZE, root, trajectories=n, settings={"min_steps": 200})


def content(root: Path) -> dict[str, Any]:
    """A dataset's file of numbers, to the bit, and its settings, without the folder that the stage names."""
    data = root / ID / "data"
    metadata = json.loads((data / "metadata.json").read_text())
    settings = {name: value for name, value in read_settings(ID, root).items() if name != "stage"}
    del metadata["simpl_settings"]
    return {"numbers": (data / "main_data.hdf5").read_bytes(), "metadata": metadata, "settings": settings}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("once")
    run_stage(stage(root), QUICK)
    assert [path.name for path in root.iterdir()] == ["simpl"]
    return content(root)


class Stopped(KeyboardInterrupt):
    pass


def stop_after(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Ctrl-C after so many further demonstrations."""
    passing = KeptEpisodes.passing

    def interrupted(self: KeptEpisodes, episodes: Iterator[Episode]) -> Iterator[Episode]:
        for count, episode in enumerate(passing(self, episodes)):
            if count == n:
                raise Stopped
            yield episode

    monkeypatch.setattr(KeptEpisodes, "passing", interrupted)


def test_interrupted_it_goes_on_by_the_same_command(
    once: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        for kept in (3, 6):
            with pytest.raises(Stopped) as stop:
                run_stage(stage(tmp_path), QUICK)
            assert stop.value.__notes__[0].endswith(f"the same command goes on after {kept} of {N} demonstrations.")
    assert not (tmp_path / ID).exists()
    run_stage(stage(tmp_path), QUICK)
    assert f"Going on after 6 of {N} demonstrations." in capsys.readouterr().err
    assert content(tmp_path) == once
    assert [path.name for path in tmp_path.iterdir()] == ["simpl"]


def test_killed_it_goes_on_by_the_same_command(once: dict[str, Any], tmp_path: Path) -> None:
    def files() -> list[Path]:
        return sorted(tmp_path.glob(".simpl-unfinished-*/episodes_*.npz"))

    run_and_kill(stage(tmp_path), "episodes_*.npz", 3)
    assert len(files()) == 3
    files()[1].write_bytes(files()[1].read_bytes()[:100])  # and damaged
    write_half(files()[1].with_name("episodes_00000007.npz"))
    run_stage(stage(tmp_path), QUICK)
    assert content(tmp_path) == once
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".simpl-unfinished")] == []


def test_an_overwriting_goes_on_and_another_collection_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage(stage(tmp_path, 1), QUICK)
    before = content(tmp_path)
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(Stopped):
            run_stage(stage(tmp_path, 3), AGAIN)
    assert content(tmp_path) == before
    with pytest.raises(DatasetError, match="exists"):
        run_stage(stage(tmp_path, 3), QUICK)
    run_stage(stage(tmp_path, 2), AGAIN)
    assert "Going on" not in capsys.readouterr().err
    assert content(tmp_path)["metadata"]["total_episodes"] == 2
    run_stage(stage(tmp_path, 3), AGAIN)
    assert "Going on after 2 of 3" in capsys.readouterr().err
    assert content(tmp_path)["metadata"]["total_episodes"] == 3
