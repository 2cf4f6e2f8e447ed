"""
Task-conditioned environments of simpl-sb3. Needs neither torch nor Stable-Baselines3.

Importing this package registers its environments with Gymnasium; it imports neither MuJoCo nor an environment::

    import gymnasium as gym
    import simpl_envs

    env = gym.make("SimplMaze-v0")
    envs = gym.make_vec("SimplMaze-v0", num_envs=64)
"""

from typing import Any

import gymnasium as gym

from simpl_envs.errors import DemonstrationError, DrawingError, SimplError, TaskError
from simpl_envs.kitchen.tasks import KITCHEN_TASK_SETS, SubtaskSequence
from simpl_envs.maze.layout import PUBLISHED_LAYOUT, MazeLayout, random_goals, random_layout
from simpl_envs.maze.tasks import MAZE_TASK_SETS, GoalTask
from simpl_envs.tasks import Task

__all__ = [
    "ENVIRONMENTS",
    "KITCHEN_TASK_SETS",
    "MAZE_TASK_SETS",
    "PUBLISHED_LAYOUT",
    "DemonstrationError",
    "DrawingError",
    "GoalTask",
    "MazeLayout",
    "SimplError",
    "SubtaskSequence",
    "Task",
    "TaskError",
    "random_goals",
    "random_layout",
    "register_environments",
]

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "SimplMaze-v0": {
        "entry_point": "simpl_envs.maze.env:SimplMazeEnv",
        "vector_entry_point": "simpl_envs.maze.env:SimplMazeVectorEnv",
        "max_episode_steps": 2000,
    },
    "SimplKitchen-v0": {
        "entry_point": "simpl_envs.kitchen.env:SimplKitchenEnv",
        "vector_entry_point": "simpl_envs.kitchen.env:SimplKitchenVectorEnv",
        "max_episode_steps": 280,
    },
}
"""Every environment: its id and the arguments of ``gymnasium.register``."""


def register_environments() -> None:
    """Register every environment that Gymnasium does not know yet."""
    for environment_id, arguments in ENVIRONMENTS.items():
        if environment_id not in gym.registry:
            gym.register(environment_id, **arguments)


register_environments()
