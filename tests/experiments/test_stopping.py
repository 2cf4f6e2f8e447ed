"""Signals that end a process pass through it like Ctrl-C."""

import os
import signal
import threading

import pytest

from simpl_sb3.experiments.stopping import Stopped, exit_code, kept_text, stop_signals


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
    assert isinstance(caught.value, Stopped) == (number != signal.SIGINT)


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
