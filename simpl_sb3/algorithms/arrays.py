"""Replay buffers on disk, and where files are."""

import os
import pathlib
from typing import Any

from simpl_sb3.errors import ModelFileError
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.files import read_regular, write_atomically
from simpl_sb3.npz import arrays_of, npz_bytes

__all__ = ["MAX_BUFFER_BYTES", "existing", "load_buffer", "save_buffer", "with_ending"]

MAX_BUFFER_BYTES = 1 << 36
"""Largest replay buffer that a file may ask for."""


def with_ending(path: Any, ending: str) -> pathlib.Path:
    """A path that has an ending as it is, another one with this ending."""
    target = pathlib.Path(path)
    return target if target.suffix else target.with_suffix(ending)


def existing(path: Any, ending: str, what: str) -> Any:
    """
    An open file as it is, or the path of one that is there, with or without its ending.

    :raises ModelFileError: where there is none
    """
    if hasattr(path, "read"):
        return path
    if not isinstance(path, str | os.PathLike):
        raise ModelFileError(f"The path of a {what} is {path!r}: expected a text, a Path or an open file.")
    target = pathlib.Path(path)
    found = target if target.is_file() or target.suffix else target.with_suffix(ending)
    if not found.is_file():
        raise ModelFileError(f"No {what} {os.fspath(found)}.")
    return found


def save_buffer(buffer: TaskReplayBuffer, path: Any) -> None:
    """Write a buffer's arrays and its generator, without pickles."""
    content = npz_bytes(buffer.state())
    if hasattr(path, "write"):
        path.write(content)
        return
    write_atomically(with_ending(path, ".npz"), content)


def load_buffer(buffer: TaskReplayBuffer, path: Any) -> None:
    """
    :raises ModelFileError: for another kind of file, or a buffer of other sizes
    """
    path = existing(path, ".npz", "replay buffer")
    try:
        buffer.take_state(arrays_of(path.read() if hasattr(path, "read") else read_regular(path)))
    except ModelFileError:
        raise
    except Exception as error:  # noqa: BLE001 - as in load
        raise ModelFileError(f"{path} is not a saved replay buffer: {type(error).__name__}: {error}") from None
