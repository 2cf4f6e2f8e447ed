"""Human kitchen data in D4RL's and in Minari's layout, made here, converted into SimplKitchen's observations."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kitchen_data_for_tests import MINARI_ID, d4rl_arrays, rows, write_hdf5, write_minari_kitchen

from simpl_envs.kitchen.env import SimplKitchenEnv
from simpl_envs.kitchen.physics import GOAL_HALF
from simpl_sb3.demonstrations.minari import load_minari, open_minari, read_settings
from simpl_sb3.domains.kitchen_human import (
    ACTION_SPACE,
    CONVERTED_DATASET_ID,
    OBSERVATION_SPACE,
    convert_kitchen_data,
    find_kitchen_data,
    read_d4rl_kitchen,
    read_minari_kitchen,
    refuse_unconverted_kitchen,
)
from simpl_sb3.errors import DatasetError
from simpl_sb3.skills import PrimitiveActions
from simpl_sb3.skills.fit import check_fit


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    (tmp_path / "minari").mkdir()


def spans(path: Path, **arguments: int) -> list[tuple[int, int, int, int]]:
    """First and last row of the observations, and of the actions, of each demonstration."""
    found = []
    for episode in read_d4rl_kitchen(path, **arguments):
        seen = np.rint(episode.observations[:, 0] * 1000).astype(int)
        done = np.rint(episode.actions[:, 0] * 1000).astype(int)
        np.testing.assert_array_equal(seen, np.arange(seen[0], seen[-1] + 1))
        np.testing.assert_array_equal(done, seen[:-1])
        found.append((int(seen[0]), int(seen[-1]), int(done[0]), int(done[-1])))
    return found


def test_the_form_is_that_of_our_kitchen() -> None:
    env = SimplKitchenEnv()
    assert env.observation_space == OBSERVATION_SPACE
    assert env.action_space == ACTION_SPACE


def test_d4rl_rows_end_at_terminals(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "kitchen_mixed-v0.hdf5", d4rl_arrays(30, terminals=[9, 10, 24]))
    assert spans(path) == [(0, 9, 0, 8), (11, 24, 11, 23), (25, 29, 25, 28)]  # row 10 is alone: no transition
    episode = read_d4rl_kitchen(path)[1]
    assert (episode.observations.shape, episode.actions.shape) == ((14, 60), (13, 9))
    np.testing.assert_allclose(episode.observations[:, 1:30], rows(14)[:, 1:], atol=1e-6)
    np.testing.assert_array_equal(episode.observations[:, 30:], np.tile(GOAL_HALF, (14, 1)))


def test_d4rl_timeouts_end_too(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.hdf5", d4rl_arrays(20, terminals=[19], timeouts=[4]))
    assert spans(path) == [(0, 4, 0, 3), (5, 19, 5, 18)]


def test_over_long_runs_are_split_without_loss(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.hdf5", d4rl_arrays(25, terminals=[20]))
    assert spans(path, max_steps=8) == [(0, 8, 0, 7), (8, 16, 8, 15), (16, 20, 16, 19), (21, 24, 21, 23)]
    assert spans(path, max_steps=20) == [(0, 20, 0, 19), (21, 24, 21, 23)]
    whole = write_hdf5(tmp_path / "b.hdf5", d4rl_arrays(600, terminals=[]))
    assert [last - first for first, last, _, _ in spans(whole)] == [280, 280, 39]


def test_actions_are_clipped_as_the_simulator_does(tmp_path: Path) -> None:
    arrays = d4rl_arrays(5, terminals=[4])
    arrays["actions"][1] = 1.4
    episode = read_d4rl_kitchen(write_hdf5(tmp_path / "a.hdf5", arrays))[0]
    assert episode.actions.max() == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terminals": None}, "has no terminals"),
        ({"observations": None, "actions": None}, "has no observations, actions"),
        ({"actions": np.zeros((19, 9))}, "lengths .*expected equal ones"),
        ({"observations": np.zeros((20, 59))}, r"\(59,\).*expected .*\(60,\)"),
        ({"actions": np.zeros((20, 8))}, r"\(8,\).*expected .*\(9,\)"),
        ({"observations": np.full((20, 60), np.nan)}, "NaN or infinity, first in row 0"),
        ({"actions": np.full((20, 9), np.inf)}, "actions hold NaN or infinity"),
        ({"observations": np.full((20, 60), 0.5)}, "position 11 goes from 0.5 to 0.5, expected -1.57 to 0.0"),
        ({"observations": np.zeros((20, 60))}, "quaternion"),
        ({"terminals": np.ones(20, dtype=bool)}, "no demonstration of at least one env step"),
    ],
)
def test_bad_hdf5_leaves_nothing_behind(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    arrays = {key: array for key, array in {**d4rl_arrays(20, [19]), **change}.items() if array is not None}
    path = write_hdf5(tmp_path / "a.hdf5", arrays)
    with pytest.raises(DatasetError, match=message):
        convert_kitchen_data(path)
    assert not list((tmp_path / "minari").iterdir())


def test_no_hdf5_at_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.hdf5")  # opening it would wait for a writer
    for path, content in (
        (tmp_path / "missing.hdf5", None),
        (tmp_path / "pipe.hdf5", None),
        (tmp_path / "text.hdf5", "no data"),
    ):
        if content:
            path.write_text(content)
        with pytest.raises(DatasetError, match="cannot be read as HDF5"):
            read_d4rl_kitchen(path)
    with pytest.raises(DatasetError, match="max_steps"):
        read_d4rl_kitchen(tmp_path / "missing.hdf5", max_steps=0)


def test_minari_velocities_are_dropped() -> None:
    write_minari_kitchen([5, 12])
    episodes = read_minari_kitchen(MINARI_ID)
    assert [len(episode) for episode in episodes] == [5, 12]
    for episode in episodes:
        np.testing.assert_allclose(episode.observations[:, :30], rows(len(episode) + 1), atol=1e-6)
        np.testing.assert_array_equal(episode.observations[0, 30:], GOAL_HALF)
        assert (episode.actions == 0.5).all()


def test_both_layouts_are_converted_by_one_command(tmp_path: Path) -> None:
    write_minari_kitchen([15, 30])
    path = write_hdf5(tmp_path / "kitchen.hdf5", d4rl_arrays(30, terminals=[14]))
    convert_kitchen_data(MINARI_ID)
    convert_kitchen_data(path, "simpl/kitchen-d4rl-v0")
    for dataset_id, n_steps in ((CONVERTED_DATASET_ID, 45), ("simpl/kitchen-d4rl-v0", 28)):
        dataset = load_minari(dataset_id, horizon=10)
        assert (dataset.n_episodes, dataset.n_steps) == (2, n_steps)
        env = SimplKitchenEnv()
        check_fit(
            PrimitiveActions(dataset.observation_space, dataset.action_space), env.observation_space, env.action_space
        )
    with pytest.raises(DatasetError, match="exists"):
        convert_kitchen_data(path, "simpl/kitchen-d4rl-v0")
    convert_kitchen_data(path, "simpl/kitchen-d4rl-v0", overwrite=True, max_steps=5)
    assert load_minari("simpl/kitchen-d4rl-v0", horizon=5).n_episodes == 4  # one piece of 4 steps is too short


def test_bad_minari_datasets() -> None:
    with pytest.raises(DatasetError, match=r"no Minari dataset .*expected .*`minari download D4RL/kitchen/mixed-v2`"):
        convert_kitchen_data(MINARI_ID)
    write_minari_kitchen([15], n_numbers=58)
    with pytest.raises(DatasetError, match=r"\(58,\).*expected .*59"):
        convert_kitchen_data(MINARI_ID)


def test_a_source_is_found_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And converted into another folder of datasets, with what it shows and where it comes from."""
    write_minari_kitchen([15])
    path = write_hdf5(tmp_path / "kitchen.h5", d4rl_arrays(15, terminals=[14]))
    found = find_kitchen_data(MINARI_ID), find_kitchen_data(str(path))
    assert found[1] == path
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "elsewhere"))
    for source, asked in zip(found, ({"source": MINARI_ID}, {"source": "kitchen.h5", "max_steps": 280}), strict=True):
        convert_kitchen_data(source, overwrite=True)
        assert read_settings(CONVERTED_DATASET_ID) == {"env": "SimplKitchen-v0", **asked}
    assert not (tmp_path / "minari" / "simpl").exists()


@pytest.mark.parametrize("as_box", [False, True])
def test_an_unconverted_dataset_is_refused_by_name_of_the_command(as_box: bool) -> None:
    write_minari_kitchen([15], as_box=as_box)
    with pytest.raises(DatasetError, match=r"59 numbers.*`simpl-sb3 convert x`.*extract from simpl/kitchen-human-v0"):
        refuse_unconverted_kitchen(open_minari(MINARI_ID), "simpl-sb3 convert x")
    convert_kitchen_data(MINARI_ID)
    refuse_unconverted_kitchen(open_minari(CONVERTED_DATASET_ID), "")
    with pytest.raises(DatasetError, match=r"\(60,\).*expected .*59"):
        convert_kitchen_data(CONVERTED_DATASET_ID, overwrite=True)
