"""
Where agents went in a maze, for pictures: one ``.npz`` of plain arrays, no pickle.

::

    method, task   (N,) text          one entry per trajectory
    seed, episode  (N,) int           as in the rows; episodes from 1
    success        (N,) bool
    goal, radius   (N, 2), (N,)       float32, observation coordinates (cells)
    offsets        (N + 1,) int       where each trajectory's positions begin
    positions      (sum of lengths, 2) float32: the observed (x, y) before and after each env step
    layout         (rows,) text       the maze's map, one text per first index; empty for the published maze
    schema_version ()  int
"""

import io
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simpl_sb3.errors import SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.results import METHODS, ResultsError

__all__ = ["Trajectory", "read_trajectories", "write_trajectories"]

SCHEMA_VERSION = 1
KEYS = ("method", "task", "seed", "episode", "success", "goal", "radius", "offsets", "positions", "layout")


@dataclass(frozen=True, eq=False)
class Trajectory:
    """
    One episode in a maze. Checks its own shapes.

    :param method: as in the rows, such as ``simpl``
    :param task: name of the task
    :param seed: as in the rows
    :param episode: from 1
    :param success: whether it reached the goal
    :param goal: centre of the goal, observation coordinates, cells
    :param positions: observed (x, y), start included, (L + 1, 2)
    :param radius: of the goal, cells
    :raises ResultsError: for an unknown method, other shapes, or NaN
    """

    method: str
    task: str
    seed: int
    episode: int
    success: bool
    goal: tuple[float, float]
    positions: npt.NDArray[np.float32]
    radius: float = 1.0

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.episode < 1:
            raise ResultsError(
                f"a trajectory of method {self.method!r}, episode {self.episode}; "
                f"expected one of {', '.join(METHODS)}, and an episode from 1 on"
            )
        positions = np.asarray(self.positions, dtype=np.float32)
        if positions.ndim != 2 or positions.shape[1] != 2 or not len(positions) or not np.isfinite(positions).all():
            raise ResultsError(
                f"positions of shape {positions.shape} for task {self.task}; expected finite numbers, (L + 1, 2)"
            )
        object.__setattr__(self, "positions", positions)


def write_trajectories(
    path: str | os.PathLike[str],
    trajectories: Iterable[Trajectory],
    layout: Sequence[str] = (),
    *,
    overwrite: bool = False,
) -> Path:
    """
    Write trajectories over one maze, whole or not at all.

    :param path: ends in ``.npz``; missing folders are made
    :param trajectories: at least one
    :param layout: the maze's map (``MazeLayout.rows``); empty for the published maze
    :param overwrite: replace an existing file
    :raises SettingsError: the file exists, or another ending
    :raises ResultsError: no trajectories
    """
    path, kept = Path(path), list(trajectories)
    if path.suffix != ".npz":
        raise SettingsError(f"trajectories go to {path}; expected a name ending in .npz")
    if path.exists() and not overwrite:
        raise SettingsError(f"{path} exists; expected a new name, or overwrite=True to replace it")
    if not kept:
        raise ResultsError("no trajectories; expected at least one")
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        schema_version=np.array(SCHEMA_VERSION),
        method=np.array([one.method for one in kept]),
        task=np.array([one.task for one in kept]),
        seed=np.array([one.seed for one in kept], dtype=np.int64),
        episode=np.array([one.episode for one in kept], dtype=np.int64),
        success=np.array([one.success for one in kept], dtype=bool),
        goal=np.array([one.goal for one in kept], dtype=np.float32),
        radius=np.array([one.radius for one in kept], dtype=np.float32),
        offsets=np.cumsum([0, *(len(one.positions) for one in kept)]),
        positions=np.concatenate([one.positions for one in kept]),
        layout=np.array(list(layout), dtype=np.str_),
    )
    write_atomically(path, buffer.getvalue())
    return path


def read_trajectories(path: str | os.PathLike[str]) -> tuple[list[Trajectory], tuple[str, ...]]:
    """
    Read what :func:`write_trajectories` wrote.

    :return: the trajectories, and the maze's map; empty for the published maze
    :raises ResultsError: a missing, foreign or malformed file
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            version = int(file["schema_version"])
            arrays = {key: file[key] for key in KEYS}
    except OSError as error:
        raise ResultsError(
            f"cannot read {path} ({error.strerror or error}); expected an .npz of trajectories"
        ) from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ResultsError(f"{path} holds no trajectories ({error}); expected the keys {', '.join(KEYS)}") from error
    if version != SCHEMA_VERSION:
        raise ResultsError(f"{path} has schema version {version}; this library reads {SCHEMA_VERSION}")
    n, offsets, positions = len(arrays["task"]), arrays["offsets"], arrays["positions"]
    lengths = {key: len(arrays[key]) for key in KEYS[:7]}
    if set(lengths.values()) != {n} or arrays["goal"].shape != (n, 2) or offsets.shape != (n + 1,):
        raise ResultsError(f"{path} holds arrays of unequal lengths ({lengths}); expected one entry per trajectory")
    if offsets[0] != 0 or offsets[-1] != len(positions) or (np.diff(offsets) < 1).any():
        raise ResultsError(f"{path}: offsets do not divide the {len(positions)} positions; expected increasing from 0")
    trajectories = [
        Trajectory(
            str(arrays["method"][k]),
            str(arrays["task"][k]),
            int(arrays["seed"][k]),
            int(arrays["episode"][k]),
            bool(arrays["success"][k]),
            (float(arrays["goal"][k, 0]), float(arrays["goal"][k, 1])),
            positions[offsets[k] : offsets[k + 1]],
            float(arrays["radius"][k]),
        )
        for k in range(n)
    ]
    return trajectories, tuple(str(row) for row in arrays["layout"])
