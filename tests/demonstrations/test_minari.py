"""Minari datasets: written whole or not at all, one clear error when unusable; nothing is lost in between."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage
from minari.namespace import list_local_namespaces
from minari.storage import get_dataset_path

import simpl_envs  # noqa: F401 - registers the environments
from simpl_sb3.demonstrations.minari import (
    Episode,
    check_dataset_id_is_free,
    load_minari,
    read_settings,
    write_minari,
)
from simpl_sb3.errors import DatasetError, SimplError

OBSERVATIONS = gym.spaces.Box(-1e6, 1e6, (2,), np.float32)
ACTIONS = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def indexed_episode(index: int, length: int) -> Episode:
    """Its observations are (episode, step), its actions (episode, step) / 1000."""
    steps = np.arange(length + 1)
    observations = np.stack([np.full(length + 1, index), steps], axis=1)
    return Episode(observations, observations[:-1] / 1000.0)


def indexed_episodes(lengths: list[int]) -> Iterator[Episode]:
    return (indexed_episode(index, length) for index, length in enumerate(lengths))


def write_raw(dataset_id: str, observations: Any, actions: np.ndarray, observation_space: gym.Space[Any]) -> None:
    """A dataset as any other program may have written it."""
    folder = get_dataset_path(dataset_id) / "data"
    folder.mkdir(parents=True)
    action_space = gym.spaces.Box(-1.0, 1.0, actions.shape[1:], np.float64)
    storage = MinariStorage.new(folder, observation_space, action_space)
    storage.update_metadata({"dataset_id": dataset_id, "minari_version": minari.__version__})
    n = len(actions)
    ends = np.arange(n) == n - 1
    storage.update_episodes(
        [EpisodeBuffer(observations=observations, actions=actions, rewards=ends, terminations=~ends, truncations=ends)]
    )


# ---------------------------------------------------------------- written and read


def test_written_episodes_come_back() -> None:
    path = write_minari(
        "simpl/indexed-v0",
        indexed_episodes([12, 30, 11]),
        OBSERVATIONS,
        ACTIONS,
        settings={"seed": 3, "noise": 0.1},
        description="indices",
        author="test",
        algorithm_name="counting",
        code_permalink="none",
    )
    assert path == get_dataset_path("simpl/indexed-v0")
    dataset = load_minari("simpl/indexed-v0", horizon=10)
    assert (dataset.n_episodes, dataset.n_steps, dataset.n_skipped) == (3, 53, 0)
    assert dataset.observations.dtype == dataset.actions.dtype == np.float32
    for index, length in enumerate([12, 30, 11]):
        expected, episode = indexed_episode(index, length), dataset.episode(index)
        np.testing.assert_array_equal(episode.observations, expected.observations)
        np.testing.assert_array_equal(episode.actions, expected.actions)
    assert read_settings("simpl/indexed-v0") == {"seed": 3, "noise": 0.1}
    local = minari.list_local_datasets()
    assert list(local) == ["simpl/indexed-v0"]
    assert local["simpl/indexed-v0"]["description"] == "indices"
    assert minari.load_dataset("simpl/indexed-v0")[1].truncations.tolist() == [False] * 29 + [True]
    assert list_local_namespaces() == ["simpl"]


def test_an_open_dataset_and_a_part_of_it_can_be_read() -> None:
    write_minari("indexed-v0", indexed_episodes([12, 13, 14]), OBSERVATIONS, ACTIONS)
    part = minari.load_dataset("indexed-v0").filter_episodes(lambda episode: len(episode) > 12)
    assert load_minari(part, horizon=10).episode(0).observations[0].tolist() == [1.0, 0.0]


def test_half_written_leaves_nothing_and_the_id_is_free(tmp_path: Path) -> None:
    def failing() -> Iterator[Episode]:
        yield from indexed_episodes([12, 13])
        raise RuntimeError("the planner fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        write_minari("simpl/indexed-v0", failing(), OBSERVATIONS, ACTIONS)
    assert list(tmp_path.iterdir()) == []
    write_minari("simpl/indexed-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)
    assert load_minari("simpl/indexed-v0", horizon=10).n_episodes == 1


def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # HDF5 ends the process where a write fails, so the disk is asked for room first, again and again
    asked: list[int] = []

    def fallocate(handle: int, offset: int, n_bytes: int) -> None:
        asked.append(n_bytes)
        if len(asked) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("simpl_sb3.files.os.posix_fallocate", fallocate)
    monkeypatch.setattr("simpl_sb3.demonstrations.minari.ROOM", 100_000)
    seen: list[int] = []

    def episodes() -> Iterator[Episode]:
        for index in range(40):
            seen.append(index)
            yield indexed_episode(index, 20)

    with pytest.raises(DatasetError, match=r"own/points-v0: no room is left on the disk of .*; nothing was written"):
        write_minari("own/points-v0", episodes(), OBSERVATIONS, ACTIONS)
    assert 5 < len(seen) < 40
    assert min(asked) >= 300_000
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    write_minari("own/points-v0", indexed_episodes([20]), OBSERVATIONS, ACTIONS)  # the id is free


def test_an_existing_dataset_stays_unless_asked(tmp_path: Path) -> None:
    write_minari("simpl/indexed-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)

    def untouched() -> Iterator[Episode]:
        raise AssertionError("collected although the id is taken")
        yield

    with pytest.raises(DatasetError, match="exists"):
        write_minari("simpl/indexed-v0", untouched(), OBSERVATIONS, ACTIONS)
    with pytest.raises(AssertionError):  # a failure while overwriting keeps the old one
        write_minari("simpl/indexed-v0", untouched(), OBSERVATIONS, ACTIONS, overwrite=True)
    assert load_minari("simpl/indexed-v0", horizon=10).n_episodes == 1
    write_minari("simpl/indexed-v0", indexed_episodes([12, 12]), OBSERVATIONS, ACTIONS, overwrite=True)
    assert load_minari("simpl/indexed-v0", horizon=10).n_episodes == 2
    assert [path.name for path in tmp_path.iterdir()] == ["simpl"]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no episode to write"):
        write_minari("empty-v0", [], OBSERVATIONS, ACTIONS)
    with pytest.raises(DatasetError, match=r"expected \(3,\)"):
        write_minari("wide-v0", indexed_episodes([12]), gym.spaces.Box(-1, 1, (3,)), ACTIONS)
    with pytest.raises(DatasetError, match="finite bounds"):
        write_minari("loose-v0", indexed_episodes([12]), OBSERVATIONS, gym.spaces.Box(-np.inf, np.inf, (2,)))
    for malformed in ("no version", "../up-v0", "name"):
        with pytest.raises(DatasetError, match="dataset id"):
            check_dataset_id_is_free(malformed)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- bad datasets


def test_short_episodes_are_skipped_and_counted() -> None:
    write_minari("mixed-v0", indexed_episodes([9, 10, 3, 25]), OBSERVATIONS, ACTIONS)
    dataset = load_minari("mixed-v0", horizon=10)
    assert (dataset.n_episodes, dataset.n_skipped) == (2, 2)
    assert dataset.n_windows(10) == 1 + 16
    with pytest.raises(DatasetError, match=r"none of 4 episodes .*the longest has 25 .* 26"):
        load_minari("mixed-v0", horizon=26)


def test_missing_dataset_names_those_that_exist() -> None:
    write_minari("here-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)
    with pytest.raises(DatasetError, match=r"'there-v0'.*here-v0"):
        load_minari("there-v0", horizon=10)


def test_nan_and_wrong_lengths_are_named_with_their_episode() -> None:
    space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    observations = np.zeros((13, 3))
    observations[5] = np.nan
    write_raw("nan-v0", observations, np.zeros((12, 2)), space)
    with pytest.raises(DatasetError, match=r"nan-v0, episode 0: .* first at step 5"):
        load_minari("nan-v0", horizon=10)
    write_raw("unequal-v0", np.zeros((12, 3)), np.zeros((12, 2)), space)
    with pytest.raises(DatasetError, match=r"unequal-v0, episode 0: .*\(12, 3\) and actions \(12, 2\)"):
        load_minari("unequal-v0", horizon=10)
    write_raw("narrow-v0", np.zeros((13, 2)), np.zeros((12, 2)), space)
    with pytest.raises(DatasetError, match="narrow-v0, episode 0"):
        load_minari("narrow-v0", horizon=10)


def test_spaces_that_skills_cannot_use() -> None:
    image = gym.spaces.Box(0.0, 1.0, (2, 2), np.float32)
    write_raw("image-v0", np.zeros((13, 2, 2)), np.zeros((12, 2)), image)
    with pytest.raises(DatasetError, match="one-dimensional Box"):
        load_minari("image-v0", horizon=10)
    write_raw("discrete-v0", np.zeros(13, dtype=np.int64), np.zeros((12, 2)), gym.spaces.Discrete(4))
    with pytest.raises(DatasetError, match="observation space is Discrete"):
        load_minari("discrete-v0", horizon=10)


def test_corrupt_files_and_missing_spaces() -> None:
    write_minari("broken-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)
    folder = get_dataset_path("broken-v0") / "data"
    (folder / "main_data.hdf5").write_bytes(b"no HDF5")
    with pytest.raises(DatasetError, match="cannot be read"):
        load_minari("broken-v0", horizon=10)
    metadata = json.loads((folder / "metadata.json").read_text())
    del metadata["action_space"]
    (folder / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(DatasetError, match="does not state"):
        load_minari("broken-v0", horizon=10)
    (folder / "metadata.json").write_text("{")
    with pytest.raises(SimplError, match="cannot be read"):
        load_minari("broken-v0", horizon=10)


def test_dict_observations_by_key() -> None:
    space = gym.spaces.Dict(
        robot=gym.spaces.Box(-np.inf, np.inf, (3,), np.float64), goal=gym.spaces.Box(0, 1, (1,), np.float64)
    )
    robot = np.arange(39.0).reshape(13, 3)
    write_raw("dict-v0", {"robot": robot, "goal": np.ones((13, 1))}, np.zeros((12, 2)), space)
    with pytest.raises(DatasetError, match=r"'goal', 'robot'|'robot', 'goal'"):
        load_minari("dict-v0", horizon=10)
    with pytest.raises(DatasetError, match=r"observation_key is 'arm', expected one of .*'robot'"):
        load_minari("dict-v0", horizon=10, observation_key="arm")
    dataset = load_minari("dict-v0", horizon=10, observation_key="robot")
    np.testing.assert_array_equal(dataset.observations, robot)
    assert dataset.observation_key == "robot"
    assert dataset.observation_space == space["robot"]
    write_minari("plain-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)
    with pytest.raises(DatasetError, match="no Dict"):
        load_minari("plain-v0", horizon=10, observation_key="robot")


# ---------------------------------------------------------------- another folder, goal environments, provenance


def test_datasets_in_a_folder_of_ones_own(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("elsewhere")
    path = write_minari("a/b/own-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS, root=root, settings={"seed": 1})
    assert path == root / "a" / "b" / "own-v0"
    assert load_minari("a/b/own-v0", 10, root=root).n_episodes == 1
    assert read_settings("a/b/own-v0", root) == {"seed": 1}
    assert list(tmp_path.iterdir()) == []  # Minari's own folder stays empty
    with pytest.raises(DatasetError, match="exists at"):
        check_dataset_id_is_free("a/b/own-v0", root=root)
    with pytest.raises(DatasetError, match="no Minari dataset"):
        load_minari("a/b/own-v0", 10)


def test_a_folder_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_minari("own-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS, root="here")
    assert load_minari("own-v0", 10, root=Path("here")).n_episodes == 1


def test_minari_itself_finds_what_lies_in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_minari("a/b/own-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS, root=tmp_path / "elsewhere")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "elsewhere"))
    assert list(minari.list_local_datasets()) == ["a/b/own-v0"]
    assert list_local_namespaces() == ["a", "a/b"]


def test_a_goal_environments_key_is_remembered() -> None:
    space = gym.spaces.Dict(observation=OBSERVATIONS, achieved_goal=ACTIONS, desired_goal=ACTIONS)
    with pytest.raises(DatasetError, match="observation_key is None, expected one of 'observation', 'achieved_goal'"):
        write_minari("goal-v0", indexed_episodes([12]), space, ACTIONS)
    write_minari("goal-v0", indexed_episodes([12, 13]), space, ACTIONS, observation_key="observation")
    for given in (None, "observation"):
        dataset = load_minari("goal-v0", 10, given)
        assert dataset.observation_key == "observation"
        assert dataset.observation_space == OBSERVATIONS
    with pytest.raises(DatasetError, match="no Dict"):
        load_minari("goal-v0", 10, "achieved_goal")
    assert dataset.split(0.5)[0].observation_key == "observation"


def test_the_environments_id_comes_along() -> None:
    write_minari("ours-v0", indexed_episodes([12, 13]), OBSERVATIONS, ACTIONS, settings={"env": "SimplMaze-v0"})
    assert load_minari("ours-v0", 10).env_id == "SimplMaze-v0"
    assert load_minari("ours-v0", 10).split(0.5)[1].env_id == "SimplMaze-v0"
    write_minari("unknown-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)
    assert load_minari("unknown-v0", 10).env_id is None
    write_raw("theirs-v0", np.zeros((13, 2)), np.zeros((12, 2)), OBSERVATIONS)
    metadata = get_dataset_path("theirs-v0") / "data" / "metadata.json"
    spec = gym.spec("CartPole-v1").to_json()
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"env_spec": spec}))
    assert load_minari("theirs-v0", 10).env_id == "CartPole-v1"


@pytest.mark.parametrize("horizon", [0, -1, 2.5, True, None])
def test_a_horizon_that_is_none(horizon: Any) -> None:
    write_minari("indexed-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)
    with pytest.raises(DatasetError, match=r"horizon is .*, expected a whole number"):
        load_minari("indexed-v0", horizon)


def test_actions_far_outside_the_action_space_are_refused() -> None:
    """Noise may leave the space a little; other units, or another environment's actions, are far outside."""
    near = Episode(np.zeros((13, 2)), np.full((12, 2), 1.4))
    with pytest.warns(UserWarning, match=r"near-v0: 100% of the actions lie outside the action space"):
        write_minari("near-v0", [near], OBSERVATIONS, ACTIONS)
    far = Episode(np.zeros((13, 2)), np.full((12, 2), 5.0))
    with pytest.raises(DatasetError, match=r"far-v0: action 0 is 5 at step 0, far outside the action space"):
        write_minari("far-v0", [far], OBSERVATIONS, ACTIONS)
    write_raw("far-v0", np.zeros((13, 2)), far.actions, OBSERVATIONS)
    with pytest.raises(DatasetError, match="far outside"):
        load_minari("far-v0", 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda group: group.create_group("actions"), r"actions is a group, expected an array of real numbers"),
        (lambda group: group.create_dataset("actions", data=np.zeros((12, 2), complex)), r"numbers of type complex128"),
        (lambda group: group.create_dataset("actions", data=np.zeros((12, 2), bool)), r"numbers of type bool"),
        (lambda group: group.create_dataset("actions", data=np.full((12, 2), b"x")), r"numbers of type \|S1"),
    ],
)
def test_arrays_that_hold_no_numbers(change: Any, message: str) -> None:
    write_raw("odd-v0", np.zeros((13, 2)), np.zeros((12, 2)), OBSERVATIONS)
    with h5py.File(get_dataset_path("odd-v0") / "data" / "main_data.hdf5", "a") as file:
        del file["episode_0"]["actions"]
        change(file["episode_0"])
    with pytest.raises(DatasetError, match=message):
        load_minari("odd-v0", 10)


