"""The progress bar of ``learn``: it follows what was lived and the updates, not the environments' steps."""

import warnings
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from tqdm import TqdmExperimentalWarning


class SkillProgressBar(BaseCallback):
    """Skills lived, as ``learn`` counts them and never beyond its total; the description names the updates."""

    def __init__(self) -> None:
        super().__init__()
        self.bar: Any = None

    def _on_training_start(self) -> None:
        from tqdm.rich import tqdm

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TqdmExperimentalWarning)
            total = self.locals["total_timesteps"] - self.model.num_timesteps
            self.bar = tqdm(total=total, unit="skill")
        self._start = self.model.num_timesteps

    def _on_step(self) -> bool:
        lived = self.model.num_timesteps - self._start
        self.bar.update(min(lived, self.bar.total) - self.bar.n)  # the last episodes may go beyond what was asked for
        return True

    def say(self, text: str) -> None:
        """Show beside the bar what is being done, such as "update 120 of 300"."""
        if self.bar is not None:
            self.bar.set_description(text)

    def close(self) -> None:
        """Show the last state, and leave the bar."""
        if self.bar is not None:
            self.bar.refresh()
            self.bar.close()
            self.bar = None
