"""
Files and folders that are whole or not there.

What is being written has a hidden name that tells machine and process, ``.simpl-writing-HOST-PID-...``. When a process
is killed it stays; the next one that writes there removes it, and puts back what it had moved aside.
"""

import errno
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "MOST_TEXT",
    "check_room",
    "open_regular",
    "read_regular",
    "remove_files",
    "replace_folder",
    "write_atomically",
]

PREFIX = ".simpl-writing-"
A_DAY = 24 * 3600.0  # seconds
MOST = 1 << 36  # bytes of a file that is read at once
MOST_TEXT = 1 << 27
"""Bytes of a text, such as JSON, that is read."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """
    A file to read, once it is found to be one: a device has no end, and a pipe may have no beginning.

    :raises OSError: for a file that is missing, a folder, a device, a pipe
    """
    if not Path(path).is_file():
        missing = not Path(path).exists()
        reason = os.strerror(errno.ENOENT) if missing else "it is no regular file"
        raise OSError(errno.ENOENT if missing else errno.EINVAL, reason, os.fspath(path))
    return Path(path).open("rb")


def read_regular(path: str | os.PathLike[str], at_most: int = MOST) -> bytes:
    """
    The content of a regular file.

    :param at_most: largest size, bytes
    :raises OSError: as :func:`open_regular`, and for a larger file
    """
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > at_most:
            raise OSError(errno.EFBIG, f"it has {size} bytes, expected at most {at_most}", os.fspath(path))
        return file.read(size)


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """
    Writes a file whole or not at all, also when the process is stopped half-way.

    :param path: the file; missing folders are made, an existing file is replaced
    :param content: all of its bytes
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_half_written(path.parent)
    hidden = path.parent / f"{_hidden_name()}-{path.name[-40:]}"  # a name may have 255 letters, the hidden one no more
    try:
        handle = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # the umask decides who may read it
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextmanager
def replace_folder(
    path: str | os.PathLike[str], *, overwrite: bool = False, root: str | os.PathLike[str] | None = None
) -> Iterator[Path]:
    """
    Gives an empty hidden folder that takes the place of ``path`` on success, and vanishes on any failure. An old folder
    is moved aside and deleted only once the new one is in place; if that fails, it is moved back.

    :param path: the folder to make; missing parents are made once it is complete
    :param overwrite: replace a folder that is there
    :param root: where the hidden folder lies, on the same disk; the parent of ``path`` by default
    :raises FileExistsError: for a folder that is there, or has appeared in the meantime, without ``overwrite``
    """
    path = Path(path).absolute()  # the caller may change the working directory
    root = path.parent if root is None else Path(root).absolute()
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists")
    root.mkdir(parents=True, exist_ok=True)
    _remove_half_swapped(root)
    hidden = root / _hidden_name()
    new, old = hidden / "new", hidden / "old"
    hidden.mkdir()
    try:
        new.mkdir()
        (hidden / "place").write_text(os.path.relpath(path, root), encoding="utf-8")
        yield new
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} appeared in the meantime; it was left as it is")
        _swap(path, new, old)
    finally:
        if path.exists() or not old.exists():  # else the only copy of the old folder is in here
            shutil.rmtree(hidden, ignore_errors=True)


def _swap(path: Path, new: Path, old: Path) -> None:
    try:
        if path.exists():
            path.rename(old)
        new.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise


def remove_files(folder: str | os.PathLike[str], *patterns: str) -> None:
    """
    Removes files, what killed processes left half-written beside them, and the folder where that leaves it empty.

    :param folder: theirs; nothing happens where there is none
    :param patterns: of their names
    """
    folder = Path(folder)
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        path.unlink(missing_ok=True)
    _remove_half_written(folder)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def check_room(folder: str | os.PathLike[str], n_bytes: int) -> None:
    """
    Asks a disk for room, and gives it back: for libraries such as HDF5 that crash where there is none.

    :param folder: where something is to be written
    :param n_bytes: how much
    :raises OSError: where disk or quota have no such room
    """
    path = Path(folder) / _hidden_name()
    try:
        with path.open("xb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            elif shutil.disk_usage(folder).free < n_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        path.unlink(missing_ok=True)


def _hidden_name() -> str:
    return f"{PREFIX}{_host()}-{os.getpid()}-{secrets.token_hex(4)}"


def _host() -> str:
    """The machine's name without dashes, which separate the parts of a hidden name."""
    return "".join(letter if letter.isalnum() else "_" for letter in socket.gethostname()) or "localhost"


def _remove_half_written(folder: Path) -> None:
    """Remove the files that killed processes left in a folder."""
    for leftover in filter(_is_abandoned, list(folder.glob(f"{PREFIX}*"))):
        if leftover.is_file():
            leftover.unlink(missing_ok=True)


def _remove_half_swapped(folder: Path) -> None:
    """
    Remove the hidden folders that killed processes left in a folder. An old folder whose new one never came takes its
    place again.
    """
    for leftover in filter(_is_abandoned, list(folder.glob(f"{PREFIX}*"))):
        if leftover.is_dir():
            _put_back(leftover, folder)
            if not (leftover / "old").exists():
                shutil.rmtree(leftover, ignore_errors=True)


def _put_back(leftover: Path, folder: Path) -> None:
    old, place = leftover / "old", leftover / "place"
    if not old.exists() or not place.is_file():
        return
    target = (folder / place.read_text(encoding="utf-8")).resolve()
    if target.is_relative_to(folder.resolve()):
        if target.exists():  # the new one had come: only deleting the old one was left to do
            shutil.rmtree(old, ignore_errors=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            old.rename(target)


def _is_abandoned(leftover: Path) -> bool:
    """Whether its process runs no longer; of another machine's process, whether it is older than a day."""
    host, _, rest = leftover.name.removeprefix(PREFIX).partition("-")
    pid = rest.partition("-")[0]
    if host == _host() and pid.isdigit():
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except OSError:  # it runs, and is someone else's
            return False
        return False
    try:
        return time.time() - leftover.stat().st_mtime > A_DAY
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
