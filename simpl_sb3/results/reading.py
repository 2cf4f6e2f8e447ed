"""Files of unknown origin: their sizes are bounded before memory is taken, and any failure is one ``ResultsError``."""

import csv
import io
import os
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simpl_sb3.errors import ResultsError
from simpl_sb3.npz import read_array
from simpl_sb3.seals import open_zip

__all__ = ["cell_number", "read_arrays", "read_bytes", "read_log"]

MAX_TEXT_BYTES = 200_000_000
MAX_ARCHIVE_BYTES = 500_000_000
MAX_UNPACKED_BYTES = 2_000_000_000
MAX_LOG_LINES = 1_000_000

Arrays = dict[str, npt.NDArray[Any]]


def read_bytes(path: str | os.PathLike[str], what: str, at_most: int = MAX_TEXT_BYTES) -> bytes:
    """
    :param path: a regular file
    :param what: its expected content, for messages
    :param at_most: largest size, bytes
    :return: the file's content
    :raises ResultsError: for a file that is missing, larger, or no regular file
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise ResultsError(f"cannot read {path} (it is no regular file); expected {what}")
        if (size := path.stat().st_size) > at_most:
            raise ResultsError(f"{path} has {size} bytes; expected {what} of at most {at_most}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, ResultsError):
            raise
        reason = error.strerror if isinstance(error, OSError) else None
        raise ResultsError(f"cannot read {path} ({reason or error}); expected {what}") from error


def read_arrays(
    path: str | os.PathLike[str], what: str, kinds: Mapping[str, tuple[str, int]], optional: Sequence[str] = ()
) -> Arrays:
    """
    :param path: an ``.npz``
    :param what: its expected content, for messages
    :param kinds: of each array: the letters of NumPy's ``dtype.kind`` that it may have, and its number of axes
    :param optional: arrays that may be missing
    :return: the arrays that are there
    :raises ResultsError: for a file that is missing, too large, something else, or holds arrays of other kinds
    """
    content = io.BytesIO(read_bytes(path, f"an .npz of {what}", MAX_ARCHIVE_BYTES))
    needed = [key for key in kinds if key not in optional]
    try:
        with open_zip(content) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
            if missing := [key for key in needed if key not in sizes]:
                raise ResultsError(f"without {', '.join(missing)}")
            if sum(sizes[key] for key in kinds if key in sizes) > MAX_UNPACKED_BYTES:
                raise ResultsError(f"more than {MAX_UNPACKED_BYTES} bytes")
            arrays = {key: read_array(archive, key) for key in kinds if key in sizes}
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ResultsError(f"{path} holds no {what} ({reason}); expected the keys {', '.join(needed)}") from error
    for key, values in arrays.items():
        letters, axes = kinds[key]
        if values.dtype.kind not in letters or values.ndim != axes:
            names = " or ".join(
                {"i": "whole numbers", "f": "numbers", "U": "text", "b": "flags"}[k] for k in letters[:1]
            )
            raise ResultsError(
                f"{path}: {key} is {values.dtype} of shape {values.shape}; expected {names} with {axes} axes"
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ResultsError(f"{path}: {key} holds NaN or infinity; expected finite numbers")
    return arrays


def read_log(log: str | os.PathLike[str], names: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    """
    :param log: a ``progress.csv`` of Stable-Baselines3's logger
    :param names: of columns
    :return: the values of those that it has, in their order; NaN where a cell holds no number
    :raises ResultsError: for a file that is no log
    """
    text = read_bytes(log, "a progress.csv").decode("utf-8", errors="replace")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        found = {name: array("d") for name in names if name in (reader.fieldnames or ())}
        for line, row in enumerate(reader, start=1):
            if line > MAX_LOG_LINES:
                raise ResultsError(f"{log} has more than {MAX_LOG_LINES} lines; expected a log of Stable-Baselines3")
            for name, values in found.items():
                values.append(cell_number(row[name]))
    except csv.Error as error:
        raise ResultsError(f"{log}: {error}; expected a log of Stable-Baselines3") from error
    return {name: np.array(values) for name, values in found.items()}


def cell_number(text: str | None) -> float:
    """The number in a cell of a log; NaN where it holds none."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
