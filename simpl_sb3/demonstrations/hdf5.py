"""Arrays of HDF5 files whose origin is unknown."""

from typing import Any

import h5py
import numpy as np

from simpl_sb3.errors import DatasetError

__all__ = ["read_numbers"]

MAX_SMALL, MAX_PACKED = 1 << 26, 200
"""An array beyond so many bytes may be so many times its size on disk."""


def read_numbers(place: str, data: Any, kinds: str = "fiu") -> np.ndarray:
    """
    An array of an HDF5 file.

    :param place: where it is, for messages
    :param data: what lies there
    :param kinds: letters of NumPy's ``dtype.kind`` that it may have
    :raises DatasetError: for a group in place of an array, numbers of another kind, or far more of them than the file
        has bytes
    """
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in kinds:
        what = f"numbers of type {data.dtype}" if isinstance(data, h5py.Dataset) else "a group"
        raise DatasetError(f"{place}: {data.name} is {what}, expected an array of real numbers")
    stored = data.id.get_storage_size()
    if data.nbytes > max(MAX_SMALL, MAX_PACKED * stored):
        raise DatasetError(
            f"{place}: {data.name} is said to have {data.nbytes} bytes, and the file has {stored} of them"
        )
    return np.asarray(data[()])
