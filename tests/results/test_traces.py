"""What agents completed in the kitchen, on disk. (Paths through the maze: test_results.py.)"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from envs_for_tests import numbered_episode

from simpl_envs.tasks import SUBTASKS, SubtaskSequence
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.collector import FinishedEpisode, Job
from simpl_sb3.experiments.recorder import RowKeeper
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
    given = [make(), make(method="spirl", seed=2, episode=7, paid=np.zeros(4), completed=np.zeros(7))]
    path = write_completions(tmp_path / "new" / "rows.npz", given, SUBTASKS)
    found, subtasks = read_completions(path)
    assert subtasks == SUBTASKS
    for one, other in zip(given, found, strict=True):
        assert np.array_equal(one.paid, other.paid)
        assert np.array_equal(one.completed, other.completed)
        assert replace(one, paid=other.paid, completed=other.completed).__dict__ == other.__dict__
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
        ({"method": "own"}, "expected one of simpl"),
        ({"episode": 0}, "an episode from 1 on"),
        ({"asked": (5, 0, 2)}, r"expected a step for each one asked, \(P,\)"),
        ({"asked": (5, 0, 2, 7)}, "expected a step for each one asked"),
        ({"paid": np.array([30, 20, 0, 0])}, "expected steps that grow"),
        ({"paid": np.array([30, 0, 90, 0])}, "0 from the first unpaid one on"),
        ({"paid": np.array([29, 30, 90, 0])}, "none before its subtask was complete"),
        ({"paid": np.array([30, 30, 90, 95])}, "none before its subtask was complete"),
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
    with pytest.raises(ResultsError, match="expected the keys method"):
        read_completions(path)
    arrays = dict(np.load(write_completions(path, [make(), make(episode=2)], SUBTASKS, overwrite=True)))
    for name, value, message in (
        ("schema_version", np.array(2), "schema version 2; this library reads 1"),
        ("kind", np.array("own"), "expected an .npz of kind 'simpl-sb3/completions'"),
        ("seed", arrays["seed"][:1], "expected whole numbers of shapes"),
        ("task", np.array("5021"), "expected whole numbers of shapes"),
        ("paid", arrays["paid"].astype(float), "expected whole numbers of shapes"),
        ("subtasks", arrays["subtasks"][:6], "expected whole numbers of shapes"),
        ("paid", arrays["paid"][:, ::-1], "expected steps that grow"),
    ):
        np.savez(path, **arrays | {name: value})
        with pytest.raises(ResultsError, match=message):
            read_completions(path)


def test_every_episode_of_a_kitchen_is_kept(tmp_path: Path) -> None:
    task = SubtaskSequence.from_name("5021")
    template = {"method": "simpl", "preset": "p", "env": "SimplKitchen-v0", "task_set": "target"}
    keeper = RowKeeper(template, [task], [3], 2, False)
    observations = np.zeros((5, 60), np.float32)
    observations[3:, 22] = -0.75  # the microwave, from the fourth env step on
    lived = replace(numbered_episode(0, 1), env_observations=observations)
    for episode in (1, 50):
        keeper(0, episode, FinishedEpisode(Job(task, 0, "exploration"), lived, False))
    keeper(0, 51, FinishedEpisode(Job(task, 0, "exploration"), replace(lived, env_observations=None), False))
    keeper.close()
    assert (len(keeper.rows), keeper.paths) == (3, [])
    keeper.write_kept(tmp_path / "rows.npz", overwrite=False)
    found, subtasks = read_completions(tmp_path / "rows.npz")
    assert [(one.method, one.task, one.seed, one.episode) for one in found] == [
        ("simpl", "5021", 3, 1),
        ("simpl", "5021", 3, 50),
    ]
    assert subtasks == SUBTASKS
    assert found[0].asked == (5, 0, 2, 1)
    assert found[0].paid.tolist() == [4, 0, 0, 0]
    assert found[0].order == (5,)
