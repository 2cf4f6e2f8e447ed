"""Rows that the tests of reports share."""

import numpy as np

from simpl_envs.kitchen.tasks import KITCHEN_TASK_SETS
from simpl_envs.maze.tasks import MAZE_TASK_SETS
from simpl_sb3.results.rows import EpisodeRow

MAZE, KITCHEN = "SimplMaze-v0", "SimplKitchen-v0"


def make_rows(method: str, env: str, chance: float, n_episodes: int = 46, seeds=(0, 1)) -> list[EpisodeRow]:
    rng = np.random.default_rng(len(method))
    tasks = (MAZE_TASK_SETS if env == MAZE else KITCHEN_TASK_SETS)["target"][:2]
    rows = []
    for task in tasks:
        for seed in seeds:
            for episode in range(1, n_episodes + 1):
                reward = rng.binomial(1 if env == MAZE else 4, chance)
                success = reward == (1 if env == MAZE else 4)
                rows.append(
                    EpisodeRow(method, "fast", env, "target", task.name, seed, episode, episode, reward, success)
                )
    return rows
