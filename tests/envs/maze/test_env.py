"""SimplMaze-v0: physics, tasks, starts, pictures; and the single maze against the checkers."""

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from simpl_envs.errors import SimplError, TaskError
from simpl_envs.maze.env import SimplMazeEnv, maze_tasks
from simpl_envs.maze.layout import PUBLISHED_LAYOUT, MazeLayout, cell_of, random_goals, random_layout
from simpl_envs.maze.physics import MazeSimulator
from simpl_envs.maze.picture import FLOOR, GOAL, PARTICLE, TRAIL, WALL, draw_maze, pixel_of
from simpl_envs.maze.tasks import MAZE_TASK_SETS, GoalTask

FAR = GoalTask((1, 19))


@pytest.fixture
def env() -> SimplMazeEnv:
    return SimplMazeEnv()


def run(env: gym.Env[Any, Any], actions: np.ndarray, seed: int | None = None, **options: Any) -> np.ndarray:
    """Observations of an episode, the first included, (L+1, 4)."""
    observations = [env.reset(seed=seed, options=options)[0]]
    observations += [env.step(action)[0] for action in actions]
    return np.array(observations)


@pytest.mark.parametrize("layout", ["published", {"seed": 1, "size": 9}])
def test_checkers(layout: Any) -> None:
    check_env(gym.make("SimplMaze-v0", layout=layout, render_mode="rgb_array_top_down").unwrapped)
    check_env_sb3(gym.make("SimplMaze-v0", layout=layout))


def test_spaces(env: SimplMazeEnv) -> None:
    space = env.observation_space
    assert space.dtype == env.action_space.dtype == np.float32
    assert space.low.tolist() == [0, 0, -10, -10]
    assert space.high.tolist() == [21, 21, 10, 10]
    assert env.action_space.low.tolist() == [-1, -1]
    assert env.action_space.high.tolist() == [1, 1]


# Physics


def test_speed(env: SimplMazeEnv) -> None:
    """Full force from rest: top speed 5.23 after about 25 env steps, then 0.05 cell per env step."""
    start = (10.0, 11.0, 0.0, 0.0)
    path = run(env, np.tile(np.float32([0.0, -1.0]), (60, 1)), seed=0, start=start)
    assert path[1, 3] == pytest.approx(
        -100 * 0.01 / (1000 * 4 / 3 * np.pi * 0.1**3 + 0.01), rel=1e-5
    )  # Euler, implicit damping
    assert -path[:, 3].min() == pytest.approx(5.226, abs=1e-3)
    assert np.abs(np.diff(path[40:, 1])) == pytest.approx(0.0523, abs=1e-3)
    assert abs(path[50, 1] - path[40, 1]) == pytest.approx(0.52, abs=0.01)
    assert path[:, 0] == pytest.approx(10.0)


def test_velocity_is_clipped_before_the_step() -> None:
    simulator = MazeSimulator(PUBLISHED_LAYOUT, nthread=1)
    fast, limit = (simulator.step(np.array([[10.0, 10.0, v, -v]]), np.zeros((1, 2)))[0] for v in (9.0, 5.0))
    assert np.array_equal(fast, limit)
    assert limit[2] == pytest.approx(5.0, rel=0.01)


@pytest.mark.parametrize(("start", "action"), [((20, 20), (1, 1)), ((1, 1), (-1, -1)), ((10, 10), (0, 1))])
def test_walls_hold(start: tuple[int, int], action: tuple[int, int], env: SimplMazeEnv) -> None:
    """The particle's centre stays its radius of 0.1 away from the boxes, but for a soft contact's depth."""
    path = run(env, np.tile(np.float32(action), (150, 1)), seed=0, start=start)
    for axis, sign in enumerate(action):
        if sign:
            i, j = cell_of((float(path[-1, 0]), float(path[-1, 1])))
            wall = (i + sign, j) if axis == 0 else (i, j + sign)
            assert PUBLISHED_LAYOUT.walls[wall]
            touching = (i, j)[axis] - 0.2 + sign * 0.4
            assert path[-1, axis] == pytest.approx(touching, abs=0.03)
            assert (sign * path[:, axis]).max() < sign * touching + 0.1


def test_actions_are_clipped(env: SimplMazeEnv) -> None:
    assert np.array_equal(run(env, np.float32([[3, -7]] * 5), seed=0), run(env, np.float32([[1, -1]] * 5), seed=0))


@pytest.mark.parametrize("action", [[0.0], [np.nan, 0.0], [np.inf, 0.0], 0.0])
def test_bad_actions(action: Any, env: SimplMazeEnv) -> None:
    env.reset(seed=0)
    with pytest.raises(ValueError, match="two finite numbers"):
        env.step(np.array(action))


def test_step_needs_reset(env: SimplMazeEnv) -> None:
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2))


# Starts and seeds


