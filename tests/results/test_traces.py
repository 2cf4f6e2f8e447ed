"""Completed subtasks on disk. (Paths: test_trajectories.py.)"""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simpl_envs.kitchen.tasks import SUBTASKS
from simpl_sb3.errors import SettingsError
from simpl_sb3.results.rows import ResultsError
from simpl_sb3.results.traces import (
    Completions,
    Trajectory,
    holds_completions,
    read_completions,
    read_trajectories,
    write_completions,
    write_trajectories,
)

COMPLETED = np.array([12, 0, 90, 0, 200, 30, 0])


def make(**changes: Any) -> Completions:
    """Task 5021: 0 first, 5 pays both, then 2; 4 was not asked for, and 1 never comes."""
    return replace(Completions("simpl", "5021", 0, 1, (5, 0, 2, 1), np.array([30, 30, 90, 0]), COMPLETED), **changes)


def test_completions_are_read_back(tmp_path: Path) -> None:
    given = [make(), make(method="spirl", seed=2, episode=7, rewarded=np.zeros(4), completed=np.zeros(7))]
    path = write_completions(tmp_path / "new" / "rows.npz", given, SUBTASKS)
    found, subtasks = read_completions(path)
    assert subtasks == SUBTASKS
    for one, other in zip(given, found, strict=True):
        assert np.array_equal(one.rewarded, other.rewarded)
        assert np.array_equal(one.completed, other.completed)
        assert replace(one, rewarded=other.rewarded, completed=other.completed).__dict__ == other.__dict__
    assert found[0].order == (0, 5, 2, 4)
    assert found[1].order == ()
    assert [entry.name for entry in path.parent.iterdir()] == ["rows.npz"]
    with pytest.raises(SettingsError, match="exists"):
        write_completions(path, given, SUBTASKS)
    write_completions(path, given[:1], SUBTASKS, overwrite=True)
    assert len(read_completions(path)[0]) == 1
    with np.load(path, allow_pickle=False) as file:
        assert {array.dtype.kind for array in file.values()} <= set("iU")


def test_the_two_kinds_of_files_are_told_apart(tmp_path: Path) -> None:
    completions = write_completions(tmp_path / "c.npz", [make()], SUBTASKS)
    path = Trajectory("simpl", "12-7", 0, 1, True, (12.0, 7.0), np.zeros((2, 2)))
    trajectories = write_trajectories(tmp_path / "t.npz", [path])
    assert [holds_completions(file) for file in (completions, trajectories, tmp_path / "none.npz")] == [
        True,
        False,
        False,
    ]
    with pytest.raises(ResultsError, match="holds no trajectories"):
        read_trajectories(completions)
    with pytest.raises(ResultsError, match="holds no completions"):
        read_completions(trajectories)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "my own"}, "method is 'my own'"),
        ({"episode": 0}, "an episode from 1 to 1000000"),
        ({"asked": (5, 0, 2)}, r"expected a step for each one asked, \(P,\)"),
        ({"asked": (5, 0, 2, 7)}, "expected a step for each one asked"),
        ({"rewarded": np.array([30, 20, 0, 0])}, "expected steps that grow"),
        ({"rewarded": np.array([30, 0, 90, 0])}, "0 from the first unrewarded one on"),
        ({"rewarded": np.array([29, 30, 90, 0])}, "none before its subtask was complete"),
        ({"rewarded": np.array([30, 30, 90, 95])}, "none before its subtask was complete"),
    ],
)
def test_completions_that_contradict_themselves(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        make(**changes)


def test_what_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ending in \.npz"):
        write_completions(tmp_path / "c.csv", [make()], SUBTASKS)
    with pytest.raises(ResultsError, match="no completions; expected at least one"):
        write_completions(tmp_path / "c.npz", [], SUBTASKS)
    with pytest.raises(ResultsError, match="the 6 that have names"):
        write_completions(tmp_path / "c.npz", [make()], SUBTASKS[:6])
    assert not list(tmp_path.iterdir())


def test_malformed_files(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot read"):
        read_completions(tmp_path / "none.npz")
    path = tmp_path / "c.npz"
    path.write_text("no")
    with pytest.raises(ResultsError, match="expected the keys schema_version, method"):
        read_completions(path)
    arrays = dict(np.load(write_completions(path, [make(), make(episode=2)], SUBTASKS, overwrite=True)))
    for name, value, message in (
        ("schema_version", np.array(2), "schema version 2; this library reads 1"),
        ("kind", np.array("own"), "expected an .npz of kind 'simpl-sb3/completions'"),
        ("seed", arrays["seed"][:1], "expected whole numbers of shapes"),
        ("seed", np.array(["0", "1"]), "seed is <U1 of shape .*; expected whole numbers with 1 axes"),
        ("task", np.array("5021"), "task is <U4 of shape .*; expected text with 1 axes"),
        ("asked", np.array(5), "asked is int64 of shape .*; expected whole numbers with 2 axes"),
        ("rewarded", arrays["rewarded"].astype(float), "rewarded is float64"),
        ("subtasks", arrays["subtasks"][:6], "expected whole numbers of shapes"),
        ("rewarded", arrays["rewarded"][:, ::-1], "expected steps that grow"),
        ("completed", np.array([[object()]]), "holds no completions"),
    ):
        np.savez(path, **arrays | {name: value})
        with pytest.raises(ResultsError, match=message):
            read_completions(path)


def test_files_of_older_versions_are_read(tmp_path: Path) -> None:
    path = write_completions(tmp_path / "c.npz", [make()], SUBTASKS)
    arrays = dict(np.load(path))
    arrays["paid"] = arrays.pop("rewarded")
    np.savez(path, **arrays)
    found, _ = read_completions(path)
    assert found[0].rewarded.tolist() == [30, 30, 90, 0]


def test_an_array_cannot_declare_more_than_its_file_holds(tmp_path: Path) -> None:
    path = write_completions(tmp_path / "c.npz", [make()], SUBTASKS)
    members = dict(np.load(path))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (10**12, 7)})
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in members.items():
            if name != "completed":
                content = io.BytesIO()
                np.save(content, array)
                archive.writestr(f"{name}.npy", content.getvalue())
        archive.writestr("completed.npy", header.getvalue())
    with pytest.raises(ResultsError, match=r"completed declares int64 of shape \(1000000000000, 7\)"):
        read_completions(path)
