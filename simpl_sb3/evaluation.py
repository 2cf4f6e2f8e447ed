"""Episodes of adaptation -> result rows, and the paths of some of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from simpl_sb3.results import EpisodeRow
from simpl_sb3.rollouts import FinishedEpisode
from simpl_sb3.trajectories import Trajectory

TRAJECTORY_EPISODES = (1, 2, 3, 21, 22, 23, 98, 99, 100)  # whose paths are kept for the figure of trajectories


class RowKeeper:
    """Turns adaptation's episodes into result rows, and keeps the paths of some of them."""

    def __init__(
        self,
        template: Mapping[str, Any],
        tasks: Sequence[Any],
        seeds: Sequence[int],
        total_episodes: int,
        progress_bar: bool,
    ) -> None:
        self.template, self.tasks, self.seeds = template, tasks, seeds
        self.rows: list[EpisodeRow] = []
        self.paths: list[Trajectory] = []
        self._env_steps = np.zeros(len(tasks), int)
        self._bar = tqdm(total=total_episodes, unit="episode", disable=not progress_bar)

    def __call__(self, agent: int, episode: int, finished: FinishedEpisode) -> None:
        lived = finished.episode
        self._env_steps[agent] += lived.env_steps
        name = self.tasks[agent].name
        self.rows.append(
            EpisodeRow(
                **self.template,
                task=name,
                seed=self.seeds[agent],
                episode=episode,
                env_steps=int(self._env_steps[agent]),
                episode_return=lived.total_reward,
                success=int(finished.success),
            )
        )
        task = self.tasks[agent]
        if episode in TRAJECTORY_EPISODES and lived.env_observations is not None and hasattr(task, "goal"):
            positions = np.concatenate([lived.observations[:1], lived.env_observations])[:, :2]
            whose = (self.template["method"], name, self.seeds[agent], episode)
            self.paths.append(Trajectory(*whose, finished.success, task.goal, positions, task.radius))
        self._bar.update()

    def close(self) -> None:
        self._bar.close()