def test_minari_can_build_the_environment_again() -> None:
    write_minari("line-v0", [indexed_episode(0, 12)], OBSERVATIONS, ACTIONS, settings={"env": "SimplMaze-v0"})
    assert minari.load_dataset("line-v0").recover_environment().spec.id == "SimplMaze-v0"
    write_minari("other-v0", [indexed_episode(0, 12)], OBSERVATIONS, ACTIONS, settings={"env": "Unknown-v0"})
    assert minari.load_dataset("other-v0").env_spec is None


def test_absurdly_large_observations_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"observations hold numbers above 1e\+30"):
        Episode(np.full((3, 2), 2e30), np.zeros((2, 2)))
    with pytest.raises(DatasetError, match="NaN or infinity"):
        Episode(np.full((3, 2), 1e40), np.zeros((2, 2)))


def test_settings_that_are_none() -> None:
    write_minari("ours-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)
    metadata = get_dataset_path("ours-v0") / "data" / "metadata.json"
    for text in ("[1]", "no JSON", 3):
        metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"simpl_settings": text}))
        with pytest.raises(DatasetError, match="no JSON object"):
            read_settings("ours-v0")
        assert load_minari("ours-v0", 10).env_id is None


@pytest.mark.parametrize("number", [10**9, 1e9, 1e300])
def test_more_episodes_than_files_can_hold_cost_no_memory(number: float) -> None:
    write_minari("ours-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)
    metadata = get_dataset_path("ours-v0") / "data" / "metadata.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"total_episodes": number}))
    for read in (read_settings, lambda dataset_id: load_minari(dataset_id, 10)):
        with pytest.raises(DatasetError, match=r"is said to have .* episodes, and its files have \d+ bytes"):
            read("ours-v0")


@pytest.mark.parametrize("name", ["metadata.json", "main_data.hdf5"])
def test_files_without_an_end_are_not_opened(name: str) -> None:
    write_minari("ours-v0", indexed_episodes([12]), OBSERVATIONS, ACTIONS)
    path = get_dataset_path("ours-v0") / "data" / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DatasetError, match="no regular file"):
        load_minari("ours-v0", 10)


@pytest.mark.parametrize("given", [None, 5, ["indexed-v0"]])
def test_what_is_no_dataset(given: Any) -> None:
    with pytest.raises(DatasetError, match=r"dataset is .*, expected a Minari id"):
        load_minari(given, 4)
