"""
Ours and a reference in turn, A B A B ... A: each half of ours is compared to the mean of the halves before and after,
so that a neighbour on the machine, or a clock that drifts, hits both alike.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["Half", "Timed", "load", "paired", "repeated", "spread", "timed"]

Half = Callable[[], float]
"""Does some work, and returns how much (env steps, multiplications)."""


@dataclass(frozen=True)
class Timed:
    """
    One half, measured.

    :param work: what it did
    :param seconds: on the clock
    :param processor: of all threads of this process, s
    """

    work: float
    seconds: float
    processor: float

    @property
    def rate(self) -> float:
        """Work per second on the clock."""
        return self.work / self.seconds

    @property
    def processor_rate(self) -> float:
        """Work per second of processor time."""
        return self.work / max(self.processor, 1e-9)


def timed(half: Half) -> Timed:
    """Run a half once and measure it."""
    clock, processor = time.perf_counter(), time.process_time()
    work = half()
    return Timed(work, time.perf_counter() - clock, time.process_time() - processor)


def repeated(half: Half, seconds: float) -> tuple[Half, int, float]:
    """
    A half that takes about so long: as many repetitions of another one as were found to fit, at least one.

    :param half: is run twice to find out, or once where that takes longer than all repetitions may
    :param seconds: on the clock
    :return: the half, how often it runs the other one, and the seconds of each time
    """
    once = timed(half).seconds  # whatever is made at the first call included
    if once < seconds:
        once = max(timed(half).seconds, 1e-6)
    times = max(1, round(seconds / once))
    return lambda: sum(half() for _ in range(times)), times, once


def spread(values: Sequence[float]) -> dict[str, float]:
    """
    Median, quartiles and extremes.

    :raises ValueError: for no values, or one that is not a finite number
    """
    if not len(values) or not all(map(math.isfinite, values)):
        raise ValueError(f"Expected one or more finite numbers, got {list(values)}")
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {
        "median": float(middle),
        "low": float(low),
        "high": float(high),
        "min": float(min(values)),
        "max": float(max(values)),
        "n": len(values),
    }


def paired(ours: Sequence[Timed], reference: Sequence[Timed]) -> dict[str, Any]:
    """
    Ratios of ours to the reference, pair by pair.

    :param ours: n halves
    :param reference: n + 1 halves, those around ours
    :return: ``ratio`` by the clock and ``processor_ratio`` by processor time, each a :func:`spread`; the rates
    :raises ValueError: for other numbers of halves
    """
    if len(reference) != len(ours) + 1:
        raise ValueError(f"Expected {len(ours) + 1} halves of the reference around {len(ours)}, got {len(reference)}")
    by = {"ratio": "rate", "processor_ratio": "processor_rate"}
    found: dict[str, Any] = {}
    for name, rate in by.items():
        around = [getattr(each, rate) for each in reference]
        means = [(before + after) / 2 for before, after in pairwise(around)]
        found[name] = spread([getattr(half, rate) / mean for half, mean in zip(ours, means, strict=True)])
    found["ours_rate"] = spread([half.rate for half in ours])
    found["reference_rate"] = spread([half.rate for half in reference])
    return found


def load() -> float:
    """Processes that ran or waited to run, mean of the last minute; 0 where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0
