"""How and where torch computes: the precision of float32 matrix products, set for a while, and the device."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch as th
from stable_baselines3.common.utils import get_device

from simpl_sb3.errors import SettingsError
from simpl_sb3.threads import small_products

__all__ = ["checked_device", "inference", "matmul_precision"]


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


@contextmanager
def inference() -> Iterator[None]:
    """
    For whatever asks networks for numbers, in a ``with`` block or a decorated function: no gradients, products in
    float32 so that the numbers are the same everywhere, and on one thread, since they are small.
    """
    with th.no_grad(), small_products(), matmul_precision("highest"):
        yield


def checked_device(device: th.device | str) -> th.device:
    """
    The device of a name; a GPU that is not there is warned of, and the CPU taken, as SB3 does without a word.

    :raises SettingsError: for a device that torch does not know, or that this machine does not have
    """
    if not isinstance(device, str | th.device):  # a number is a CUDA device to some builds of torch
        raise SettingsError(f"device is {device!r}: expected auto, cpu, cuda or cuda:N, as a text or a torch device.")
    try:
        found = get_device(device)
        float(th.zeros(1, device=found))  # "meta" has no numbers, "mps" and others may not be there
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
        reason = str(error).split(" device type at start")[0].splitlines()[0]
        raise SettingsError(f"device is {device!r}: expected auto, cpu, cuda or cuda:N ({reason}).") from None
    if str(device).startswith("cuda") and found.type != "cuda":
        warnings.warn(f"device is {str(device)!r}, and torch finds no CUDA device here: the CPU is used.", stacklevel=2)
    return found
