"""Environments in processes of their own: one that died or hangs is told in one error, not by silence."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.errors import EnvironmentSpecError
from simpl_sb3.skills.asking import in_processes

__all__ = ["WORKER_SECONDS", "answering"]

WORKER_SECONDS = 600.0
"""That the processes of a ``SubprocVecEnv`` may take for one skill; then they are ended."""


@contextmanager
def answering(env: VecEnv) -> Iterator[None]:
    """
    To be entered around what asks environments. Where these are no processes it changes nothing.

    :raises EnvironmentSpecError: where a process ended, or gave no answer for ``WORKER_SECONDS``
    """
    bare: Any = env.unwrapped
    processes = in_processes(env)
    if not processes:
        yield
        return
    late = threading.Event()

    def end() -> None:
        late.set()
        for process in processes:
            process.kill()

    timer = threading.Timer(WORKER_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (EOFError, ConnectionError) as error:
        why = (
            f"gave no answer for {WORKER_SECONDS:g} s, and was ended: it hangs"
            if late.is_set()
            else "ended: its own error stands above, or it was killed"
        )
        bare.waiting = False  # else close() would wait for an answer
        raise EnvironmentSpecError(
            f"A process of an environment {why}. What was learned until then is in the model: save it, or load the "
            "last checkpoint, with new environments."
        ) from error
    finally:
        timer.cancel()
