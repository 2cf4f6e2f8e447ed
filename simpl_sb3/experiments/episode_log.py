"""Adaptation in TensorBoard: per episode the mean over all agents, beside the rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import Logger, configure

__all__ = ["EpisodeLog"]


class EpisodeLog:
    """
    Logs each episode once all agents have ended it, by SB3's logger: ``rollout/success``, ``rollout/return``,
    ``rollout/env_steps`` of an episode, and ``task/NAME/success``.

    :param rows: the CSV; events go into a folder of its name that ends in ``.tensorboard``, in place of earlier ones
    :param tasks: name of each agent's task
    """

    def __init__(self, rows: Path, tasks: Sequence[str]) -> None:
        self.folder, self.tasks = rows.with_suffix(".tensorboard"), list(tasks)
        self._open: dict[int, dict[int, tuple[float, float, int]]] = {}
        self._logger: Logger | None = None

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
            for earlier in self.folder.glob("events.out.tfevents.*"):
                earlier.unlink()
            self._logger = configure(str(self.folder), ["tensorboard"])
        for name, values in zip(("success", "return", "env_steps"), zip(*ended.values(), strict=True), strict=True):
            self._logger.record(f"rollout/{name}", float(np.mean(values)))
        for task in dict.fromkeys(self.tasks):
            own = [success for agent, (success, _, _) in ended.items() if self.tasks[agent] == task]
            self._logger.record(f"task/{task}/success", float(np.mean(own)))
        self._logger.dump(episode)

    def close(self) -> None:
        """Nothing more is logged."""
        if self._logger is not None:
            self._logger.close()
