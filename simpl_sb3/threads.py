"""
How many threads compute a matrix product: one where the product is small.

numpy's OpenBLAS and torch's OpenMP each keep a pool of threads, one per core, that wait for each other in a loop.
Products of a few hundred rows gain little by it, and beside one other busy process they wait for a thread that has no
core: collection falls from 38,000 to 2,000 env steps per second (benchmarks/threads.md). Nothing is changed by an
import, everything is as before at the end of a scope, and what a user has chosen stays.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import torch as th
from threadpoolctl import ThreadpoolController
from torch import nn

__all__ = ["LARGE_PRODUCT", "largest_layer", "small_products"]

LARGE_PRODUCT = 2**30
"""Multiplications in one matrix product, rows times inputs times outputs, from which on it is left to all threads."""

VARIABLES = {
    "torch": ("OMP_NUM_THREADS", "MKL_NUM_THREADS"),
    "openblas": ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS"),
    "mkl": ("OMP_NUM_THREADS", "MKL_NUM_THREADS"),
    "blis": ("OMP_NUM_THREADS", "BLIS_NUM_THREADS"),
}
"""By library: the environment variables by which a user chooses its threads. One that is set leaves it alone."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_TORCH_AT_IMPORT = th.get_num_threads()
_scope = threading.local()


@contextmanager
def small_products(multiplications: int = 0) -> Iterator[None]:
    """
    One thread for numpy's and torch's matrix products inside a ``with`` block or a decorated function.

    A library whose threads the user has chosen keeps them: by an environment variable (``OMP_NUM_THREADS``,
    ``OPENBLAS_NUM_THREADS``, ``MKL_NUM_THREADS``, ``BLIS_NUM_THREADS``), or by ``torch.set_num_threads``.

    Note: ``torch.set_num_threads(n)`` with the n that torch takes by itself cannot be told from no call; set
    ``OMP_NUM_THREADS`` for that.

    :param multiplications: in the largest product, rows times inputs times outputs; from ``LARGE_PRODUCT`` on nothing
        is changed
    """
    if multiplications >= LARGE_PRODUCT or getattr(_scope, "entered", False):
        yield
        return
    with ExitStack() as stack:
        _scope.entered = True
        stack.callback(setattr, _scope, "entered", False)
        before = th.get_num_threads()
        if before > 1 and not _torch_is_chosen(before):
            th.set_num_threads(1)
            stack.callback(th.set_num_threads, before)
        pools = _unchosen_pools(tuple(os.environ.get(name) for names in VARIABLES.values() for name in names))
        if pools is not None:
            stack.enter_context(pools.limit(limits=1))
        yield


def largest_layer(module: nn.Module) -> int:
    """Multiplications that one row costs in a module's largest layer; the layers of M members side by side count M."""
    return max((parameter.numel() for parameter in module.parameters()), default=0)


def _is_chosen(library: str) -> bool:
    return any(os.environ.get(name) for name in VARIABLES.get(library, ("OMP_NUM_THREADS",)))


def _torch_is_chosen(now: int) -> bool:
    """Whether a user has said how many threads torch has; torch takes one per core, or per physical core."""
    by_itself = {_cores(), _cores() // 2} & {_TORCH_AT_IMPORT}
    return _is_chosen("torch") or now not in by_itself


@cache
def _unchosen_pools(_environment: tuple[str | None, ...]) -> ThreadpoolController | None:
    """
    The pools of BLAS libraries that no environment variable speaks of; None where there is none. Finding them takes a
    millisecond, so they are kept.
    """
    found = ThreadpoolController().select(user_api="blas")
    chosen = {info["internal_api"] for info in found.info() if _is_chosen(info["internal_api"])}
    kept = found.select(internal_api=[name for name in VARIABLES if name not in chosen])
    return kept if kept.lib_controllers else None
