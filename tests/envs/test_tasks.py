"""Tasks as data: names, rewards of a trajectory, the published sets."""

import dataclasses
import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import simpl_envs
from simpl_envs.errors import TaskError
from simpl_envs.maze.tasks import MAZE_TASK_SETS, GoalTask, goal_reached
from simpl_envs.tasks import Task


def test_sizes_of_the_published_sets() -> None:
    sizes = {name: len(tasks) for name, tasks in MAZE_TASK_SETS.items()}
    assert sizes == {
        "train-40": 40,
        "train-20": 20,
        "train-10": 10,
        "target": 10,
        "train-top": 10,
        "target-top": 10,
        "target-bottom": 10,
        "easy": 5,
        "medium": 10,
        "hard": 10,
    }
    assert all(len(set(tasks)) == len(tasks) for tasks in MAZE_TASK_SETS.values())
    assert MAZE_TASK_SETS["train-10"] == MAZE_TASK_SETS["train-20"][:10] == MAZE_TASK_SETS["hard"]
    assert MAZE_TASK_SETS["medium"][:5] == MAZE_TASK_SETS["easy"]
    assert not set(MAZE_TASK_SETS["train-40"]) & set(MAZE_TASK_SETS["target"])


def test_overlaps_that_the_published_sets_have() -> None:
    target, train = set(MAZE_TASK_SETS["target"]), set(MAZE_TASK_SETS["train-40"])
    assert target & set(MAZE_TASK_SETS["medium"]) == {GoalTask((7, 8))}
    assert target & set(MAZE_TASK_SETS["target-top"]) == {GoalTask((1, 19)), GoalTask((5, 19))}
    assert len(train & {*MAZE_TASK_SETS["target-top"], *MAZE_TASK_SETS["target-bottom"]}) == 3


def test_goal_task_is_data() -> None:
    task = GoalTask((12, 7))
    assert task == GoalTask((12.0, 7.0), 1.0)
    assert isinstance(task, Task)
    assert GoalTask(**json.loads(json.dumps(dataclasses.asdict(task)))) == task
    assert len({task, GoalTask((12, 7)), GoalTask((7, 12))}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.radius = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (GoalTask((12, 7)), "12-7"),
        (GoalTask((1.25, 10)), "1.25-10"),
        (GoalTask((12, 7), 0.5), "12-7-r0.5"),
        (GoalTask((12, 7), 2), "12-7-r2"),
    ],
)
def test_names(task: GoalTask, name: str) -> None:
    assert task.name == name


@pytest.mark.parametrize(
    "arguments", [((1,),), ((1, 2, 3),), (5,), (("a", "b"),), ((1, float("nan")),), ((1, 2), 0.0), ((1, 2), None)]
)
def test_bad_goal_tasks(arguments: tuple[object, ...]) -> None:
    with pytest.raises(TaskError, match="got"):
        GoalTask(*arguments)  # type: ignore[arg-type]


def test_rewards_by_hand() -> None:
    observations = np.array(
        [[0, 0, 9, 9], [2, 3, 0, 0], [2.5, 3, 0, 0], [2, 4, 0, 0], [2, 4.001, 0, 0]], dtype=np.float32
    )
    rewards, terminated = GoalTask((2, 3)).rewards(observations)
    assert rewards.dtype == np.float32
    assert terminated.dtype == np.bool_
    assert rewards.tolist() == [0, 1, 1, 1, 0]
    assert terminated.tolist() == [False, True, True, True, False]
    assert GoalTask((2, 3)).rewards(observations[:0])[0].shape == (0,)


def test_many_goals_at_once_equal_one_goal_each() -> None:
    rng = np.random.default_rng(0)
    observations = rng.uniform(0, 3, (500, 4)).astype(np.float32)
    goals, radii = rng.uniform(0, 3, (500, 2)), rng.uniform(0.5, 1.5, 500)
    together = goal_reached(observations, goals, radii)
    alone = [
        GoalTask((x, y), r).rewards(o[None])[1][0] for (x, y), r, o in zip(goals, radii, observations, strict=True)
    ]
    assert together.tolist() == alone
    assert 0 < together.mean() < 1


def test_registration() -> None:
    for environment_id, arguments in simpl_envs.ENVIRONMENTS.items():
        spec = gym.spec(environment_id)
        assert spec.max_episode_steps == arguments["max_episode_steps"]
        assert spec.vector_entry_point == arguments["vector_entry_point"]
    simpl_envs.register_environments()  # twice is fine
    gym.register_envs(simpl_envs)


def test_registration_imports_no_simulator_and_mazes_no_torch() -> None:
    program = (
        "import sys, simpl_envs; assert not {'mujoco', 'torch'} & set(sys.modules); "
        "import simpl_envs.maze.planner, simpl_envs.maze.env; "
        "assert not {'torch', 'stable_baselines3'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_former_places_still_work() -> None:
    from simpl_envs import kitchen, maze, tasks
    from simpl_envs.kitchen.constants import GOAL_HALF
    from simpl_envs.kitchen.physics import GOAL_HALF as FORMER

    for name in tasks._HOMES:
        assert getattr(tasks, name) is not None
    assert tasks.GoalTask is maze.tasks.GoalTask
    assert tasks.SubtaskSequence is kitchen.tasks.SubtaskSequence
    assert FORMER is GOAL_HALF
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        tasks.nonsense  # noqa: B018
    from simpl_envs import maze_picture

    with pytest.warns(DeprecationWarning, match=r"simpl_envs\.maze_picture\.draw_maze is deprecated"):
        assert maze_picture.draw_maze is not None


def test_the_parts_of_an_observation_need_no_simulator() -> None:
    code = "import sys, simpl_envs.kitchen.constants; assert not {'mujoco', 'torch'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
