"""Arrays on disk: sealed ``.npz`` files of plain arrays, never a pickle, and no more memory than the file is long."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simpl_sb3.seals import open_zip, seal_zip

__all__ = ["arrays_of", "npz_bytes", "read_array"]


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Arrays as the bytes of a sealed ``.npz`` file, not packed."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return seal_zip(content.getvalue())


def arrays_of(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """
    What :func:`npz_bytes` wrote; never a pickle.

    :raises ValueError: for a damaged file, another kind, or one that unpacks to more than it is
    """
    with open_zip(io.BytesIO(content), packed=False) as archive:
        return {name: read_array(archive, name) for name in (each.removesuffix(".npy") for each in archive.namelist())}


def read_array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """
    One array of an ``.npz``; what its header declares is compared with its size before memory is taken.

    :raises ValueError: for a header that is none, or of more than there is, or of Python's objects
    """
    size = archive.getinfo(f"{name}.npy").file_size
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(member)
    declared = dtype.itemsize
    for axis in shape:
        declared *= axis
    if dtype.hasobject or min(shape, default=0) < 0 or declared > size:
        raise ValueError(f"{name} declares {dtype} of shape {shape} in {size} bytes")
    with archive.open(f"{name}.npy") as member:
        array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array
