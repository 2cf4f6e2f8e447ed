"""The progress bar of ``learn``: it follows what was lived and the updates, not the environments' steps."""

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from simpl_sb3.bars import progress


class SkillProgressBar(BaseCallback):
    """Skills lived, as ``learn`` counts them and never beyond its total; the description names the updates."""

    def __init__(self) -> None:
        super().__init__()
        self.bar: Any = None

    def _on_training_start(self) -> None:
        self.bar = progress(total=self.locals["total_timesteps"] - self.model.num_timesteps, unit="skill")
        self._start = self.model.num_timesteps

    def _on_step(self) -> bool:
        lived = self.model.num_timesteps - self._start
        self.bar.update(min(lived, self.bar.total) - self.bar.n)  # the last episodes may go beyond what was asked for
        return True

    def say(self, text: str, figures: dict[str, str]) -> None:
        """
        Show beside the bar what is being done, and how far it has come.

        :param text: such as "update 120 of 300"
        :param figures: such as {"exploring": "0.21"}
        """
        if self.bar is not None:
            self.bar.set_postfix(figures, refresh=False)
            self.bar.set_description(text, refresh=False)
            self.bar.update(0)  # shown when the next look is due

    def close(self) -> None:
        """Show the last state, and leave the bar."""
        if self.bar is not None:
            self.bar.refresh()
            self.bar.close()
            self.bar = None