def test_starts(env: SimplMazeEnv) -> None:
    starts = np.array([env.reset(seed=seed)[0] for seed in range(300)])
    assert np.abs(starts[:, :2] - 10).max() <= 0.1
    assert starts[:, :2].std(axis=0) == pytest.approx(0.1 / np.sqrt(3), rel=0.15)
    assert starts[:, 2:].std(axis=0) == pytest.approx(0.1, rel=0.15)


def test_chosen_start(env: SimplMazeEnv) -> None:
    position, _ = env.reset(seed=5, options={"start": (3.0, 2.5)})
    assert position[:2].tolist() == [3.0, 2.5]
    assert np.array_equal(position[2:], env.reset(seed=5)[0][2:])
    assert env.reset(options={"start": (3, 2.5, 1, -1)})[0].tolist() == [3.0, 2.5, 1.0, -1.0]
    assert np.abs(env.reset()[0][:2] - 10).max() <= 0.1
    for wrong in ((0, 0), (-5, 3), (1, 2, 3), (np.nan, 1)):
        with pytest.raises(ValueError, match="start"):
            env.reset(options={"start": wrong})


def test_seeds(env: SimplMazeEnv) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (50, 2)).astype(np.float32)
    first = run(env, actions, seed=3)
    assert np.array_equal(first, run(SimplMazeEnv(), actions, seed=3))
    assert not np.array_equal(first, run(env, actions, seed=4))
    assert not np.array_equal(run(env, actions), run(env, actions))


@pytest.mark.parametrize("duplicate", [lambda env: pickle.loads(pickle.dumps(env)), copy.deepcopy])
def test_copies_go_on_alike(duplicate: Any) -> None:
    env = gym.make("SimplMaze-v0", render_mode="rgb_array_top_down")
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 2)).astype(np.float32)
    run(env, actions, seed=1, task=FAR)
    other = duplicate(env)
    for action in actions:
        assert np.array_equal(env.step(action)[0], other.step(action)[0])
    assert np.array_equal(env.reset()[0], other.reset()[0])
    assert np.array_equal(env.render(), other.render())
    assert other.unwrapped.task == FAR


# Tasks


def test_default_tasks(env: SimplMazeEnv) -> None:
    assert env.train_tasks == MAZE_TASK_SETS["train-40"]
    assert env.test_tasks == MAZE_TASK_SETS["target"]
    assert env.task == env.train_tasks[0]


def test_tasks_by_name_and_by_hand() -> None:
    env = SimplMazeEnv(train_tasks="easy", test_tasks=[FAR])
    assert env.train_tasks == MAZE_TASK_SETS["easy"]
    assert env.test_tasks == (FAR,)


def test_default_tasks_of_random_layouts() -> None:
    env = SimplMazeEnv(layout={"seed": 4, "size": 20})
    assert (len(env.train_tasks), len(env.test_tasks)) == (40, 10)
    assert len({*env.train_tasks, *env.test_tasks}) == 50
    assert env.layout == random_layout(4, 20)
    assert env.train_tasks == SimplMazeEnv(layout={"seed": 4, "size": 20}).train_tasks
    small = SimplMazeEnv(layout=MazeLayout(("####", "#..#", "####"), (1, 1)))
    assert small.train_tasks == small.test_tasks == (GoalTask((1, 2)),)
    tasks = random_goals(env.layout, 3, seed=0)
    assert SimplMazeEnv(layout=env.layout, train_tasks=tasks).train_tasks == tasks


def test_tasks_are_sticky() -> None:
    env = gym.make("SimplMaze-v0")
    _, info = env.reset(seed=0, options={"task": FAR})
    assert info == {"task": "1-19", "is_success": False}
    for _ in range(2):
        assert env.reset()[1]["task"] == "1-19"
        assert env.step(np.zeros(2, np.float32))[4]["task"] == "1-19"
    env.get_wrapper_attr("set_task")(GoalTask((10, 10)))
    _, reward, terminated, _, info = env.step(np.zeros(2, np.float32))
    assert (reward, terminated, info) == (1.0, True, {"task": "10-10", "is_success": True})


def test_observation_never_shows_the_task(env: SimplMazeEnv) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 2)).astype(np.float32)
    assert np.array_equal(run(env, actions, seed=0, task=FAR), run(env, actions, seed=0, task=GoalTask((9, 9))))


def test_rewards_equal_the_tasks_own_function(env: SimplMazeEnv) -> None:
    rng = np.random.default_rng(0)
    tasks = [GoalTask((10, 11.2)), GoalTask((9, 10), 0.6), GoalTask((11, 10), 0.7)]
    successes = 0
    for seed in range(12):
        task = tasks[seed % 3]
        env.reset(seed=seed, options={"task": task})
        direction = rng.uniform(-1, 1, 2)
        steps = [env.step(direction.astype(np.float32)) for _ in range(60)]
        rewards, terminated = task.rewards(np.array([step[0] for step in steps]))
        assert rewards.tolist() == [step[1] for step in steps]
        assert terminated.tolist() == [step[2] for step in steps] == [step[4]["is_success"] for step in steps]
        successes += int(terminated.any() and not terminated.all())
    assert successes > 2


