"""
What folders of checkpoints have in common: numbered states, of which the two newest stay, and rows of buffers in chunks
that are written once.

::

    rows_00000007.npz     rows that all buffers got since the chunk before; never changed
    state_00000012.zip    everything else, and which chunks hold the rows

A chunk is written before the state that names it, and each file whole or not at all.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from simpl_sb3.algorithms.files import tensor_bytes
from simpl_sb3.errors import ModelFileError, SimplError
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.files import read_regular, write_atomically
from simpl_sb3.npz import arrays_of, npz_bytes
from simpl_sb3.seals import BLANK, seal

__all__ = [
    "ROWS",
    "STATE",
    "Buffers",
    "RowChunks",
    "newest_readable",
    "number_of",
    "remove_older",
    "state_bytes",
    "states",
]

STATE, ROWS = "state_{:08d}.zip", "rows_{:08d}.npz"
N_KEPT = 2
T = TypeVar("T")


class Rows(Protocol):
    """
    What chunks need of a buffer, such as a ``TaskReplayBuffer``.

    :ivar written: rows ever written to each of its rings, (n_tasks,)
    """

    n_tasks: int
    written: np.ndarray

    @property
    def capacity(self) -> int:
        """Rows that a ring keeps."""

    def rows_since(self, written: np.ndarray) -> dict[str, np.ndarray]:
        """Rows that were written since."""

    def append(self, added: Mapping[str, np.ndarray]) -> None:
        """Add such rows."""


Buffers = Mapping[str, TaskReplayBuffer]


def state_bytes(
    data: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None, tensors: Mapping[str, Mapping[str, Any]]
) -> bytes:
    """
    A state as the bytes of a sealed zip, not packed: that would take longer than all else.

    :param data: plain data, ``training.json``
    :param arrays: ``training.npz``; None for no such member
    :param tensors: nested dicts of tensors and numbers, by the name of their member
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("training.json", json.dumps(data))
        if arrays is not None:
            archive.writestr("training.npz", npz_bytes(arrays))
        for name, part in tensors.items():
            archive.writestr(name, tensor_bytes(dict(part)))
        archive.comment = BLANK.encode()
    return seal(content.getvalue())


def states(folder: Path) -> list[Path]:
    """The states in a folder, the newest first."""
    return sorted(folder.glob("state_????????.zip"), reverse=True)


def newest_readable(folder: Path, read: Callable[[Path], T]) -> T:
    """
    What ``read`` makes of the newest state that it can read.

    :raises ModelFileError: where there is none, or none that can be read: with the flaw of the oldest
    :raises SimplError: any other of ours that ``read`` raises
    """
    flaw = f"No checkpoint in {folder}: expected state_00000001.zip or another of that kind."
    for path in states(folder):
        try:
            return read(path)
        except ModelFileError as error:
            flaw = str(error) if str(path) in str(error) else f"{path}: {error}"
        except SimplError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways
            flaw = f"{path} is no checkpoint: {type(error).__name__}: {error}"
    raise ModelFileError(flaw)


def number_of(state: Path) -> int:
    """Of a state, by its name."""
    return int(state.stem.removeprefix("state_"))


def remove_older(folder: Path, needed: Iterable[str]) -> None:
    """
    Remove all but the two newest states, and the chunks that neither of them names.

    :param needed: names of chunks
    """
    named = set(needed)
    for old in states(folder)[N_KEPT:]:
        old.unlink(missing_ok=True)
    for rows in folder.glob("rows_????????.npz"):
        if rows.name not in named:
            rows.unlink(missing_ok=True)


class RowChunks:
    """
    Rows of buffers in a folder.

    :param folder: of the checkpoints
    :param named: the chunks that a state names, the oldest first: each its file and the rows ever written by then
    """

    def __init__(self, folder: Path, named: Sequence[Mapping[str, Any]] = ()) -> None:
        self.folder, self.named = folder, list(named)

    def written(self) -> dict[str, np.ndarray]:
        """Of each buffer, the rows that are on disk."""
        newest = self.named[-1]["written"] if self.named else {}
        return {name: np.array(numbers, np.int64) for name, numbers in newest.items()}

    def add(self, number: int, rows: Mapping[str, Mapping[str, np.ndarray]], buffers: Mapping[str, Rows]) -> set[str]:
        """
        Write a chunk, and forget those whose rows the rings hold no longer.

        :param number: of the checkpoint
        :param rows: of each buffer, what ``rows_since`` gives for :meth:`written`
        :param buffers: as they are now
        :return: files that this state or the one before needs
        """
        earlier, name = self.named, ROWS.format(number)
        written = {buffer: parts["written"].tolist() for buffer, parts in rows.items()}
        arrays = {f"{buffer}.{part}": array for buffer, parts in rows.items() for part, array in parts.items()}
        write_atomically(self.folder / name, npz_bytes(arrays))
        kept = [chunk for chunk in earlier if not _overwritten(chunk["written"], buffers)]
        self.named = [*kept, {"file": name, "written": written}]
        return {str(chunk["file"]) for chunk in (*earlier, *self.named)}

    def fill(self, buffers: Mapping[str, Rows]) -> None:
        """
        Give the buffers their rows.

        :raises ModelFileError: for rows of other buffers; and what reading a damaged file raises
        """
        for chunk in self.named:
            rows = arrays_of(read_regular(self.folder / Path(chunk["file"]).name))
            for name, buffer in buffers.items():
                own = f"{name}."
                buffer.append({part.removeprefix(own): rows[part] for part in rows if part.startswith(own)})


def _overwritten(written: Mapping[str, Sequence[int]], buffers: Mapping[str, Rows]) -> bool:
    """Whether the rings hold none of a chunk's rows any longer."""
    return all(
        bool((np.array(written[name]) <= buffer.written - buffer.capacity).all()) for name, buffer in buffers.items()
    )
