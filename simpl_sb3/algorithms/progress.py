"""The live line of ``learn``: it follows what was lived and the updates, not the environments' steps."""

from collections.abc import Callable
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from simpl_sb3.bars import line

__all__ = ["SkillProgressBar", "bar_of"]


class SkillProgressBar(BaseCallback):
    """
    Skills lived, as ``learn`` counts them and never beyond its total; beside them success, updates, and what is done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: Any = None
        self.seconds_left: Callable[[], float | None] = lambda: None
        self._kept: dict[str, str] = {}

    def _on_training_start(self) -> None:
        total = self.locals["total_timesteps"] - self.model.num_timesteps
        self.bar = line(total=total, unit="skill", seconds_left=self.seconds_left)
        self._start = self.model.num_timesteps

    def _on_step(self) -> bool:
        lived = self.model.num_timesteps - self._start
        self.bar.update(min(lived, self.bar.total) - self.bar.n)  # the last episodes may go beyond what was asked for
        return True

    def keep(self, name: str, value: str) -> None:
        """
        A figure that is shown from now on, until it is given again.

        :param name: such as "held-out"
        :param value: such as "0.60"
        """
        self._kept[name] = value

    def say(self, text: str, figures: dict[str, str]) -> None:
        """
        Show beside the bar what is being done, and how far it has come.

        :param text: such as "update 120 of 300"
        :param figures: such as {"exploring": "0.21"}
        """
        if self.bar is not None:
            shown = [f"{name} {value}" for name, value in {**figures, **self._kept}.items()]
            self.bar.set_postfix_str(", ".join([*shown, text]), refresh=False)
            self.bar.update(0)  # shown when the next look is due

    def close(self) -> None:
        """Show the last state, and leave the bar."""
        if self.bar is not None:
            self.bar.refresh()
            self.bar.close()
            self.bar = None


def bar_of(model: Any) -> SkillProgressBar | None:
    """The live line of a model that learns with one, for callbacks that have something to show."""
    found = getattr(model, "_bar", None)
    return found if isinstance(found, SkillProgressBar) else None
