"""Paths on disk."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simpl_sb3.errors import ResultsError, SettingsError
from simpl_sb3.results.facts import Walls
from simpl_sb3.results.traces import Completions, Trajectory, read_trajectories, write_traces, write_trajectories

WALLS = Walls(("###", "#.#", "###"), (-0.5, -0.7))


def make_trajectory(length=3, **changes) -> Trajectory:
    return replace(
        Trajectory("simpl", "12-7", 0, 1, True, (12.0, 7.0), np.arange(2.0 * length).reshape(length, 2)), **changes
    )


def test_trajectories_are_read_back(tmp_path: Path):
    given = [make_trajectory(3), make_trajectory(1, method="spirl", episode=21, success=False, radius=0.5)]
    path = write_trajectories(tmp_path / "t.npz", given, WALLS)
    found, walls = read_trajectories(path)
    assert walls == WALLS
    for path_given, other in zip(given, found, strict=True):
        assert np.array_equal(path_given.positions, other.positions)
        assert replace(path_given, positions=other.positions).__dict__ == other.__dict__
    with pytest.raises(SettingsError, match="exists"):
        write_trajectories(path, given)


def test_malformed_trajectories(tmp_path: Path):
    with pytest.raises(ResultsError, match="expected finite numbers"):
        make_trajectory(positions=np.full((2, 2), np.nan))
    with pytest.raises(ResultsError, match="method is 'my own'"):
        make_trajectory(method="my own")
    with pytest.raises(ResultsError, match="at least one"):
        write_trajectories(tmp_path / "t.npz", [])
    with pytest.raises(SettingsError, match=r"ending in \.npz"):
        write_trajectories(tmp_path / "t.csv", [make_trajectory()])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ResultsError, match="cannot read"):
        read_trajectories(tmp_path / "no.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ResultsError, match="expected the keys schema_version, method"):
        read_trajectories(tmp_path / "text.npz")
    np.savez(tmp_path / "foreign.npz", positions=np.zeros((1, 2)))
    with pytest.raises(ResultsError, match="expected the keys schema_version, method"):
        read_trajectories(tmp_path / "foreign.npz")
    path = write_trajectories(tmp_path / "t.npz", [make_trajectory(2), make_trajectory(2)])
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "offsets": np.array([0, 3, 5])})
    with pytest.raises(ResultsError, match="offsets do not divide"):
        read_trajectories(path)
    np.savez(path, **{**arrays, "seed": np.array([0])})
    with pytest.raises(ResultsError, match="unequal lengths"):
        read_trajectories(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"radius": 1e30},
        {"radius": 0.0},
        {"goal": (float("nan"), 1.0)},
        {"goal": (1e9, 1.0)},
        {"positions": np.full((2, 2), 1e9)},
        {"positions": np.zeros((2, 3))},
        {"episode": 10**9},
    ],
)
def test_what_cannot_be_drawn_is_refused(changes: dict[str, Any]):
    with pytest.raises(ResultsError, match="expected"):
        make_trajectory(**changes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", np.array(0)),
        ("seed", np.array(["a"])),
        ("offsets", np.array([0.0, 3.0])),
        ("radius", np.array(["wide"])),
        ("success", np.array([1])),
        ("positions", np.array(3.0)),
        ("schema_version", np.array("one")),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path: Path, name: str, value: np.ndarray):
    path = write_trajectories(tmp_path / "t.npz", [make_trajectory()])
    np.savez(path, **{**dict(np.load(path)), name: value})
    with pytest.raises(ResultsError, match=f"{name} is .*; expected"):
        read_trajectories(path)


def test_files_of_older_versions_are_read(tmp_path: Path):
    path = write_trajectories(tmp_path / "t.npz", [make_trajectory()])
    arrays = dict(np.load(path))
    del arrays["corner"]
    np.savez(path, **arrays)
    assert read_trajectories(path)[1] is None
    np.savez(path, **{**arrays, "layout": np.array(WALLS.rows)})
    assert read_trajectories(path)[1] == Walls(WALLS.rows, (-0.7, -0.7))


def test_traces_of_one_kind_only(tmp_path: Path):
    completions = Completions("simpl", "a", 0, 1, (0,), np.zeros(1), np.zeros(1))
    with pytest.raises(ResultsError, match="1 paths and 1 completions"):
        write_traces(tmp_path / "t.npz", [make_trajectory(), completions])
    assert not list(tmp_path.iterdir())
    write_traces(tmp_path / "c.npz", [completions], subtasks=("push",))
    write_traces(tmp_path / "t.npz", [make_trajectory()], walls=WALLS)
    assert read_trajectories(tmp_path / "t.npz")[1] == WALLS
