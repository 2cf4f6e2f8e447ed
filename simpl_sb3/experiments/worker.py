"""
The process of one stage: ``python -m simpl_sb3.experiments.worker FOLDER FILE DEVICE [ASKED ...]``.

It works in the grid's folder, runs the stage of a JSON file, and ends as if someone had asked it to (SIGTERM) once its
standard input closes: whoever started it holds the other end, and a kill of that process closes it. ASKED is the
command of the grid, which the stage's records name.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from simpl_sb3.errors import SimplError
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import run_stage
from simpl_sb3.experiments.stopping import exit_code, kept_text, stop_signals

__all__ = ["WRONG", "end_with_parent", "work"]

WRONG = 2
"""Exit code of a stage that can never run: trying again would not help."""


def end_with_parent(descriptor: int = 0) -> threading.Thread:
    """
    From now on, a SIGTERM to this process as soon as a pipe closes.

    :param descriptor: of the pipe's reading end; the parent holds the other one and writes nothing
    """

    def watch() -> None:
        while os.read(descriptor, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def work(folder: str, file: str, device: str) -> None:
    """Run the stage of a file; an error of the library is one line and exit code 2."""
    text = Path(file).read_text(encoding="utf-8")
    os.chdir(folder)
    stage = Stage.from_json(text)
    from simpl_sb3.experiments.row_file import goes_on  # it needs torch, and this module is read for --help

    begun_elsewhere = stage.kind == "adapt" and Path(stage.output).exists() and not goes_on(stage)
    try:
        with stop_signals():
            end_with_parent()
            run_stage(stage, RunOptions(device=device, overwrite=begun_elsewhere))
    except SimplError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(WRONG) from None
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"interrupted; {kept_text(stop)}\n")
        raise SystemExit(exit_code(stop)) from None


if __name__ == "__main__":
    folder, file, device, *asked = sys.argv[1:]
    sys.argv[:] = asked or sys.argv[:1]  # what it does, it does for that command
    work(folder, file, device)
