"""
Demonstrations on their way into a dataset, kept in files now and then, so that a collection that was killed goes on.

::

    episodes_00000000.npz    the first ones: observations, actions, lengths, numbers
    episodes_00000412.npz    those from the 413th on, and so forth

Each file is written once, whole or not at all.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from simpl_sb3.demonstrations.windows import Episode
from simpl_sb3.files import read_regular, remove_files, write_atomically
from simpl_sb3.npz import arrays_of, npz_bytes

__all__ = ["KeptEpisodes"]


class KeptEpisodes:
    """
    Episodes that have numbers.

    :param folder: theirs alone; it is made with the first file
    :param seconds: between two files, at least
    """

    def __init__(self, folder: Path, seconds: float = 60.0) -> None:
        self.folder, self.seconds = folder, seconds
        self.n_kept = 0
        """Episodes that lie in files."""
        self._pending: list[Episode] = []

    def read(self) -> list[Episode]:
        """The episodes of all files, as far as they are whole and follow one another."""
        episodes: list[Episode] = []
        while (path := self._file(len(episodes))).exists():
            try:
                episodes += _read(path)
            except Exception:  # noqa: BLE001 - a damaged file fails in many ways; its episodes are made again
                break
        self.n_kept = len(episodes)
        return episodes

    def passing(self, episodes: Iterable[Episode]) -> Iterator[Episode]:
        """The same episodes, which follow those that are kept, and are kept themselves once a file is due."""
        last = time.perf_counter()
        for episode in episodes:
            self._pending.append(episode)
            if time.perf_counter() - last >= self.seconds:
                self.write()
                last = time.perf_counter()
            yield episode

    def write(self) -> None:
        """Keep all episodes that have passed."""
        if not self._pending:
            return
        arrays = {
            "observations": np.concatenate([episode.observations for episode in self._pending]),
            "actions": np.concatenate([episode.actions for episode in self._pending]),
            "lengths": np.array([len(episode) for episode in self._pending]),
            "numbers": np.array([episode.number for episode in self._pending]),
        }
        write_atomically(self._file(self.n_kept), npz_bytes(arrays))
        self.n_kept += len(self._pending)
        self._pending = []

    def remove(self) -> None:
        """Remove all files, and the folder where nothing else is in it."""
        remove_files(self.folder, "episodes_????????.npz")

    def _file(self, n_before: int) -> Path:
        return self.folder / f"episodes_{n_before:08d}.npz"


def _read(path: Path) -> list[Episode]:
    """
    :raises Exception: for a damaged file, of many kinds
    """
    arrays = arrays_of(read_regular(path))
    observations, actions, lengths, numbers = (
        arrays[name] for name in ("observations", "actions", "lengths", "numbers")
    )
    ends = np.cumsum(lengths)
    if (
        len(lengths) == 0
        or (lengths < 1).any()
        or len(actions) != ends[-1]
        or len(observations) != ends[-1] + len(ends)
    ):
        raise ValueError("its lengths are not those of its episodes")
    return [
        Episode(observations[end - length + i : end + i + 1], actions[end - length : end], int(number))
        for i, (end, length, number) in enumerate(zip(ends, lengths, numbers, strict=True))
    ]
