"""What ends a meta-training on the command line, and what it leaves on the way."""

import time
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback

from simpl_sb3.algorithms.progress import bar_of

__all__ = ["BorderCheckpoints", "TimeLimit"]


class TimeLimit(BaseCallback):
    """Ends learning at the first meta-iteration past a wall-clock budget, in seconds; None for no limit."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        self.seconds, self.started = seconds, time.perf_counter()
        self.over = False

    def _on_training_start(self) -> None:
        if (bar := bar_of(self.model)) is not None:
            bar.seconds_left = self.seconds_left

    def seconds_left(self) -> float | None:
        """Until the limit; None for no limit."""
        return None if self.seconds is None else self.seconds - self.seconds_so_far()

    def seconds_so_far(self) -> float:
        """Since it started, in all processes that worked on it."""
        return time.perf_counter() - self.started

    def _on_rollout_start(self) -> None:
        self.over = self.seconds is not None and self.seconds_so_far() > self.seconds

    def _on_step(self) -> bool:
        return not self.over


class BorderCheckpoints(BaseCallback):
    """
    Saves the model between two meta-iterations, after each fifth of the skills to live: four times at most.

    :param folder: where ``model_<skills>_steps.zip`` go
    :param total_timesteps: skills to live
    """

    def __init__(self, folder: Path, total_timesteps: int) -> None:
        super().__init__()
        self.folder, self.share = folder, max(1, total_timesteps / 5)
        self.next = self.share

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self.next:
            self.model.save(self.folder / f"model_{self.num_timesteps}_steps.zip")
            self.next = (self.num_timesteps // self.share + 1) * self.share

    def _on_step(self) -> bool:
        return True
