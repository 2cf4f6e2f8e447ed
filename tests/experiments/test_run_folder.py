"""Where stages may write: asked before the work, replaced after it, and nobody else's files are touched."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.run_folder import RunFolder, check_writable, held, lineage_of, new_results, state_of
from simpl_sb3.experiments.stage import Stage

OTHER = Stage("meta-train", {"seed": 1}, {"skills": "skills.safetensors"}, "model")
STAGE = Stage("meta-train", {"seed": 0}, {"skills": "skills.safetensors"}, "model")


def make_run(path: Path, content: str = "new") -> None:
    """A run that works and ends."""
    run = RunFolder(path, "model.zip", True, STAGE)
    work = run.start()
    (work / "model.zip").write_text(content)
    (work / "progress.csv").write_text(content)
    (work / "checkpoints").mkdir(exist_ok=True)
    (work / "checkpoints" / "model_10_steps.zip").write_text(content)
    run.finish({"seed": 0}, {"success": 0.5})


def contents(path: Path) -> dict[str, str]:
    return {str(file.relative_to(path)): file.read_text() for file in path.rglob("*") if file.is_file()}


def test_nothing_is_made_before_the_start(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "deep" / "new", "model.zip", False, STAGE)
    assert not list(tmp_path.iterdir())
    assert run.start() == tmp_path / "deep" / "new"
    assert state_of(run.path) == "unfinished"
    (tmp_path / "empty").mkdir()
    RunFolder(tmp_path / "empty", "model.zip", False, STAGE)


def test_finished_is_told_from_half_done(tmp_path: Path) -> None:
    assert state_of(tmp_path) == "absent"
    make_run(tmp_path)
    assert state_of(tmp_path) == "finished"
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["stage"], record["state"], record["key"]) == ("meta-train", "finished", STAGE.key)
    assert record["inputs"] == {"skills": "skills.safetensors"}
    assert record["settings"] == {"seed": 0}
    assert not (tmp_path / "stage.json").exists()
    (tmp_path / "run.json").write_text("{}")  # as earlier releases wrote it
    assert state_of(tmp_path) == "finished"


def test_folders_and_files_that_stand_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.json").touch()
    with pytest.raises(SettingsError, match="not empty"):
        RunFolder(tmp_path, "model.zip", False, STAGE)
    with pytest.raises(SettingsError, match="is a file"):
        RunFolder(tmp_path / "rows.json", "model.zip", True, STAGE)
    with pytest.raises(SettingsError, match=r"rows\.json exists"):
        new_results(tmp_path / "rows.csv", overwrite=False)
    assert new_results(tmp_path / "rows.csv", overwrite=True) == tmp_path / "rows.csv"
    for name in ("rows.txt", "progress.csv"):
        with pytest.raises(SettingsError, match=r"ends in \.csv"):
            new_results(tmp_path / name, overwrite=False)
    RunFolder(tmp_path / "half", "model.zip", False, STAGE).start()
    with pytest.raises(SettingsError, match="holds an unfinished run with other settings"):
        RunFolder(tmp_path / "half", "model.zip", False, OTHER)


def test_the_same_stage_goes_on_and_another_one_does_not(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, "model.zip", False, STAGE)
    assert not first.resumes
    (first.start() / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "state_00000001.zip").touch()
    again = RunFolder(tmp_path, "model.zip", False, STAGE)
    assert again.resumes
    assert again.start() == tmp_path
    assert (tmp_path / "checkpoints" / "state_00000001.zip").exists()
    again.interrupt({}, {})
    (tmp_path / "model.zip").write_text("as it was when it was stopped")
    later = RunFolder(tmp_path, "model.zip", False, STAGE)
    assert (later.resumes, later.work) == (True, tmp_path)
    assert not RunFolder(tmp_path, "model.zip", True, OTHER).resumes
    assert not RunFolder(tmp_path, "model.zip", True, STAGE).resumes  # asked for a new one
    later.start()
    later.finish({}, {})
    assert not (tmp_path / "checkpoints" / "state_00000001.zip").exists()
    over = RunFolder(tmp_path, "model.zip", True, STAGE)
    assert not over.resumes
    over.start()
    assert RunFolder(tmp_path, "model.zip", True, STAGE).resumes  # the overwriting, killed half-way


def test_places_that_cannot_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    for path, is_folder in (("file/run", True), ("file/rows.csv", False), ("x" * 300, True), ("folder.csv", False)):
        with pytest.raises(SettingsError, match="cannot be written"):
            check_writable(tmp_path / path, is_folder=is_folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.csv"]


def test_the_earlier_result_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    make_run(tmp_path, "old")
    (tmp_path / "note.txt").write_text("mine")
    (tmp_path / "checkpoints" / "other_project.pt").write_text("mine")
    run = RunFolder(tmp_path, "model.zip", True, STAGE)
    work = run.start()
    assert work == tmp_path / "unfinished"
    (work / "model.zip").write_text("half")
    assert (tmp_path / "model.zip").read_text() == "old"
    assert state_of(tmp_path) == "finished"
    kept = run.interrupt({"seed": 0}, {})
    assert (kept.read_text(), state_of(tmp_path), state_of(work)) == ("half", "finished", "interrupted")

    make_run(tmp_path, "new")
    found = contents(tmp_path)
    assert found.pop("note.txt") == found.pop("checkpoints/other_project.pt") == "mine"
    assert found.pop("run.json")
    assert found == {"model.zip": "new", "progress.csv": "new", "checkpoints/model_10_steps.zip": "new"}


def test_an_unfinished_run_is_begun_again_in_its_place(tmp_path: Path) -> None:
    work = RunFolder(tmp_path, "model.zip", False, STAGE).start()
    (work / "checkpoint_00000010.pt").write_text("old")
    (work / "checkpoint_of_another.pt").write_text("mine")
    assert RunFolder(tmp_path, "model.zip", True, STAGE).start() == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint_of_another.pt", "stage.json"]


def test_a_place_is_one_runs_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    code = (
        "import pathlib, sys, time\n"
        "from simpl_sb3.experiments.run_folder import held\n"
        "with held(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "out")]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        monkeypatch.chdir(tmp_path)
        with (
            pytest.raises(SettingsError, match="Another run writes to out at this moment: wait until"),
            held(Path("out")),
        ):
            pass
        with held(Path("another")):
            pass
        other.kill()
        other.wait()
    with held(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_without_room_for_a_lock_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a file"))
    (tmp_path / "a file").write_text("")
    with held(tmp_path / "out"):
        pass


def test_a_lineage_that_leads_back_to_itself_has_an_end(tmp_path: Path) -> None:
    run = {"stage": "extract", "key": "a", "settings": {}, "metrics": {}, "inputs": {"source": str(tmp_path / "x")}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert {told["key"] for told in lineage_of(tmp_path / "x")} == {"a"}
    (tmp_path / "run.json").unlink()
    (tmp_path / "run.json").symlink_to("/dev/zero")
    assert (lineage_of(tmp_path / "x"), state_of(tmp_path)) == ([], "absent")
