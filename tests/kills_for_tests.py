"""Processes of their own, which end abruptly."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from simpl_sb3.experiments.stage import Stage

CODE = """
import os
import sys
from fnmatch import fnmatch
from pathlib import Path

import simpl_sb3.experiments.running as running
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import run_stage

pattern, left = sys.argv[1], int(sys.argv[2])
replace = Path.replace

def count(self, target):
    global left
    moved = replace(self, target)
    left -= fnmatch(Path(target).name, pattern)
    if left <= 0:
        os.kill(os.getpid(), 9)
    return moved

Path.replace = count
running.CHECKPOINT_SECONDS = 0.0
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


def run_and_kill(stage: Stage, pattern: str, number: int) -> None:
    """Run a stage in a process that is killed (SIGKILL) once it has written so many files of such a name."""
    command = [sys.executable, "-c", CODE, pattern, str(number)]
    ended = subprocess.run(command, input=stage.as_json(), capture_output=True, text=True, check=False)
    assert ended.returncode == -9, ended.stderr


def write_half(path: Path) -> None:
    """Begin to write a file in a process that is killed before it is whole (SIGKILL)."""
    code = (
        "import os, sys\nfrom simpl_sb3 import files\nos.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "files.write_atomically(sys.argv[1], b'half')"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert result.returncode == -9
