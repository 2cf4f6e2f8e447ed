"""The demonstration planner: what a trajectory is, and that nothing but the seed decides it."""

import numpy as np
import pytest

from simpl_envs.maze.layout import PUBLISHED_LAYOUT, MazeLayout, cell_of, random_layout
from simpl_envs.maze.physics import MazeSimulator
from simpl_envs.maze.planner import Trajectory, plan_trajectories

N = 24


@pytest.fixture(scope="module")
def trajectories() -> list[Trajectory]:
    return list(plan_trajectories(N, seed=0, nthread=1))


def same(one: list[Trajectory], other: list[Trajectory]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(one, other, strict=True)
    )


def test_shapes_and_bounds(trajectories: list[Trajectory]) -> None:
    assert len(trajectories) == N
    for observations, actions in trajectories:
        assert 50 <= len(actions) <= 1600
        assert observations.shape == (len(actions) + 1, 4)
        assert actions.shape[1:] == (2,)
        assert observations.dtype == actions.dtype == np.float32
        assert np.abs(actions).max() <= 1.0
        assert np.isfinite(observations).all()
        assert all(PUBLISHED_LAYOUT.is_free(cell_of((x, y))) for x, y, _, _ in observations.astype(float))


def test_trajectories_lead_from_cell_to_cell(trajectories: list[Trajectory]) -> None:
    for observations, _ in trajectories:
        start, end = observations[0], observations[-1]
        assert np.abs(start[:2] - np.round(start[:2])).max() <= 0.1 + 1e-6
        assert np.abs(end[:2] - np.round(end[:2])).max() <= 0.3 + 1e-6
    assert len({tuple(np.round(o[0, :2])) for o, _ in trajectories}) > N / 2


def test_actions_are_those_executed() -> None:
    """Simulating the recorded actions again gives the recorded observations, up to their rounding to float32."""
    observations, actions = next(plan_trajectories(1, seed=3, noise=0.2, nthread=1))
    simulator = MazeSimulator(PUBLISHED_LAYOUT, nthread=1)
    for before, action, after in zip(observations[:-1], actions, observations[1:], strict=True):
        state = simulator.step(before.astype(np.float64)[None], action.astype(np.float64)[None])
        np.testing.assert_allclose(state[0], after, atol=1e-4)


@pytest.mark.parametrize(("batch_size", "nthread"), [(1, 1), (7, 1), (64, 2)])
def test_neither_batch_nor_threads_matter(batch_size: int, nthread: int) -> None:
    few = list(plan_trajectories(5, seed=1, noise=0.1, nthread=1))
    assert same(few, list(plan_trajectories(5, seed=1, noise=0.1, batch_size=batch_size, nthread=nthread)))


def test_seeds(trajectories: list[Trajectory]) -> None:
    assert same(trajectories, list(plan_trajectories(N, seed=0, nthread=1)))
    assert same(trajectories[:3], list(plan_trajectories(3, seed=0, nthread=1)))
    assert not same(trajectories[:3], list(plan_trajectories(3, seed=1, nthread=1)))


def test_noise_and_jitter_are_used(trajectories: list[Trajectory]) -> None:
    noisy = list(plan_trajectories(3, seed=0, noise=0.3, nthread=1))
    straight = list(plan_trajectories(3, seed=0, jitter=0.0, nthread=1))
    for (_, plain), (_, other), (observations, _) in zip(trajectories[:3], noisy, straight, strict=True):
        assert np.abs(other).max() <= 1.0
        assert not np.array_equal(plain[:50], other[:50])
        assert np.abs(observations[-1, :2] - np.round(observations[-1, :2])).max() <= 0.1 + 1e-6


def test_lengths_are_kept() -> None:
    kept = list(plan_trajectories(6, seed=0, min_steps=100, max_steps=200, nthread=1))
    assert all(100 <= len(actions) <= 200 for _, actions in kept)
    everything = list(plan_trajectories(30, seed=0, min_steps=1, nthread=1))
    wanted = [trajectory for trajectory in everything if 100 <= len(trajectory[1]) <= 200]
    assert same(kept[: len(wanted)], wanted[: len(kept)])


def test_what_has_not_arrived_is_kept_where_asked() -> None:
    """Of 12 numbers all are kept, those cut off after 400 env steps as they were until then."""
    arguments = {"seed": 0, "min_steps": 1, "nthread": 1}
    whole = list(plan_trajectories(12, **arguments))  # type: ignore[arg-type]
    cut = list(plan_trajectories(12, max_steps=400, arrived_only=False, **arguments))  # type: ignore[arg-type]
    assert {len(actions) == 400 for _, actions in cut} == {True, False}
    assert same(cut, [(observations[:401], actions[:400]) for observations, actions in whole])


def test_other_layouts() -> None:
    layout = random_layout(seed=2, size=8)
    for observations, _ in plan_trajectories(4, seed=0, layout=layout, nthread=1):
        assert all(layout.is_free(cell_of((x, y))) for x, y, _, _ in observations.astype(float))


def test_none() -> None:
    assert list(plan_trajectories(0, seed=0)) == []


def test_gives_up_where_no_path_is_long_enough() -> None:
    room = MazeLayout(("####", "#..#", "####"), start=(1, 1))
    with pytest.raises(ValueError, match="1000 others"):
        list(plan_trajectories(1, seed=0, layout=room, min_steps=300, nthread=1))


@pytest.mark.parametrize(
    "arguments", [{"n": -1}, {"noise": -1.0}, {"jitter": -0.1}, {"min_steps": 0}, {"max_steps": 10}, {"batch_size": 0}]
)
def test_refuses(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        plan_trajectories(**{"n": 1, "seed": 0, **arguments})  # type: ignore[arg-type]
