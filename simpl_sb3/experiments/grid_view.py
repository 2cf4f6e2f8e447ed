"""How a grid goes: what runs, what is left, how long, the success so far; live on a terminal, in lines elsewhere."""

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from simpl_sb3.errors import ResultsError, SimplError
from simpl_sb3.experiments.engine import Engine, Running
from simpl_sb3.experiments.grid import Cell
from simpl_sb3.experiments.ray_place import told_progress
from simpl_sb3.results.reading import read_log
from simpl_sb3.results.rows import read_results

__all__ = ["GridView", "state_text"]

FILE = "progress.txt"
LIVE_SECONDS, LINE_SECONDS = 1.0, 60.0
LAST = 10
"""Episodes of each agent that count as its success so far."""
SUCCESS = ("rollout/success_posterior", "rollout/success_exploration", "rollout/success_rate")


class GridView:
    """
    Tells how a grid goes.

    :param folder: the grid's; ``progress.txt`` in it gets what is told
    :param stream: where to tell it; None for the standard output
    """

    def __init__(self, folder: Path, stream: IO[str] | None = None) -> None:
        self.folder, self.stream = folder, sys.stdout if stream is None else stream
        self.is_live = self.stream.isatty()
        self._shown = self._written = time.monotonic()
        self._width = 0
        self._successes: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    @staticmethod
    def nothing(engine: Engine) -> None:
        """In place of :meth:`watch`, where nothing runs."""

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        self.stream.write(f"{text}\n")
        self.stream.flush()
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / FILE).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def watch(self, engine: Engine) -> None:
        """Called every now and then: renews the live line each second, or says a line each minute."""
        now = time.monotonic()
        if now - self._written >= LINE_SECONDS:
            self._written = now
            self.say(state_text(engine, self._successes))
        if self.is_live and now - self._shown >= LIVE_SECONDS:
            self._shown = now
            self._clear()
            room = max(20, shutil.get_terminal_size().columns - 1)
            text = state_text(engine, self._successes)
            text = text if len(text) <= room else f"{text[: room - 3]}..."
            self._width = len(text)
            self.stream.write(text)
            self.stream.flush()

    def _clear(self) -> None:
        if self._width:
            self.stream.write("\r" + " " * self._width + "\r")
            self._width = 0


def state_text(engine: Engine, known: dict[str, float] | None = None) -> str:
    """
    How far an engine is, in one line.

    :param known: successes of cells that have been read, by key; it is filled
    """
    now, folder = time.monotonic(), engine.folder
    waiting, failed = len(engine.waiting), len(engine.outcome.failed)
    parts = [f"{len(engine.outcome.done)} of {len(engine.cells)}"]
    parts += [f"{failed} failed"] * (failed > 0)
    parts += ["runs: " + ", ".join(_running_text(running, engine, now) for running in engine.running)]
    parts += [f"{waiting} wait"] * (waiting > 0)
    if not engine.unknown():
        parts.append(f"about {engine.minutes_left():.0f} min left")
    if so_far := _successes(engine.outcome.done, folder, {} if known is None else known):
        parts.append("success so far: " + ", ".join(f"{name} {value:.2f}" for name, value in so_far.items()))
    return " | ".join(parts)


def _running_text(running: Running, engine: Engine, now: float) -> str:
    minutes, expected = (now - running.started) / 60, engine.expected(running.cell)
    time_text = f"{minutes:.0f} min" if expected is None else f"{minutes:.0f} of {expected:.0f} min"
    success = _success_of_training(running.cell, engine.folder)
    return f"{running.cell.name} ({time_text}{'' if success is None else f', success {success:.2f}'})"


def _success_of_training(cell: Cell, folder: Path) -> float | None:
    """The newest success that a meta-training has logged."""
    if cell.stage.kind != "meta-train":
        return None
    for path in (folder / cell.stage.output / "progress.csv", told_progress(folder, cell)):
        try:
            found = read_log(path, SUCCESS)
        except ResultsError:
            continue
        for values in found.values():
            known = values[np.isfinite(values)]
            if len(known):
                return float(known[-1])
    return None


def _successes(done: list[Cell], folder: Path, known: dict[str, float]) -> Mapping[str, float]:
    """Success in each finished adaptation's last episodes, by method and task set."""
    found: dict[str, list[float]] = {}
    for cell in done:
        if cell.stage.kind != "adapt":
            continue
        if cell.key not in known:
            known[cell.key] = _success_of_rows(folder / cell.stage.output)
        name = cell.name.removeprefix("adapt ").rpartition(" s")[0]
        found.setdefault(name, []).append(known[cell.key])
    return {name: float(np.mean(values)) for name, values in found.items() if not np.isnan(values).all()}


def _success_of_rows(path: Path) -> float:
    try:
        (file,) = read_results(path)
    except (SimplError, ValueError):
        return float("nan")
    last = max(row.episode for row in file.rows)
    return float(np.mean([row.success for row in file.rows if row.episode > last - LAST]))
