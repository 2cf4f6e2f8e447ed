"""Ctrl-C, SIGTERM and SIGHUP end a command alike: what there is gets saved, and one line says what was kept."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from simpl_sb3.errors import DivergenceError, EnvironmentSpecError

__all__ = ["Stopped", "exit_code", "going_on", "kept_text", "stop_signals", "told_by_threads"]

GOING_ON = "The checkpoints in {} are whole: the same command goes on from the last; --overwrite starts again."
NOT_YET = "There is no checkpoint to go on from: the same command starts again, with other settings by --overwrite."
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """
    A signal asked the process to end; it passes through like Ctrl-C.

    :param number: of the signal
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stop_signals() -> Iterator[None]:
    """
    Within it, Ctrl-C, SIGTERM and SIGHUP raise :class:`Stopped`, the first time; a second one does not disturb what is
    being saved. Signals that were ignored (``nohup``) stay so. Outside the main thread it changes nothing.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def told_by_threads() -> Iterator[None]:
    """A thread that the file system stops, such as a log's writer on a full disk, tells it in one line."""
    before = threading.excepthook

    def tell(failed: threading.ExceptHookArgs) -> None:
        if isinstance(failed.exc_value, OSError):
            sys.stderr.write(f"A thread ended: {failed.exc_value}\n")
        else:
            before(failed)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def going_on(folder: Path, pattern: str) -> Iterator[None]:
    """
    Adds to errors that end the work, and leave its checkpoints as they are, how it goes on: a full disk, too little
    memory, learning that diverged, an environment that failed.

    :param folder: where checkpoints are written
    :param pattern: of their names
    """
    try:
        yield
    except (OSError, MemoryError, DivergenceError, EnvironmentSpecError) as error:
        error.add_note(GOING_ON.format(folder) if any(folder.glob(pattern)) else NOT_YET)
        raise


def exit_code(stop: KeyboardInterrupt) -> int:
    """What a shell expects: 128 and the signal's number, 130 for Ctrl-C."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


def kept_text(stop: KeyboardInterrupt) -> str:
    """The notes that stages added (``add_note``): what was kept, and how to go on."""
    return " ".join(getattr(stop, "__notes__", [])) or "nothing was kept: run the same command again"
