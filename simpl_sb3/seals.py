"""
The seal of a file: a SHA-256 of all its bytes that it carries itself, so that a damaged file is refused.

A seal is the text ``simpl-sb3-sha256:`` and 64 digits: the hash of the whole file with these digits as zeros. It stands
where a format has room for a text that readers pass over: in the comment at the end of a zip (``.zip``, ``.npz``,
``.pt``), in the metadata of a safetensors file, under :data:`KEY` in a JSON object. Files of earlier releases have
none, and are read without. A seal finds damage; it is no signature, since whoever changes a file can write a new one.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO

from simpl_sb3.files import open_regular

__all__ = ["BLANK", "KEY", "MARK", "check_seal", "check_zip_seal", "open_zip", "seal", "seal_zip"]

KEY = "seal"
MARK = "simpl-sb3-sha256:"
BLANK = MARK + 64 * "0"
"""What a writer puts where the seal is to stand."""
SEAL = re.compile(f"{MARK}[0-9a-f]{{64}}")
BLOCK = 1 << 20  # bytes read at once
HEAD = 1 << 27  # bytes: where a seal that is no zip's comment stands
END_OF_ZIP = b"PK\x05\x06"  # 22 bytes from the end of a zip without a comment


def seal(content: bytes) -> bytes:
    """
    :param content: of a file that holds :data:`BLANK` once
    :return: the same with the seal in its place
    """
    at = content.rindex(BLANK.encode()) + len(MARK)
    return content[:at] + hashlib.sha256(content).hexdigest().encode() + content[at + 64 :]


def seal_zip(content: bytes) -> bytes:
    """
    :param content: of a zip without a comment
    :return: the same zip with a seal as its comment
    """
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = BLANK.encode()
    return seal(file.getvalue())


def check_seal(file: BinaryIO, given: object) -> None:
    """
    :param file: is read in blocks
    :param given: the seal that was found in it
    :raises ValueError: for anything but a seal, or the seal of other bytes
    """
    file.seek(0)
    at = file.read(HEAD).find(given.encode()) if isinstance(given, str) and SEAL.fullmatch(given) else -1
    _check(file, at + len(MARK) if at >= 0 else -1)


def check_zip_seal(file: BinaryIO) -> None:
    """
    Check a zip that has a seal; one without any comment passes.

    :param file: is read in blocks, and then stands at its beginning
    :raises ValueError: for the seal of other bytes, or anything else behind the zip's end
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - len(BLANK)))
    end = file.read()
    if SEAL.fullmatch(end.decode("latin-1")):
        _check(file, size - 64)
    elif not (end[-22:].startswith(END_OF_ZIP) and end.endswith(b"\0\0")):  # that many bytes of comment
        file.seek(0)
        if file.read(2) == END_OF_ZIP[:2]:  # else it is none, and zipfile says so
            _check(file, -1)
    file.seek(0)


@contextmanager
def open_zip(path: Any, packed: bool = True) -> Iterator[zipfile.ZipFile]:
    """
    A zip to read, once its seal, where it has one, is found to be that of its bytes.

    :param path: of the file, or the open file
    :param packed: whether its members may be packed; those that are not cannot be larger than the file
    :raises ValueError: for a damaged file, or one with packed members
    :raises OSError: for what is no regular file
    :raises zipfile.BadZipFile: for another kind
    """
    with nullcontext(path) if hasattr(path, "read") else open_regular(path) as file:
        check_zip_seal(file)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if not packed and any(
                member.compress_type != zipfile.ZIP_STORED or member.file_size > member.compress_size
                for member in members
            ):
                raise ValueError("its members are packed: expected plain ones")
            yield archive


def _check(file: BinaryIO, at: int) -> None:
    """Compare the hash of a file with the digits that begin at a byte of it; -1 where there are none."""
    digest = hashlib.sha256()
    if at >= 0:
        file.seek(0)
        left = at
        while left and (block := file.read(min(left, BLOCK))):
            digest.update(block)
            left -= len(block)
        digits = file.read(64)
        digest.update(64 * b"0")
        while block := file.read(BLOCK):
            digest.update(block)
    if at < 0 or digest.hexdigest().encode() != digits:
        raise ValueError("its bytes are not those that were written (SHA-256): the file is damaged")
