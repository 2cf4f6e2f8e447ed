"""
Where the stages of a grid run: what the engine asks of such a place, and processes on this machine.

::

    place = Processes(folder, workers=2)
    run = place.start(cell)          # at once
    while (ended := run.poll()) is None: ...
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simpl_sb3.experiments.grid import Cell
from simpl_sb3.files import write_atomically

__all__ = ["LOGS", "Ended", "Place", "Processes", "Run", "log_of", "stage_command", "start_process"]

LOGS = "logs"
WORKER = "simpl_sb3.experiments.worker"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Ended:
    """
    How a stage ended.

    :param code: exit code of its process, negative for a signal
    :param lost: whether it went down with its machine, which says nothing of the stage
    """

    code: int
    lost: bool = False


class Run(Protocol):
    """A stage that has begun."""

    def poll(self) -> Ended | None:
        """How it ended; None while it runs. Its results and its log are in the grid's folder then."""

    def ask_to_stop(self) -> None:
        """Let it keep what it has, and end; returns at once."""

    def wait(self) -> None:
        """Until it has ended."""


class Place(Protocol):
    """Somewhere that stages run."""

    def cores(self) -> int:
        """How many there are; of stages that run at a time, each takes some."""

    def start(self, cell: Cell, cores: int) -> Run:
        """Let a stage begin, on so many cores."""

    def close(self) -> None:
        """Called once, when nothing runs any more."""


def log_of(folder: Path, cell: Cell) -> Path:
    """Where a grid keeps what a stage's process wrote."""
    return folder / LOGS / f"{cell.key}.log"


def stage_command(folder: Path, file: Path, device: str, asked: Sequence[str], module: str = WORKER) -> list[str]:
    """
    The command line of a process that runs the stage of a file.

    :param asked: program and arguments of whoever wants it, which the records of the stage will name
    :param module: what runs it
    """
    return [sys.executable, "-m", module, os.fspath(folder), os.fspath(file), device, *asked]


def start_process(command: list[str], log: Path, cores: int) -> "subprocess.Popen[bytes]":
    """
    A process that writes to a log and ends with this one, whatever becomes of it (see ``worker``).

    :param cores: threads of matrix products, unless the user has chosen otherwise
    """
    threads = {} if any(name in os.environ for name in THREADS) else {"OMP_NUM_THREADS": str(cores)}
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            env={**os.environ, **threads},
            start_new_session=True,  # a Ctrl-C reaches this process alone, which asks them once
        )


class _Process:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def poll(self) -> Ended | None:
        if (code := self.process.poll()) is None:
            return None
        self._let_go()
        return Ended(code)

    def ask_to_stop(self) -> None:
        with suppress(OSError):
            self.process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        self.process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()


class Processes:
    """
    Processes on this machine.

    :param folder: the grid's
    :param workers: cores to use
    :param device: torch device of each stage
    """

    def __init__(self, folder: Path, workers: int = 1, device: str = "auto") -> None:
        self.folder, self.workers, self.device = folder, workers, device

    def cores(self) -> int:
        """As asked for."""
        return self.workers

    def start(self, cell: Cell, cores: int) -> Run:
        """A process, whose working folder is the grid's."""
        for part in (LOGS, Path(cell.stage.output).parent):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        file = self.folder / LOGS / f"{cell.key}.json"
        write_atomically(file, cell.stage.as_json().encode())
        return _Process(start_process(self.command(file), log_of(self.folder, cell), cores))

    def command(self, file: Path) -> list[str]:
        """What is run for the stage of a file."""
        return stage_command(self.folder, file, self.device, sys.argv)

    def close(self) -> None:
        """Nothing to do: no process is left."""
