"""The native vector form of SimplMaze-v0: equal to single mazes to the bit, held sub-environments, auto-reset."""

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv

from simpl_envs.errors import TaskError
from simpl_envs.maze.env import SimplMazeVectorEnv
from simpl_envs.maze.tasks import MAZE_TASK_SETS, GoalTask

N = 5
HERE, FAR = GoalTask((10, 10)), GoalTask((1, 19))
NEAR = [GoalTask((10, 11.4)), GoalTask((8.4, 10)), GoalTask((11.2, 10)), FAR, GoalTask((10, 10.9), 0.5)]
"""Goals that are reached at different times, and one that is not."""


def make(mode: AutoresetMode = AutoresetMode.SAME_STEP, num_envs: int = N, **arguments: Any) -> SimplMazeVectorEnv:
    env = gym.make_vec("SimplMaze-v0", num_envs, "vector_entry_point", autoreset_mode=mode, **arguments)
    assert isinstance(env, SimplMazeVectorEnv)
    return env


def drawn_actions(n_steps: int, num_envs: int = N) -> np.ndarray:
    """Actions that stay the same for ten env steps, (L, N, 2)."""
    actions = np.random.default_rng(0).uniform(-1, 1, (n_steps // 10 + 1, num_envs, 2))
    return actions.repeat(10, axis=0)[:n_steps].astype(np.float32)


def assert_equal_infos(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Equal keys and masks, and equal values where the masks are True."""
    assert one.keys() == other.keys()
    for key in one.keys() - {f"_{key}" for key in one}:
        mask = one[f"_{key}"]
        assert np.array_equal(mask, other[f"_{key}"])
        if isinstance(one[key], dict):
            assert_equal_infos(one[key], other[key])
        else:
            assert all(np.array_equal(one[key][i], other[key][i]) for i in np.flatnonzero(mask)), key


def test_make_vec() -> None:
    env = gym.make_vec("SimplMaze-v0", num_envs=3)
    assert isinstance(env, SimplMazeVectorEnv)
    assert env.max_episode_steps == 2000
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert SimplMazeVectorEnv.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert make(AutoresetMode.DISABLED).metadata["autoreset_mode"] == AutoresetMode.DISABLED
    assert env.observation_space.shape == (3, 4)
    assert env.action_space.shape == (3, 2)
    assert env.train_tasks == MAZE_TASK_SETS["train-40"]
    assert env.test_tasks == MAZE_TASK_SETS["target"]
    single = gym.make("SimplMaze-v0")
    assert env.single_observation_space == single.observation_space
    assert env.single_action_space == single.action_space
    assert gym.make_vec("SimplMaze-v0", num_envs=2, max_episode_steps=7).unwrapped.max_episode_steps == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize(("num_envs", "nthread"), [(1, 1), (5, 1), (40, 1), (40, 2), (40, 3)])
def test_equals_single_mazes_to_the_bit(num_envs: int, nthread: int) -> None:
    """Including contacts with walls, after the reset and across one with another seed."""
    env = make(AutoresetMode.DISABLED, num_envs, nthread=nthread)
    env.set_task(FAR)
    singles = [gym.make("SimplMaze-v0") for _ in range(min(num_envs, 6))]
    actions = drawn_actions(120, num_envs)
    for seed in (7, None):
        observations, _ = env.reset(seed=seed)
        for i, single in enumerate(singles):
            alone, _ = single.reset(seed=None if seed is None else seed + i, options={"task": FAR})
            assert np.array_equal(observations[i], alone)
        for action in actions:
            observations = env.step(action)[0]
            for i, single in enumerate(singles):
                assert np.array_equal(observations[i], single.step(action[i])[0])
    env.close()


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_equals_gymnasiums_own_vector_env(mode: AutoresetMode) -> None:
    """Observations, rewards, flags and infos, with goals reached and time limits met; 30 env steps make a limit."""
    env = make(mode, max_episode_steps=30)
    reference: VectorEnv[Any, Any, Any] = gym.vector.SyncVectorEnv(
        [lambda: gym.make("SimplMaze-v0", max_episode_steps=30)] * N, autoreset_mode=mode
    )
    env.reset(options={"tasks": NEAR})
    for single, task in zip(reference.envs, NEAR, strict=True):  # type: ignore[attr-defined]
        single.unwrapped.set_task(task)
    ours, theirs = env.reset(seed=1), reference.reset(seed=1)
    assert np.array_equal(ours[0], theirs[0])
    assert_equal_infos(ours[1], theirs[1])
    n_terminated = n_truncated = 0
    for action in drawn_actions(300):
        one, other = env.step(action), reference.step(action)
        for a, b in zip(one[:4], other[:4], strict=True):
            assert np.array_equal(a, b)
            assert a.dtype == b.dtype
        assert_equal_infos(one[4], other[4])
        n_terminated, n_truncated = n_terminated + one[2].sum(), n_truncated + one[3].sum()
    assert n_terminated > 3
    assert n_truncated > 3


def test_same_step_reset_gives_the_last_observation() -> None:
    env = make(max_episode_steps=3)
    env.reset(seed=0, options={"task": FAR})
    for _ in range(2):
        before, _, _, truncated, infos = env.step(np.ones((N, 2)))
        assert not truncated.any()
        assert "final_obs" not in infos
    observations, rewards, terminated, truncated, infos = env.step(np.ones((N, 2)))
    assert truncated.all()
    assert not terminated.any()
    assert rewards.tolist() == [0.0] * N
    assert np.abs(observations[:, :2] - 10).max() <= 0.1
    assert (np.stack(infos["final_obs"]) - before)[:, 2:].min() > 0.2
    assert infos["final_info"]["task"].tolist() == ["1-19"] * N
    assert not env.step(np.ones((N, 2)))[3].any()


def test_finished_mazes_are_held() -> None:
    env = make(AutoresetMode.DISABLED)
    env.reset(seed=0, options={"tasks": [FAR, HERE, FAR, HERE, FAR]})
    held = np.array([False, True, False, True, False])
    simulated: list[int] = []
    step = env._simulator.step
    env._simulator.step = lambda states, actions: simulated.append(len(states)) or step(states, actions)  # type: ignore
    observations, rewards, terminated, _, infos = env.step(np.ones((N, 2)))
    assert rewards.tolist() == terminated.tolist() == infos["is_success"].tolist() == held.tolist()
    actions = np.ones((N, 2))
    actions[held] = np.nan  # what held mazes are told does not matter
    for _ in range(10):
        later, rewards, terminated, truncated, infos = env.step(actions)
        assert np.array_equal(later[held], observations[held])
        assert not (later[~held] == observations[~held]).all(axis=1).any()
        assert rewards.tolist() == [0.0] * N
        assert np.array_equal(terminated, held)
        assert not truncated.any()
        assert np.array_equal(infos["is_success"], held)
    assert simulated == [5] + [3] * 10


def test_held_mazes_come_back_through_the_mask() -> None:
    env = make(AutoresetMode.DISABLED, max_episode_steps=4)
    env.reset(seed=0, options={"task": FAR})
    for _ in range(4):
        observations, _, _, truncated, _ = env.step(np.ones((N, 2)))
    assert truncated.all()
    mask = np.array([True, False, False, True, False])
    tasks: list[Any] = [HERE, None, None, NEAR[0], None]
    after, infos = env.reset(seed=50, options={"reset_mask": mask, "tasks": tasks})
    assert np.array_equal(after[~mask], observations[~mask])
    assert np.array_equal(after[0], gym.make("SimplMaze-v0").reset(seed=50)[0])
    assert np.array_equal(after[3], gym.make("SimplMaze-v0").reset(seed=53)[0])
    assert np.array_equal(infos["_task"], mask)
    assert infos["task"].tolist() == ["10-10", "1-19", "1-19", "10-11.4", "1-19"]
    assert env.tasks == (HERE, FAR, FAR, NEAR[0], FAR)
    _, rewards, terminated, truncated, _ = env.step(np.zeros((N, 2)))
    assert rewards.tolist() == [1, 0, 0, 0, 0]
    assert terminated.tolist() == [True, False, False, False, False]
    assert np.array_equal(truncated, ~mask)


def test_terminated_and_truncated_at_once() -> None:
    for mode in AutoresetMode:
        env = make(mode, max_episode_steps=1)
        env.reset(seed=0, options={"tasks": [HERE, FAR, HERE, FAR, HERE]})
        _, rewards, terminated, truncated, _ = env.step(np.zeros((N, 2)))
        assert rewards.tolist() == terminated.tolist() == [True, False, True, False, True]
        assert truncated.all()


def test_tasks_are_sticky_and_take_effect_at_once() -> None:
    env = make()
    env.reset(seed=0, options={"task": FAR})
    env.set_task(HERE, indices=[1, 4])
    for _ in range(3):  # SAME_STEP resets mazes 1 and 4 at every step
        _, rewards, terminated, _, infos = env.step(np.zeros((N, 2)))
        assert rewards.tolist() == terminated.tolist() == [0, 1, 0, 0, 1]
        assert infos["task"].tolist() == ["1-19", "10-10", "1-19", "1-19", "10-10"]
        assert infos["is_success"].tolist() == [False] * N
        assert infos["final_info"]["is_success"].tolist() == [False, True, False, False, True]
    assert env.reset()[1]["task"].tolist() == ["1-19", "10-10", "1-19", "1-19", "10-10"]


def test_left_out_mazes_change_nothing() -> None:
    env = make(AutoresetMode.DISABLED)
    before, _ = env.reset(seed=0)
    active = np.array([True, False, True, False, False])
    env.set_active(active)
    for _ in range(3):
        after = env.step(np.ones((N, 2)))[0]
    assert np.array_equal(after[~active], before[~active])
    assert (after[active] != before[active]).all()
    env.set_active(np.ones(N, dtype=bool))
    assert (env.step(np.ones((N, 2)))[0] != after).all()


def test_starts() -> None:
    env = make(AutoresetMode.DISABLED)
    starts = np.array([[1.0, 1.0], [2.0, 1.0], [20.0, 20.0], [10.0, 11.0], [5.0, 5.0]])
    observations, _ = env.reset(seed=0, options={"starts": starts})
    assert np.array_equal(observations[:, :2], starts)
    states = np.concatenate([starts, np.full((N, 2), 0.5)], axis=1)
    assert np.array_equal(env.reset(options={"starts": states})[0], states)
    for wrong in (starts[:2], np.zeros((N, 2))):
        with pytest.raises(ValueError, match="start"):
            env.reset(options={"starts": wrong})


def test_results_are_the_callers_own() -> None:
    """Arrays that were handed out do not change later."""
    env = make(AutoresetMode.DISABLED)
    env.reset(seed=0)
    handed_out = env.step(np.ones((N, 2)))
    kept = copy.deepcopy(handed_out)
    env.step(-np.ones((N, 2)))
    env.set_task(FAR)
    for one, other in zip(handed_out[:4], kept[:4], strict=True):
        assert np.array_equal(one, other)
    assert_equal_infos(handed_out[4], kept[4])


@pytest.mark.parametrize("duplicate", [lambda env: pickle.loads(pickle.dumps(env)), copy.deepcopy])
def test_copies_go_on_alike(duplicate: Any) -> None:
    env = make(num_envs=20, nthread=2, max_episode_steps=8)
    env.reset(seed=0, options={"task": FAR})
    actions = drawn_actions(20, 20)
    for action in actions[:10]:
        env.step(action)
    other = duplicate(env)
    for action in actions[10:]:
        one, two = env.step(action), other.step(action)
        assert all(np.array_equal(a, b) for a, b in zip(one[:4], two[:4], strict=True))
        assert_equal_infos(one[4], two[4])
    env.close()
    env.step(actions[0])  # threads start again when needed
    env.close()


@pytest.mark.parametrize("mode", ["rgb_array", "rgb_array_top_down"])
def test_render(mode: str) -> None:
    env = make(num_envs=2, render_mode=mode)
    assert env.render() is None
    env.reset(seed=0, options={"tasks": [HERE, FAR]})
    images = env.render()
    singles = []
    for seed, task in enumerate((HERE, FAR)):
        single = gym.make("SimplMaze-v0", render_mode=mode)
        single.reset(seed=seed, options={"task": task})
        singles.append(single.render())
        single.close()
    assert images is not None
    assert np.array_equal(images, singles)
    env.close()


@pytest.mark.parametrize(
    "options",
    [
        {"reset_mask": np.ones(N)},
        {"reset_mask": np.zeros(N, dtype=bool)},
        {"reset_mask": [True] * N},
        {"reset_mask": np.ones(N + 1, dtype=bool)},
        {"start": (1, 1)},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="Expected"):
        env.reset(options=options)


@pytest.mark.parametrize("tasks", [[FAR] * (N - 1), [FAR] * (N - 1) + [GoalTask((0, 0))], [FAR] * (N - 1) + ["1-19"]])
def test_bad_tasks(tasks: list[Any]) -> None:
    env = make()
    with pytest.raises(TaskError):
        env.reset(seed=0, options={"tasks": tasks})
    assert FAR not in env.tasks
    with pytest.raises(TaskError):
        env.set_task("12-7")  # type: ignore[arg-type]


def test_other_bad_input() -> None:
    for arguments in ({"num_envs": 0}, {"max_episode_steps": 0}, {"nthread": 0}, {"render_mode": "human"}):
        with pytest.raises(ValueError):
            SimplMazeVectorEnv(**arguments)  # type: ignore[arg-type]
    env = make()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros((N, 2)))
    with pytest.raises(gym.error.ResetNeeded):
        env.reset(options={"reset_mask": np.array([True] + [False] * (N - 1))})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="seeds"):
        env.reset(seed=[1, 2])
    for actions in (np.zeros((N, 3)), np.zeros((N - 1, 2)), np.full((N, 2), np.nan)):
        with pytest.raises(ValueError, match="actions"):
            env.step(actions)
    assert np.array_equal(env.reset(seed=[3, None, 4, 5, 6])[0][0], env.reset(seed=3)[0][0])


def test_attributes_as_in_gymnasium() -> None:
    envs = SimplMazeVectorEnv(num_envs=2, render_mode="rgb_array_top_down")
    near, far = GoalTask((12.0, 7.0)), GoalTask((1.0, 19.0))
    envs.set_attr("task", [near, far])
    assert envs.tasks == envs.get_attr("task") == envs.call("task") == (near, far)
    envs.set_attr("task", far)
    assert envs.call("set_task", near) == (None, None)
    assert envs.get_attr("task") == (near, near)
    assert envs.get_attr("max_episode_steps") == (2000, 2000)
    envs.set_attr("max_episode_steps", 7)
    assert envs.max_episode_steps == 7
    envs.reset(seed=0)
    assert [picture.shape for picture in envs.call("render")] == [(352, 352, 3)] * 2
    with pytest.raises(TaskError):
        envs.set_attr("task", [far, "nonsense"])
    assert envs.tasks == (near, near)
    with pytest.raises(ValueError, match="one value of max_episode_steps, which all"):
        envs.set_attr("max_episode_steps", [7, 8])
    with pytest.raises(ValueError, match="one value of task or 2, got 3"):
        envs.set_attr("task", [near] * 3)


def test_assigning_a_task_is_setting_it() -> None:
    env = gym.make("SimplMaze-v0").unwrapped
    far = GoalTask((1.0, 19.0))
    env.set_wrapper_attr("task", far)
    assert env.task == far
    assert env.reset(options={"start": far.goal})[1]["task"] == far.name
    assert env.step(np.zeros(2, np.float32))[1] == 1.0
    with pytest.raises(TaskError):
        env.task = "nonsense"
