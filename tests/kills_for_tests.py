"""Processes of their own, which end abruptly."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from simpl_sb3.experiments.stage import Stage

CODE = """
import sys
import simpl_sb3.experiments.running as running
running.CHECKPOINT_SECONDS = 0.0
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import run_stage
run_stage(Stage.from_json(sys.stdin.read()), RunOptions(device="cpu"))
"""


class Killed(Exception):
    """In place of a kill, where one process plays several."""


def counter(kill_at: int | None) -> Callable[[], int]:
    """
    Counts its calls.

    :param kill_at: calls before it raises :class:`Killed`; None for never
    """
    written = 0

    def count() -> int:
        nonlocal written
        if kill_at is not None and written >= kill_at:
            raise Killed
        written += 1
        return written

    return count


def run_and_kill(stage: Stage, when: Callable[[], bool]) -> None:
    """Kill the process (SIGKILL) as soon as something is the case."""
    process = subprocess.Popen([sys.executable, "-c", CODE], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(stage.as_json())
    process.stdin.close()
    process.stdin = None
    while not when():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -9


def write_half(path: Path) -> None:
    """Begin to write a file in a process that is killed before it is whole (SIGKILL)."""
    code = (
        "import os, sys\nfrom simpl_sb3 import files\nos.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "files.write_atomically(sys.argv[1], b'half')"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert result.returncode == -9
