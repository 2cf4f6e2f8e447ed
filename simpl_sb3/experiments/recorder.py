"""Episodes of adaptation -> result rows, and what pictures need: paths in a maze, subtasks in the kitchen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.results.rows import EpisodeRow
from simpl_sb3.results.traces import Completions, Trajectory, write_completions, write_trajectories

TRAJECTORY_EPISODES = (1, 2, 3, 21, 22, 23, 98, 99, 100)  # whose paths are kept for the figure of trajectories


class Adapted(NamedTuple):
    """A task, the seed that rows name, and the agent that has adapted."""

    task: Any
    seed: int
    agent: SkillPriorSAC


class RowKeeper:
    """
    Turns adaptation's episodes into result rows, and keeps what pictures need.

    Of tasks with a ``goal`` that is the paths of some episodes; of tasks with ``completion_steps``, what every episode
    completed and when.
    """

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
        self.completions: list[Completions] = []
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
        self._keep(self.tasks[agent], (self.template["method"], name, self.seeds[agent], episode), finished)
        self._bar.update()

    def _keep(self, task: Any, whose: tuple[str, str, int, int], finished: FinishedEpisode) -> None:
        lived = finished.episode
        if lived.env_observations is None:
            return
        if hasattr(task, "goal") and whose[-1] in TRAJECTORY_EPISODES:
            positions = np.concatenate([lived.observations[:1], lived.env_observations])[:, :2]
            self.paths.append(Trajectory(*whose, finished.success, task.goal, positions, task.radius))
        if hasattr(task, "completion_steps"):
            completed, paid = task.completion_steps(lived.env_observations)
            self.completions.append(Completions(*whose, task.subtasks, paid, completed))

    def write_kept(self, path: Path, overwrite: bool) -> None:
        """Write paths or completions; no file where there are none."""
        if self.paths:
            write_trajectories(path, self.paths, overwrite=overwrite)
        if self.completions:
            write_completions(path, self.completions, self.tasks[0].subtask_names, overwrite=overwrite)

    def close(self) -> None:
        self._bar.close()
