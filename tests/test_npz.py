"""Arrays on disk: what comes back, and headers that lie."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from simpl_sb3.npz import arrays_of, npz_bytes
from simpl_sb3.seals import seal_zip

ARRAYS: dict[str, Any] = {"a": np.arange(5), "text": np.array('{"b": 1}'), "none": np.zeros((0, 3), np.float32)}


def test_what_is_written_comes_back() -> None:
    found = arrays_of(npz_bytes(ARRAYS))
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].tolist()) == (array.dtype, array.tolist())


def with_header(shape: tuple[int, ...], kind: str) -> bytes:
    member, content = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": kind, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.npy", member.getvalue() + bytes(40))
    return seal_zip(content.getvalue())


@pytest.mark.parametrize(("shape", "kind"), [((10**12,), "<f4"), ((-1,), "<f4"), ((2,), "|O"), ((1,), "<U999999")])
def test_headers_that_lie_cost_no_memory(shape: tuple[int, ...], kind: str) -> None:
    with pytest.raises(ValueError, match="a declares"):
        arrays_of(with_header(shape, kind))


def test_bombs_are_not_unpacked_and_pickles_not_written() -> None:
    content = io.BytesIO()
    np.savez_compressed(content, a=np.zeros(10**6))
    with pytest.raises(ValueError, match="packed"):
        arrays_of(content.getvalue())
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        npz_bytes({"a": np.array([{}])})
