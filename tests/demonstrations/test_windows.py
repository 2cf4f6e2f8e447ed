"""Demonstrations in memory: they check themselves, and windows stay within their episode."""

from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode
from simpl_sb3.errors import DatasetError

OBSERVATIONS = gym.spaces.Box(-1e6, 1e6, (2,), np.float32)
ACTIONS = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


def indexed_episode(index: int, length: int) -> Episode:
    """Its observations are (episode, step), its actions (episode, step) / 1000."""
    steps = np.arange(length + 1)
    observations = np.stack([np.full(length + 1, index), steps], axis=1)
    return Episode(observations, observations[:-1] / 1000.0)


def indexed_episodes(lengths: list[int]) -> Iterator[Episode]:
    return (indexed_episode(index, length) for index, length in enumerate(lengths))


# ---------------------------------------------------------------- episodes


@pytest.mark.parametrize(
    ("observations", "actions"), [((5, 2), (5, 2)), ((6, 2), (4, 2)), ((1, 2), (0, 2)), ((5,), (4,))]
)
def test_episode_checks_its_shapes(observations: tuple[int, ...], actions: tuple[int, ...]) -> None:
    with pytest.raises(DatasetError, match=r"expected \(L \+ 1, O\)"):
        Episode(np.zeros(observations), np.zeros(actions))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_episode_refuses_nan_and_says_where(bad: float) -> None:
    observations = np.zeros((5, 2))
    observations[3, 1] = bad
    with pytest.raises(DatasetError, match="observations hold NaN or infinity, first at step 3"):
        Episode(observations, np.zeros((4, 2)))


# ---------------------------------------------------------------- windows


def test_windows_never_cross_episodes_and_all_are_drawn() -> None:
    lengths = [12, 10, 17]
    dataset = DemonstrationDataset.from_episodes(indexed_episodes(lengths), OBSERVATIONS, ACTIONS, horizon=10)
    observations, actions = dataset.sample_windows(2000, 10, np.random.default_rng(0))
    assert observations.shape == (2000, 11, 2)
    assert actions.shape == (2000, 10, 2)
    assert (observations[:, :, 0] == observations[:, :1, 0]).all()  # one episode each
    assert (np.diff(observations[:, :, 1], axis=1) == 1.0).all()  # its steps in order
    np.testing.assert_allclose(actions, observations[:, :-1] / 1000.0, rtol=1e-6)  # actions beside their observations
    drawn = {(int(episode), int(step)) for episode, step in observations[:, 0]}
    assert drawn == {(index, step) for index, length in enumerate(lengths) for step in range(length - 9)}
    assert len(drawn) == dataset.n_windows(10)


def test_windows_are_seeded() -> None:
    dataset = DemonstrationDataset.from_episodes(indexed_episodes([30, 40]), OBSERVATIONS, ACTIONS)
    one, two = (dataset.sample_windows(50, 10, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.observations, two.observations)


def test_split_is_by_episode_and_seeded() -> None:
    dataset = DemonstrationDataset.from_episodes(indexed_episodes([12] * 20), OBSERVATIONS, ACTIONS)
    train, validation = dataset.split(0.1, seed=0)
    ids = [{int(value) for value in part.observations[:, 0]} for part in (train, validation)]
    assert [len(part) for part in ids] == [18, 2]
    assert ids[0] | ids[1] == set(range(20))
    again = dataset.split(0.1, seed=0)[1]
    np.testing.assert_array_equal(again.observations, validation.observations)
    assert {int(value) for value in dataset.split(0.1, seed=1)[1].observations[:, 0]} != ids[1]
    with pytest.raises(DatasetError, match="at least two"):
        validation.split(0.5)[0].split(0.5)
    with pytest.raises(DatasetError, match="validation_fraction"):
        dataset.split(1.5)


def test_on_disk_it_is_the_same_and_leaves_nothing_behind(tmp_path: Path) -> None:
    lengths = [12, 10, 31, 14, 9]
    here = DemonstrationDataset.from_episodes(indexed_episodes(lengths), OBSERVATIONS, ACTIONS, horizon=10)
    there = DemonstrationDataset.from_episodes(
        indexed_episodes(lengths), OBSERVATIONS, ACTIONS, horizon=10, folder=tmp_path
    )
    assert isinstance(there.observations.base, np.memmap)
    assert list(tmp_path.iterdir()) == []
    assert repr(there).endswith(", on disk>")
    pairs = [(here, there), *zip(here.split(0.3, seed=1), there.split(0.3, seed=1), strict=True)]
    for one, other in [*pairs, (here.at_least(12), there.at_least(12))]:
        assert (other.folder, one.n_skipped) == (tmp_path, other.n_skipped)
        for name in ("observations", "actions", "offsets"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    drawn = [data.sample_windows(50, 10, np.random.default_rng(2)) for data in (here, there)]
    np.testing.assert_array_equal(*(windows.observations for windows in drawn))
    np.testing.assert_array_equal(*(windows.actions for windows in drawn))


def test_every_window_is_as_likely_as_any_other() -> None:
    dataset = DemonstrationDataset.from_episodes(indexed_episodes([4, 2, 7]), OBSERVATIONS, ACTIONS)
    starts = [(episode, step) for episode, length in enumerate([4, 2, 7]) for step in range(length - 3 + 1)]
    numbers = np.random.default_rng(5).integers(len(starts), size=200)
    drawn = dataset.sample_windows(200, 3, np.random.default_rng(5)).observations[:, 0]
    first = [dataset.episode(starts[number][0]).observations[starts[number][1]] for number in numbers]
    np.testing.assert_array_equal(drawn, first)


def test_some_actions_are_all_of_a_few() -> None:
    dataset = DemonstrationDataset.from_episodes(indexed_episodes([20, 11]), OBSERVATIONS, ACTIONS)
    np.testing.assert_array_equal(dataset.some_actions(), dataset.actions)
    np.testing.assert_array_equal(dataset.some_actions(10), dataset.actions[::4])


def test_a_dataset_checks_itself() -> None:
    with pytest.raises(DatasetError, match="do not fit"):
        DemonstrationDataset(np.zeros((10, 2)), np.zeros((10, 2)), np.array([0, 10]), OBSERVATIONS, ACTIONS, "bad")
    with pytest.raises(DatasetError, match="as in its spaces"):
        DemonstrationDataset(np.zeros((11, 3)), np.zeros((10, 2)), np.array([0, 10]), OBSERVATIONS, ACTIONS, "bad")


def test_actions_without_bounds_are_refused() -> None:
    with pytest.raises(DatasetError, match="finite bounds"):
        DemonstrationDataset.from_episodes(indexed_episodes([12]), OBSERVATIONS, gym.spaces.Box(-np.inf, np.inf, (2,)))
