"""Flat arrays of float32, in memory, or in files that memory has not to hold."""

import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

__all__ = ["BLOCK", "Rows", "blocks", "folder_for"]

BLOCK = 262_144
"""Rows that are read at once."""
MEMORY_SHARE = 0.25
"""Of the machine's memory, what a dataset may take."""


class Rows:
    """
    Rows of float32 that become one array, (N, width).

    :param width: numbers in a row
    :param folder: where the array is kept, in a file without a name; None for memory
    """

    def __init__(self, width: int, folder: str | Path | None) -> None:
        self._width, self._parts = width, list[np.ndarray]()
        self._file = None if folder is None else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below

    def add(self, rows: np.ndarray) -> None:
        if self._file is None:
            self._parts.append(rows)
        else:
            self._file.write(np.ascontiguousarray(rows, np.float32).data)

    def together(self) -> np.ndarray:
        if self._file is None:
            return np.concatenate(self._parts)
        with self._file as file:
            file.flush()
            return np.memmap(file, np.float32, "c").reshape(-1, self._width)


def blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in blocks that fit into memory, in their order."""
    for start in range(0, len(rows), BLOCK):
        yield np.asarray(rows[start : start + BLOCK])


def folder_for(size: int, beside: Path, in_memory: bool | None) -> Path | None:
    """
    :param size: of the dataset, bytes
    :param beside: the folder to prefer, where it may be written to
    :param in_memory: what was asked; None goes by this machine's memory
    :return: where to keep the arrays; None for memory
    """
    if in_memory is None:
        in_memory = size <= MEMORY_SHARE * _physical_memory()
    if in_memory:
        return None
    return beside if os.access(beside, os.W_OK) else Path(tempfile.gettempdir())


def _physical_memory() -> float:
    """Bytes; without a bound where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf
