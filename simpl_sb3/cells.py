"""``CellGrid``: an adaptation on a terminal, one cell per agent and episode, which turns green on success."""

import sys
import time
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

__all__ = ["CellGrid", "on_terminal"]

SECONDS_BETWEEN_LOOKS = 0.2
MIN_WIDTH, MIN_HEIGHT = 40, 8
"""Of a terminal that has room for a grid, characters."""
MAX_LABEL, RATE = 22, 5
"""Widths of the names on the left and of the numbers on the right, characters."""
LATEST = 5
"""Episodes of each agent that the numbers count."""
UNKNOWN = -1
PENDING, NOT, SOME, SOLVED = range(4)
GLYPHS = {PENDING: "·", NOT: "□", SOME: "▣", SOLVED: "■"}
PLAIN_GLYPHS = {PENDING: ".", NOT: "-", SOME: "+", SOLVED: "#"}
STYLES = {PENDING: "bright_black", NOT: "bright_black", SOME: "green", SOLVED: "bold bright_green"}


def on_terminal() -> bool:
    """Whether standard error is a terminal that a grid can be drawn on."""
    if not sys.stderr.isatty():
        return False
    console = Console(stderr=True)
    return not console.is_dumb_terminal and console.width >= MIN_WIDTH and console.height >= MIN_HEIGHT


class CellGrid:
    """
    A line per agent, a column per episode. Where there are more agents than lines, a line is a task, and its cells the
    share of its agents; where there are more tasks as well, the last line is all others. Where there are more episodes
    than columns, the last ones are shown. Nothing is drawn before the first episode ends.

    :param total: episodes in all
    :param names: of each agent's task
    :param console: where it is drawn; None takes standard error
    """

    def __init__(self, total: int, names: Sequence[str], console: Console | None = None) -> None:
        self.total, self.names = total, list(names)
        self.console = Console(stderr=True) if console is None else console
        self.n_episodes = max(1, -(-total // len(self.names)))
        self.cells = np.full((len(self.names), self.n_episodes), UNKNOWN, np.int8)  # 1 is a success
        self._live: Live | None = None
        self._began = time.perf_counter()
        self._next = self._began + SECONDS_BETWEEN_LOOKS

    def update(self, agent: int, episode: int, success: bool) -> None:
        """An episode (from 1) of an agent (from 0) has ended."""
        while episode > self.cells.shape[1]:
            self.cells = np.pad(self.cells, ((0, 0), (0, self.cells.shape[1])), constant_values=UNKNOWN)
        self.cells[agent, episode - 1] = success
        if self._live is None:
            both = sys.stdout.isatty()  # what is printed goes above the grid, but not out of a file that it was sent to
            self._live = Live(get_renderable=self.drawn, console=self.console, auto_refresh=False, redirect_stdout=both)
            self._live.start()
        began = time.perf_counter()
        if began >= self._next:
            self._live.refresh()
            took = time.perf_counter() - began
            self._next = began + max(SECONDS_BETWEEN_LOOKS, 100 * took)  # of a slow terminal, or a large grid

    def close(self) -> None:
        """Draw it once more, and leave it as it stands."""
        if self._live is not None:
            self._live.refresh()
            self._live.stop()
            self._live = None

    # ------------------------------------------------------------ drawing

    def drawn(self) -> Text:
        """The grid as it is now, as large as the terminal allows."""
        lines = self._lines(max(1, self.console.height - 4))
        width = min(MAX_LABEL, max(len(label) for label, _ in lines))
        room = max(1, self.console.width - width - RATE - 3)
        known = np.flatnonzero((self.cells != UNKNOWN).any(axis=0))
        last = max(min(self.n_episodes, room), 1 + int(known.max(initial=0)))
        first = max(0, last - room)
        glyphs = PLAIN_GLYPHS if self.console.options.ascii_only else GLYPHS
        text = Text(no_wrap=True, overflow="crop")
        text.append(f"episodes {first + 1} to {last}   ")
        for kind, word in ((SOLVED, "success"), (SOME, "of some agents"), (NOT, "none")):
            if kind != SOME or any(len(agents) > 1 for _, agents in lines):
                text.append(glyphs[kind], STYLES[kind]).append(f" {word}   ")
        text.append("\n")
        for label, agents in lines:
            text.append(f"{label[:width]:<{width}} ")
            kinds = [_kind(cell) for cell in self.cells[agents, first:last].T]
            for kind, run in groupby(kinds):
                text.append(glyphs[kind] * len(list(run)), STYLES[kind])
            text.append(f" {_rate(self.cells[agents])}\n")
        return text.append(self._summary())

    def _lines(self, most: int) -> list[tuple[str, list[int]]]:
        """Labels, and the agents of each line."""
        by_task: dict[str, list[int]] = {}
        for agent, name in enumerate(self.names):
            by_task.setdefault(name, []).append(agent)
        if len(self.names) <= most:
            return [
                (name if len(agents) == 1 else f"{name} #{number}", [agent])
                for name, agents in by_task.items()
                for number, agent in enumerate(agents, start=1)
            ]
        lines = list(by_task.items())
        if len(lines) > most:
            others = lines[most - 1 :]
            lines = [*lines[: most - 1], (f"{len(others)} more tasks", [one for _, own in others for one in own])]
        return lines

    def _summary(self) -> str:
        done = int((self.cells != UNKNOWN).sum())
        elapsed = time.perf_counter() - self._began
        left = elapsed / max(1, done) * max(0, self.total - done)
        latest = f"success of the last {LATEST} of each: {_rate(self.cells).strip()}"
        return f"{done}/{self.total} episodes, {latest}, {_clock(elapsed)} so far, {_clock(left)} to go"


def _kind(cell: np.ndarray) -> int:
    """Of the agents of a line in one episode."""
    best, worst = cell.max(), cell[cell != UNKNOWN].min(initial=1)
    if best == UNKNOWN:
        return PENDING
    return NOT if not best else SOLVED if worst else SOME


def _rate(cells: np.ndarray) -> str:
    """Success of the latest episodes of each agent, as text of constant width."""
    latest = [row[row != UNKNOWN][-LATEST:] for row in cells]
    known = np.concatenate(latest)
    return f"{known.mean():.2f}" if len(known) else "    "


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
