"""How torch computes: the precision of float32 matrix products, set for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch as th

__all__ = ["matmul_precision"]


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """
    Precision of float32 matrix products inside a ``with`` block or a decorated function; torch knows it for the whole
    process only.

    :param precision: torch's name: "highest" (float32), "high", or "medium" (bfloat16 where the CPU has it)
    """
    before = th.get_float32_matmul_precision()
    if before == precision:
        yield
        return
    th.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        th.set_float32_matmul_precision(before)
