"""Episodes of adaptation -> result rows, and the traces that pictures need."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simpl_sb3.bars import EpisodeBar
from simpl_sb3.domains import Domain, find_domain
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.results.episodes import EpisodeSummary, Whose
from simpl_sb3.results.rows import EpisodeRow
from simpl_sb3.results.traces import Trace, write_traces


class Adapted(NamedTuple):
    """A task, the seed that rows name, and the agent that has adapted; the agent has ``predict``."""

    task: Any
    seed: int
    agent: Any


def summary_of(finished: FinishedEpisode) -> EpisodeSummary:
    """What rows and traces need of an episode in skills."""
    episode = finished.episode
    observations = None
    if episode.env_observations is not None:
        observations = np.concatenate([episode.observations[:1], episode.env_observations])
    return EpisodeSummary(episode.total_reward, finished.success, episode.env_steps, observations)


class RowKeeper:
    """
    Turns episodes of adaptation into result rows, and keeps the traces that the domain leaves for pictures.

    :param template: method, preset, env and task_set of all rows
    :param tasks: each agent's task
    :param seeds: each agent's seed
    :param total_episodes: of all agents together
    :param progress_bar: show one, in episodes
    :param domain: of the environment; None finds it by ``template["env"]``
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        tasks: Sequence[Any],
        seeds: Sequence[int],
        total_episodes: int,
        progress_bar: bool,
        domain: Domain | None = None,
    ) -> None:
        self.template, self.tasks, self.seeds = template, tasks, seeds
        self.traces = (domain or find_domain(template["env"])).traces
        self.rows: list[EpisodeRow] = []
        self.kept: list[Trace] = []
        self._traced = set() if self.traces is None else set(self.traces.episodes(total_episodes // len(tasks)))
        self._env_steps = np.zeros(len(tasks), int)
        self._bar = EpisodeBar(total_episodes, [task.name for task in tasks], progress_bar)

    def __call__(self, agent: int, episode: int, finished: FinishedEpisode) -> None:
        lived = summary_of(finished)
        self._env_steps[agent] += lived.env_steps
        task = self.tasks[agent]
        self.rows.append(
            EpisodeRow(
                **self.template,
                task=task.name,
                seed=self.seeds[agent],
                episode=episode,
                env_steps=int(self._env_steps[agent]),
                episode_return=lived.episode_return,
                success=int(lived.success),
            )
        )
        if self.traces is not None and episode in self._traced:
            whose = Whose(self.template["method"], task.name, self.seeds[agent], episode)
            if (trace := self.traces.trace(whose, task, lived)) is not None:
                self.kept.append(trace)
        self._bar.update(agent, episode, lived.success)

    def write_kept(self, path: Path, overwrite: bool) -> None:
        """Write the traces; no file where there are none."""
        if self.traces is not None and self.kept:
            walls, subtasks = self.traces.walls, self.traces.subtasks
            write_traces(path, self.kept, walls=walls, subtasks=subtasks, overwrite=overwrite)

    def close(self) -> None:
        self._bar.close()
