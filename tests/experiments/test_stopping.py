"""Signals that end a process pass through it like Ctrl-C."""

import os
import signal
import threading
from pathlib import Path

import pytest

from simpl_sb3.errors import DivergenceError
from simpl_sb3.experiments.stopping import Stopped, exit_code, going_on, kept_text, stop_signals, told_by_threads


def stop_by(number: int) -> None:
    with stop_signals():
        os.kill(os.getpid(), number)
        signal.sigtimedwait([], 1)  # the handler runs at the next bytecode


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_each_ends_with_the_code_that_shells_expect(number: int, code: int) -> None:
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL  # a background job ignores SIGINT
    before = signal.signal(number, usual)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            stop_by(number)
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, before)
    assert exit_code(caught.value) == code
    assert isinstance(caught.value, Stopped)


def test_a_second_one_does_not_disturb_what_is_being_saved() -> None:
    saved = []
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}

    def stopped_twice() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 1)
        except KeyboardInterrupt:
            for number in before:
                os.kill(os.getpid(), number)
                signal.sigtimedwait([], 0.01)
            saved.append("all")
            raise

    try:
        with pytest.raises(Stopped), stop_signals():
            stopped_twice()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert saved == ["all"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), DivergenceError("NaN")])
def test_errors_that_end_the_work_say_how_it_goes_on(error: Exception, tmp_path: Path) -> None:
    """By the last checkpoint, or from the start where there is none."""
    for expected in (
        "There is no checkpoint to go on from: the same command starts again",
        "the same command goes on from",
    ):
        with pytest.raises(type(error)) as caught, going_on(tmp_path, "state_*"):
            raise type(error)(*error.args)
        (note,) = caught.value.__notes__
        assert expected in note
        (tmp_path / "state_1").touch()


def test_what_is_ignored_stays_ignored_and_other_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop_by(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    handlers = []

    def look() -> None:
        with stop_signals():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]


def test_stages_note_what_was_kept() -> None:
    stop = KeyboardInterrupt()
    assert kept_text(stop).startswith("nothing was kept")
    stop.add_note("3 episodes are in rows.csv.")
    assert kept_text(stop) == "3 episodes are in rows.csv."


def test_a_thread_that_the_file_system_stops_says_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """As TensorBoard's writer on a full disk; other errors go where they went."""
    foreign: list[BaseException | None] = []
    before = threading.excepthook
    threading.excepthook = lambda failed: foreign.append(failed.exc_value)
    try:
        with told_by_threads():
            for error in (OSError(28, "No space left on device"), ValueError("another")):
                thread = threading.Thread(target=_raise, args=[error])
                thread.start()
                thread.join()
        assert threading.excepthook is not before
    finally:
        threading.excepthook = before
    assert capsys.readouterr().err == "A thread ended: [Errno 28] No space left on device\n"
    assert [str(error) for error in foreign] == ["another"]


def _raise(error: Exception) -> None:
    raise error
