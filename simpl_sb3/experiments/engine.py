"""
The stages of a grid, each somewhere (:mod:`simpl_sb3.experiments.places`): what is done is never done again, what waits
is started once it can be, what fails is tried once more and told, and what was interrupted goes on with the same
command.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simpl_sb3.experiments.grid import Cell
from simpl_sb3.experiments.places import Ended, Place, Run, log_of
from simpl_sb3.experiments.worker import WRONG

__all__ = ["Engine", "Outcome", "Running"]

TRIES, LOST_TRIES = 2, 10
"""How often a stage is begun that fails, and one whose machine goes down."""
POLL_SECONDS = 0.2


@dataclass
class Outcome:
    """
    What became of a grid's cells.

    :param done: cells whose results are there, in the order in which they came
    :param failed: cells that failed, with the last line of their logs
    :param blocked: cells that wait for one that failed
    """

    done: list[Cell] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: list[Cell] = field(default_factory=list)


@dataclass(frozen=True)
class Running:
    """
    A cell at work.

    :param run: the stage, where it runs
    :param started: reading of ``time.monotonic``, seconds
    """

    cell: Cell
    run: Run
    started: float


class Engine:
    """
    Runs cells, some at a time.

    :param cells: each after those that it waits for
    :param folder: the grid's
    :param place: where stages run
    :param minutes: expected, by kind of stage
    :param cores: of one stage, by its kind; 1 by default
    :param say: is told what begins and ends
    :param watch: is called every now and then while something runs
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        folder: Path,
        place: Place,
        minutes: Mapping[str, float] | None = None,
        cores: Mapping[str, int] | None = None,
        say: Callable[[str], None] = print,
        watch: "Callable[[Engine], None]" = lambda engine: None,
    ) -> None:
        self.cells, self.folder, self.place, self.say, self.watch = list(cells), folder, place, say, watch
        self.minutes, self.cores = dict(minutes or {}), dict(cores or {})
        self.outcome = Outcome([cell for cell in self.cells if cell.is_done(folder)])
        self.running: list[Running] = []
        self._taken: dict[str, list[tuple[float, float | None]]] = {}  # minutes, and those declared, by kind
        self._failures: dict[str, int] = {}
        self._losses: dict[str, int] = {}

    @property
    def waiting(self) -> list[Cell]:
        """Cells that have not begun."""
        over = {cell.key for cell in self.outcome.done} | set(self.outcome.failed)
        over |= {running.cell.key for running in self.running}
        return [cell for cell in self.cells if cell.key not in over]

    def core_minutes_left(self) -> float:
        """What the cells that are not done take, as far as is known of their kinds."""
        now = time.monotonic()
        begun = sum(self._left(running, now) * self._cores(running.cell) for running in self.running)
        return begun + sum((self.expected(cell) or 0.0) * self._cores(cell) for cell in self.waiting)

    def minutes_left(self) -> float:
        """The same on all cores at once."""
        return self.core_minutes_left() / max(1, self.place.cores())

    def unknown(self) -> list[str]:
        """Kinds of stages of which nobody knows yet how long they take."""
        return sorted({cell.stage.kind for cell in self.waiting if self.expected(cell) is None})

    def expected(self, cell: Cell) -> float | None:
        """
        Minutes that a cell takes: as declared, times how much longer those of its kind took than declared; where
        nothing is declared, as those took; None where nobody knows.
        """
        taken, declared = self._taken.get(cell.stage.kind), self._declared(cell)
        if not taken:
            return declared
        total, known = sum(minutes for minutes, _ in taken), [minutes for _, minutes in taken if minutes]
        if declared is not None and len(known) == len(taken):
            return declared * total / sum(known)
        return total / len(taken)

    def _declared(self, cell: Cell) -> float | None:
        return self.minutes.get(cell.stage.kind) if cell.minutes is None else cell.minutes

    def _left(self, running: Running, now: float) -> float:
        return max(0.0, (self.expected(running.cell) or 0.0) - (now - running.started) / 60)

    def _cores(self, cell: Cell) -> int:
        return self.cores.get(cell.stage.kind, 1)

    def run(self) -> Outcome:
        """
        Work until nothing more can be done.

        :raises KeyboardInterrupt: where someone stopped it, after the stages have kept what they had
        """
        try:
            while True:
                self._start_ready()
                if not self.running:
                    break
                self.watch(self)
                time.sleep(POLL_SECONDS)
                for running in list(self.running):
                    if (ended := running.run.poll()) is not None:
                        self._end(running, ended)
        except BaseException:
            for running in self.running:
                running.run.ask_to_stop()
            for running in self.running:
                running.run.wait()
            raise
        finally:
            self.place.close()
        self.outcome.blocked = self.waiting
        return self.outcome

    def _start_ready(self) -> None:
        done = {cell.key for cell in self.outcome.done}
        free = self.place.cores() - sum(self._cores(running.cell) for running in self.running)
        for cell in self.waiting:
            needed = self._cores(cell)
            if free < needed and self.running:  # what needs more than there is runs alone
                return
            if done.issuperset(cell.after):
                self._start(cell, needed)
                free -= needed

    def _start(self, cell: Cell, cores: int = 1) -> None:
        self.running.append(Running(cell, self.place.start(cell, cores), time.monotonic()))
        self._tell("begins", cell)

    def _end(self, running: Running, ended: Ended) -> None:
        self.running.remove(running)
        cell = running.cell
        counted = self._losses if ended.lost else self._failures
        counted[cell.key] = counted.get(cell.key, 0) + 1
        if ended.code == 0 and cell.is_done(self.folder):
            minutes = (time.monotonic() - running.started) / 60
            self._taken.setdefault(cell.stage.kind, []).append((minutes, self._declared(cell)))
            self.outcome.done.append(cell)
            self._tell("done", cell)
        elif ended.code != WRONG and counted[cell.key] < (LOST_TRIES if ended.lost else TRIES):
            self._tell("lost with its machine, tries again" if ended.lost else "failed, tries again", cell)
        else:
            self.outcome.failed[cell.key] = self._reason(cell, ended)
            self._tell("FAILED", cell, f": {self.outcome.failed[cell.key]} ({log_of(self.folder, cell)})")

    def _reason(self, cell: Cell, ended: Ended) -> str:
        log = log_of(self.folder, cell)
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
        return lines[-1] if lines else f"exit code {ended.code}"

    def _tell(self, what: str, cell: Cell, more: str = "") -> None:
        eta = "" if more or self.unknown() else f", about {self.minutes_left():.0f} min left"
        self.say(f"{len(self.outcome.done)} of {len(self.cells)}{eta} | {what}: {cell.name}{more}")
