"""How a cost grows: fitted to times or bytes over several sizes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["growth"]


def growth(sizes: Sequence[float], costs: Sequence[float]) -> dict[str, Any]:
    """
    Two descriptions of a cost: ``fixed + each * size``, fitted to relative errors and neither below 0, and the power of
    the size that it grows with.

    :param sizes: two or more different ones, above 0
    :param costs: above 0, one of each size
    :return: ``fixed``, ``each``, ``worst`` (the largest relative error of that line), ``power`` and ``power_error``
        (standard error of the power; None for two sizes)
    :raises ValueError: for fewer than two sizes, or numbers that are not above 0
    """
    x, y = np.asarray(sizes, float), np.asarray(costs, float)
    if x.shape != y.shape or len(np.unique(x)) < 2 or not (x > 0).all() or not (y > 0).all():
        raise ValueError(f"Expected costs above 0 of two or more sizes above 0, got {list(costs)} of {list(sizes)}")
    fixed, each = _line(x, y)
    logs = np.log(x) - np.log(x).mean()
    power = float(logs @ np.log(y) / (logs @ logs))
    left = np.log(y) - np.log(y).mean() - power * logs
    error = None if len(x) < 3 else float(np.sqrt(left @ left / (len(x) - 2) / (logs @ logs)))
    worst = float(np.max(np.abs(fixed + each * x - y) / y))
    return {"fixed": fixed, "each": each, "worst": worst, "power": power, "power_error": error}


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Least squares of relative errors, neither number below 0."""
    candidates = [(float((1 / y).sum() / (1 / y**2).sum()), 0.0), (0.0, float((x / y).sum() / (x**2 / y**2).sum()))]
    columns = np.column_stack([1 / y, x / y])
    both = np.linalg.lstsq(columns, np.ones(len(y)), rcond=None)[0]
    if (both >= 0).all():
        candidates.append((float(both[0]), float(both[1])))
    return min(candidates, key=lambda line: float(np.square((line[0] + line[1] * x) / y - 1).sum()))
