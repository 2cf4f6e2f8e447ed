"""``progress``: the one kind of bar. On a terminal it moves; in a file or a notebook it is a line now and then."""

import sys
from collections import deque
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

__all__ = ["EpisodeBar", "progress"]

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
    how: dict[str, Any] = {"total": total, "unit": unit, "disable": not shown, "initial": initial, "miniters": 0}
    if not sys.stderr.isatty():
        seconds = SECONDS_BETWEEN_LINES
        how |= {"file": _Lines(), "mininterval": seconds, "delay": seconds, "ascii": True}
    return tqdm(items, **how)


class EpisodeBar:
    """
    The bar of an adaptation: episodes, and the success of the latest.

    :param total: episodes in all
    :param n_agents: agents; the success is that of the last five episodes of each
    :param shown: False for a bar that shows nothing
    """

    def __init__(self, total: int, n_agents: int, shown: bool = True) -> None:
        self._bar = progress(total=total, unit="episode", shown=shown)
        self._lately: deque[bool] = deque(maxlen=5 * n_agents)

    def update(self, success: bool) -> None:
        """One more episode."""
        self._lately.append(success)
        self._bar.set_postfix(success=f"{sum(self._lately) / len(self._lately):.2f}", refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()
