"""A sealed file is refused with any bit of it flipped, wherever that is, and cut at any byte."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simpl_sb3.seals import BLANK, KEY, check_seal, check_zip_seal, open_zip, seal, seal_zip


def npz() -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, a=np.arange(5), b=np.zeros((2, 3)))
    return content.getvalue()


def check_json(content: bytes) -> None:
    """As a reader of JSON does that expects a seal."""
    check_seal(io.BytesIO(content), json.loads(content)[KEY])


def check_zip(content: bytes) -> None:
    with open_zip(io.BytesIO(content)):
        pass


SEALED: dict[str, tuple[Callable[[], bytes], Callable[[bytes], Any]]] = {
    "json": (lambda: seal(json.dumps({"a": [1, 2.5, "x"], KEY: BLANK, "b": None}).encode()), check_json),
    "zip": (lambda: seal_zip(npz()), check_zip),
}


@pytest.mark.parametrize("kind", SEALED)
def test_every_bit_counts_and_every_byte(kind: str) -> None:
    make, check = SEALED[kind]
    content = make()
    check(content)
    for at in range(len(content)):
        with pytest.raises((ValueError, KeyError, zipfile.BadZipFile)):
            check(content[:at])
        for bit in range(8):
            with pytest.raises((ValueError, KeyError, zipfile.BadZipFile)):
                check(content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :])
    with pytest.raises(ValueError):
        check(content + b"\n\n{")


def test_a_sealed_zip_is_a_zip_and_equal_contents_have_equal_seals() -> None:
    with np.load(io.BytesIO(seal_zip(npz()))) as arrays:
        assert arrays["a"].tolist() == [0, 1, 2, 3, 4]
    assert seal(BLANK.encode()) == seal(BLANK.encode()) != BLANK.encode()


def test_a_zip_by_its_path_and_one_whose_members_must_not_be_packed(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(seal_zip(npz()))
    with open_zip(tmp_path / "a.npz") as archive:
        assert archive.namelist() == ["a.npy", "b.npy"]
    with pytest.raises(ValueError, match="packed"), open_zip(tmp_path / "a.npz", packed=False):
        pass
    with pytest.raises(zipfile.BadZipFile), open_zip(io.BytesIO(b"something else")):
        pass


def test_zips_of_earlier_releases_have_no_seal() -> None:
    check_zip(npz())


def test_the_checker_leaves_the_file_at_its_beginning_and_reads_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpl_sb3.seals.BLOCK", 7)
    file = io.BytesIO(seal_zip(npz()))
    check_zip_seal(file)
    assert file.tell() == 0
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("given", [None, 3, "", BLANK, BLANK[:-1], "simpl-sb3-sha256:" + "x" * 64])
def test_what_is_no_seal_of_these_bytes(given: Any) -> None:
    with pytest.raises(ValueError, match="the file is damaged"):
        check_seal(io.BytesIO(json.dumps({KEY: given}).encode()), given)
