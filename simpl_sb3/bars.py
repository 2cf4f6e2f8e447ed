"""``progress``: the one kind of bar. On a terminal it moves; in a file or a notebook it is a line now and then."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tqdm import tqdm

from simpl_sb3.cells import CellGrid, on_terminal

__all__ = ["EpisodeBar", "line", "progress"]

SECONDS_BETWEEN_LINES = 15.0


class _Lines:
    """What tqdm writes over and over in one place, as lines."""

    def write(self, text: str) -> None:
        text = text.strip("\r\n ")
        if text:
            sys.stderr.write(f"{text}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress(
    items: Iterable[Any] | None = None, *, total: int | None, unit: str, shown: bool = True, initial: int = 0
) -> Any:
    """
    A tqdm bar on standard error.

    :param items: what is gone through; without it the caller updates the bar
    :param total: number of units in all
    :param unit: what is counted
    :param shown: False for a bar that shows nothing
    :param initial: units that were done before
    """
    return tqdm(items, **_manner(), total=total, unit=unit, disable=not shown, initial=initial)


def _manner() -> dict[str, Any]:
    """Of tqdm's settings those that say how often it writes, and where to."""
    if sys.stderr.isatty():
        return {"miniters": 0}
    seconds = SECONDS_BETWEEN_LINES
    return {"miniters": 0, "file": _Lines(), "mininterval": seconds, "delay": seconds, "ascii": True}


LINE = "{percentage:3.0f}%|{bar:8}| {n_fmt}/{total_fmt} {unit}s {elapsed}<{left}{postfix}"
"""Numbers first: what a narrow terminal cuts off is the end."""


class _Line(tqdm):
    """A bar whose time to go follows from all that was done so far, pauses included, and from a limit of time."""

    seconds_left: Callable[[], float | None] = staticmethod(lambda: None)

    @property
    def format_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = super().format_dict
        done, left = found["n"] - found["initial"], None
        if done > 0:
            left = found["elapsed"] / done * max(0, found["total"] - found["n"])
        limit = self.seconds_left()
        known = [max(0.0, seconds) for seconds in (left, limit) if seconds is not None]
        return {**found, "left": tqdm.format_interval(min(known)) if known else "?"}


def line(*, total: int, unit: str, initial: int = 0, seconds_left: Callable[[], float | None] = lambda: None) -> Any:
    """
    A live line on standard error: bar, numbers, time so far and to go, and what ``set_postfix_str`` is given.

    :param total: number of units in all
    :param unit: what is counted
    :param initial: units that were done before
    :param seconds_left: until a limit of time ends it earlier; None for no limit
    """
    bar = _Line(**_manner(), total=total, unit=unit, initial=initial, bar_format=LINE, dynamic_ncols=True)
    bar.seconds_left = seconds_left
    return bar


class EpisodeBar:
    """
    The live view of an adaptation: on a terminal a cell for each agent and episode, which turns green on success;
    elsewhere a line now and then, with the success of the latest episodes.

    :param total: episodes in all
    :param names: of each agent's task; the line's success is that of the last five episodes of each
    :param shown: False for nothing
    """

    def __init__(self, total: int, names: Sequence[str], shown: bool = True) -> None:
        self._grid = CellGrid(total, names) if shown and on_terminal() else None
        self._bar = progress(total=total, unit="episode", shown=shown and self._grid is None)
        self._lately: deque[bool] = deque(maxlen=5 * len(names))

    def update(self, agent: int, episode: int, success: bool) -> None:
        """An episode (from 1) of an agent (from 0) has ended."""
        if self._grid is not None:
            self._grid.update(agent, episode, success)
            return
        self._lately.append(success)
        self._bar.set_postfix(success=f"{sum(self._lately) / len(self._lately):.2f}", refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Leave it as it stands."""
        if self._grid is not None:
            self._grid.close()
        self._bar.close()
