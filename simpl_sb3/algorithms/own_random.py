"""torch's random generators of one session: what the process draws in between does not change them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch as th

__all__ = ["OwnRandom", "cuda_of", "one_at_a_time"]

one_at_a_time = threading.RLock()
"""torch's generator and its precision belong to the process: threads that change them wait for each other."""


class OwnRandom:
    """
    torch's random generators of one session.

    :param device: whose generator is kept besides the CPU's
    :param seed: None takes one from the process's generator
    """

    def __init__(self, device: th.device, seed: int | None) -> None:
        self._devices = cuda_of(device)
        number = int(th.randint(2**63 - 1, ())) if seed is None else seed
        with one_at_a_time, th.random.fork_rng(devices=self._devices):
            th.manual_seed(number)
            self.states = self._now()

    def _now(self) -> list[th.Tensor]:
        return [th.get_rng_state(), *(th.cuda.get_rng_state(device) for device in self._devices)]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """These generators in place of the process's, for one thread at a time."""
        with one_at_a_time, th.random.fork_rng(devices=self._devices):
            th.set_rng_state(self.states[0])
            for device, state in zip(self._devices, self.states[1:], strict=True):
                th.cuda.set_rng_state(state, device)
            try:
                yield
            finally:
                self.states = self._now()


def cuda_of(device: th.device) -> list[th.device]:
    """The device, where it has a generator besides the CPU's."""
    return [device] if device.type == "cuda" else []