def test_terminated_and_truncated_at_once() -> None:
    env = gym.make("SimplMaze-v0", max_episode_steps=1)
    env.reset(seed=0, options={"task": GoalTask((10, 10))})
    assert env.step(np.zeros(2, np.float32))[1:4] == (1.0, True, True)
    assert gym.spec("SimplMaze-v0").max_episode_steps == 2000


@pytest.mark.parametrize("task", [GoalTask((0, 0)), GoalTask((13, 16)), GoalTask((40, 3)), "12-7", (12, 7), None])
def test_bad_tasks(task: Any, env: SimplMazeEnv) -> None:
    for attempt in (
        lambda: env.set_task(task),
        lambda: env.reset(options={"task": task}),
        lambda: SimplMazeEnv(train_tasks=[task]),
        lambda: maze_tasks([task]),
    ):
        with pytest.raises(TaskError, match="Goal"):
            attempt()
    assert env.task == env.train_tasks[0]


@pytest.mark.parametrize("tasks", ["train-41", [], 3])
def test_bad_task_sets(tasks: Any) -> None:
    with pytest.raises(SimplError, match="Expected"):
        SimplMazeEnv(test_tasks=tasks)


def test_unknown_reset_option(env: SimplMazeEnv) -> None:
    with pytest.raises(ValueError, match="tasks"):
        env.reset(options={"tasks": [FAR]})


# Pictures


def test_pixels_lie_where_the_layout_says() -> None:
    image = draw_maze(PUBLISHED_LAYOUT, pixels_per_cell=5)
    assert image.shape == (110, 110, 3)
    for i in range(22):
        for j in range(22):
            row, column = pixel_of(PUBLISHED_LAYOUT, (i - 0.2, j - 0.2), 5)
            assert tuple(image[row, column]) == (WALL if PUBLISHED_LAYOUT.walls[i, j] else FLOOR)
            assert (row, column) == ((21 - j) * 5 + 2, i * 5 + 2)


def test_picture_of_a_maze_that_is_not_square() -> None:
    layout = MazeLayout(("#####", "#...#", "#####"), (1, 1))
    image = draw_maze(layout, pixels_per_cell=2)
    assert image.shape == (10, 6, 3)
    assert (image[2:8, 2:4] == FLOOR).all()
    assert (image == WALL).all(axis=2).sum() == 60 - 12


def test_goal_particle_and_trails_are_drawn() -> None:
    trail = np.array([[10.0, 10.0], [10.0, 11.0]])
    image = draw_maze(PUBLISHED_LAYOUT, (12, 7), 1.0, (2, 2, 0, 0), [trail])
    for position, colour in [
        ((12, 6.5), GOAL),
        ((12, 8), WALL),
        ((2, 2), PARTICLE),
        ((10, 10), TRAIL),
        ((10, 11), TRAIL),
    ]:
        assert tuple(image[pixel_of(PUBLISHED_LAYOUT, position)]) == colour
    assert np.array_equal(draw_maze(PUBLISHED_LAYOUT), draw_maze(PUBLISHED_LAYOUT))
    with pytest.raises(ValueError, match="pixels_per_cell"):
        draw_maze(PUBLISHED_LAYOUT, pixels_per_cell=0)


@pytest.mark.parametrize("mode", ["rgb_array", "rgb_array_top_down"])
def test_render(mode: str) -> None:
    env = gym.make("SimplMaze-v0", render_mode=mode)
    env.reset(seed=0, options={"task": GoalTask((12, 7)), "start": (3.0, 16.0, 0.0, 0.0)})
    image = env.render()
    assert isinstance(image, np.ndarray)
    assert image.dtype == np.uint8
    assert image.shape[0] == image.shape[1]
    size = image.shape[0] / 22

    def brightness(x: float, y: float) -> float:
        """Of the pixel at an observed position."""
        return float(image[int((22 - (y + 0.7)) * size), int((x + 0.7) * size)].mean())

    free = [
        (i, j)
        for i, j in np.argwhere(~PUBLISHED_LAYOUT.walls).tolist()
        if np.hypot(i - 12, j - 7) > 2 and (i, j) != (3, 16)
    ]
    assert min(brightness(i - 0.2, j - 0.2) for i, j in free) > 200
    assert max(brightness(i - 0.2, j - 0.2) for i, j in np.argwhere(PUBLISHED_LAYOUT.walls)) < 100
    assert 100 < brightness(12, 6.3) < 200  # the goal
    red, green, blue = image[int((22 - 16.7) * size), int(3.7 * size)]
    assert red > green + 50
    assert red > blue + 50
    env.close()


def test_no_picture_without_render_mode(env: SimplMazeEnv) -> None:
    env.reset(seed=0)
    assert env.render() is None
    with pytest.raises(ValueError, match="render_mode"):
        SimplMazeEnv(render_mode="human")
