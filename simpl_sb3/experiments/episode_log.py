"""Adaptation in a log: per episode the mean over all agents, of each task and of each agent, beside the rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import Logger, configure

__all__ = ["EpisodeLog"]


class EpisodeLog:
    """
    Logs each episode once all agents have ended it, by SB3's logger: ``rollout/success``, ``rollout/return``,
    ``rollout/env_steps`` of an episode, ``task/NAME/success``, and where a task has several agents
    ``agent/NAME-1/success``. It is what ``adapt_tasks(..., on_episode=...)`` takes.

    :param where: an SB3 logger; or the CSV of the rows, for TensorBoard events in a folder of its name that ends in
        ``.tensorboard``, in place of earlier ones
    :param tasks: each agent's task, or its name
    """

    def __init__(self, where: Logger | Path, tasks: Sequence[Any]) -> None:
        self.folder = None if isinstance(where, Logger) else where.with_suffix(".tensorboard")
        self.tasks = [str(getattr(task, "name", task)) for task in tasks]
        self._open: dict[int, dict[int, tuple[float, float, int]]] = {}
        self._logger = where if isinstance(where, Logger) else None

    def __call__(self, agent: int, episode: int, finished: Any) -> None:
        """
        :param agent: index of the agent
        :param episode: from 1
        :param finished: a ``FinishedEpisode``
        """
        values = (float(finished.success), float(finished.episode.total_reward), int(finished.episode.env_steps))
        ended = self._open.setdefault(episode, {})
        ended[agent] = values
        if len(ended) == len(self.tasks):
            self._write(episode, self._open.pop(episode))

    def _write(self, episode: int, ended: dict[int, tuple[float, float, int]]) -> None:
        if self._logger is None:
            assert self.folder is not None
            for earlier in self.folder.glob("events.out.tfevents.*"):
                earlier.unlink()
            self._logger = configure(str(self.folder), ["tensorboard"])
        for name, values in zip(("success", "return", "env_steps"), zip(*ended.values(), strict=True), strict=True):
            self._logger.record(f"rollout/{name}", float(np.mean(values)))
        for task in dict.fromkeys(self.tasks):
            own = [ended[agent][0] for agent, name in enumerate(self.tasks) if name == task]
            self._logger.record(f"task/{task}/success", float(np.mean(own)))
            for number, success in enumerate(own if len(own) > 1 else [], start=1):
                self._logger.record(f"agent/{task}-{number}/success", success, exclude="stdout")
        self._logger.dump(episode)

    def close(self) -> None:
        """Nothing more is logged; a logger that was given stays open."""
        if self._logger is not None and self.folder is not None:
            self._logger.close()
