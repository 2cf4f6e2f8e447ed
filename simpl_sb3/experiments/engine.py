"""
The stages of a grid in processes of their own: what is done is never done again, what waits is started once it can be,
what fails is tried once more and told, and what was interrupted goes on with the same command.

A process runs one stage, ``python -m simpl_sb3.experiments.engine FOLDER FILE``, with the grid's folder as its working
folder and one thread for matrix products unless the user has chosen otherwise.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from simpl_sb3.errors import SimplError
from simpl_sb3.experiments.grid import Cell
from simpl_sb3.experiments.row_file import goes_on
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import run_stage
from simpl_sb3.experiments.stopping import exit_code, kept_text, stop_signals
from simpl_sb3.files import write_atomically

__all__ = ["Engine", "Outcome"]

LOGS = "logs"
TRIES = 2
WRONG = 2  # exit code of a stage that can never run: trying again would not help
POLL_SECONDS = 0.2
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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


@dataclass
class _Run:
    cell: Cell
    process: "subprocess.Popen[bytes]"
    started: float


class Engine:
    """
    Runs cells, some at a time.

    :param cells: each after those that it waits for
    :param folder: the grid's
    :param workers: processes at a time
    :param minutes: expected, by kind of stage
    :param device: torch device
    :param say: is told what begins and ends
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        folder: Path,
        workers: int = 1,
        minutes: Mapping[str, float] | None = None,
        device: str = "auto",
        say: Callable[[str], None] = print,
    ) -> None:
        self.cells, self.folder, self.workers, self.device, self.say = list(cells), folder, workers, device, say
        self.minutes = dict(minutes or {})
        self.outcome = Outcome([cell for cell in self.cells if cell.is_done(folder)])
        self._taken: dict[str, list[float]] = {}  # seconds by kind
        self._tries: dict[str, int] = {}
        self._running: list[_Run] = []

    @property
    def waiting(self) -> list[Cell]:
        """Cells that have not begun."""
        over = {cell.key for cell in self.outcome.done} | set(self.outcome.failed)
        over |= {run.cell.key for run in self._running}
        return [cell for cell in self.cells if cell.key not in over]

    def minutes_left(self) -> float:
        """What the cells that are not done take on all workers, as far as is known of their kinds."""
        left = [*self.waiting, *(run.cell for run in self._running)]
        return sum(self._expected(cell.stage.kind) or 0.0 for cell in left) / self.workers

    def unknown(self) -> list[str]:
        """Kinds of stages of which nobody knows yet how long they take."""
        return sorted({cell.stage.kind for cell in self.waiting if self._expected(cell.stage.kind) is None})

    def _expected(self, kind: str) -> float | None:
        taken = self._taken.get(kind)
        return sum(taken) / len(taken) / 60 if taken else self.minutes.get(kind)

    def run(self) -> Outcome:
        """
        Work until nothing more can be done.

        :raises KeyboardInterrupt: where someone stopped it, after the processes have kept what they had
        """
        try:
            while True:
                self._start_ready()
                if not self._running:
                    break
                time.sleep(POLL_SECONDS)
                for run in [run for run in self._running if run.process.poll() is not None]:
                    self._end(run)
        except BaseException:
            self._stop()
            raise
        self.outcome.blocked = self.waiting
        return self.outcome

    def _start_ready(self) -> None:
        done = {cell.key for cell in self.outcome.done}
        for cell in self.waiting:
            if len(self._running) >= self.workers:
                return
            if done.issuperset(cell.after):
                self._start(cell)

    def _start(self, cell: Cell) -> None:
        for part in (LOGS, Path(cell.stage.output).parent):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        file = self.folder / LOGS / f"{cell.key}.json"
        write_atomically(file, cell.stage.as_json().encode())
        threads = {} if any(name in os.environ for name in THREADS) else {"OMP_NUM_THREADS": "1"}
        with self._log(cell).open("ab") as log:
            process = subprocess.Popen(
                self.command(file),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **threads},
                start_new_session=True,  # a Ctrl-C reaches this process alone, which asks them once
            )
        self._running.append(_Run(cell, process, time.monotonic()))
        self._tries[cell.key] = self._tries.get(cell.key, 0) + 1
        self._tell("begins", cell)

    def command(self, file: Path) -> list[str]:
        """The command line of a process that runs the stage of a file."""
        return [sys.executable, "-m", __name__, os.fspath(self.folder), os.fspath(file), self.device]

    def _log(self, cell: Cell) -> Path:
        return self.folder / LOGS / f"{cell.key}.log"

    def _end(self, run: _Run) -> None:
        self._running.remove(run)
        cell, code = run.cell, run.process.returncode
        if code == 0 and cell.is_done(self.folder):
            self._taken.setdefault(cell.stage.kind, []).append(time.monotonic() - run.started)
            self.outcome.done.append(cell)
            self._tell("done", cell)
        elif code == WRONG or self._tries[cell.key] >= TRIES:
            lines = self._log(cell).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            self.outcome.failed[cell.key] = lines[-1] if lines else f"exit code {code}"
            self._tell("FAILED", cell, f": {self.outcome.failed[cell.key]} ({self._log(cell)})")
        else:
            self._tell("failed, tries again", cell)

    def _stop(self) -> None:
        """Ask what runs to end, and wait until it has kept what it has."""
        for run in self._running:
            with suppress(OSError):
                run.process.send_signal(signal.SIGTERM)
        for run in self._running:
            run.process.wait()

    def _tell(self, what: str, cell: Cell, more: str = "") -> None:
        eta = "" if more or self.unknown() else f", about {self.minutes_left():.0f} min left"
        self.say(f"{len(self.outcome.done)} of {len(self.cells)}{eta} | {what}: {cell.name}{more}")


def work(folder: str, file: str, device: str) -> None:
    """Run the stage of a file; an error of the library is one line and exit code 2."""
    text = Path(file).read_text(encoding="utf-8")
    os.chdir(folder)
    stage = Stage.from_json(text)
    begun_elsewhere = stage.kind == "adapt" and Path(stage.output).exists() and not goes_on(stage)
    try:
        with stop_signals():
            run_stage(stage, RunOptions(device=device, overwrite=begun_elsewhere))
    except SimplError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(WRONG) from None
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"interrupted; {kept_text(stop)}\n")
        raise SystemExit(exit_code(stop)) from None


if __name__ == "__main__":
    work(*sys.argv[1:])
