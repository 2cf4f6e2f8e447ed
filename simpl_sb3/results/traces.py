"""
What single episodes were like, for pictures: one ``.npz`` of plain arrays beside the rows, no pickle.

Where agents went in a maze::

    method, task   (N,) text          one entry per trajectory
    seed, episode  (N,) int           as in the rows; episodes from 1
    success        (N,) bool
    goal, radius   (N, 2), (N,)       float32, observation coordinates (cells)
    offsets        (N + 1,) int       where each trajectory's positions begin
    positions      (sum of lengths, 2) float32: the observed (x, y) before and after each env step
    layout         (rows,) text       the maze's map, one text per first index; empty for the published maze
    schema_version ()  int

What agents completed in the kitchen, P subtasks of S being asked::

    method, task   (N,) text          one entry per episode
    seed, episode  (N,) int           as in the rows; episodes from 1
    asked          (N, P) int         the task: indices into subtasks
    paid           (N, P) int         env step that paid each of them, from 1; 0 for never
    completed      (N, S) int         env step after which each of all subtasks was first complete, from 1; 0 for never
    subtasks       (S,) text          their names
    kind           ()  text           "simpl-sb3/completions"
    schema_version ()  int
"""

import io
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simpl_sb3.errors import SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.results.rows import METHODS, ResultsError

__all__ = [
    "Completions",
    "Trajectory",
    "holds_completions",
    "read_completions",
    "read_trajectories",
    "write_completions",
    "write_trajectories",
]

SCHEMA_VERSION = 1
KEYS = ("method", "task", "seed", "episode", "success", "goal", "radius", "offsets", "positions", "layout")
NOT_READ = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)
"""What NumPy raises for a file that is missing or something else."""
COMPLETIONS = "simpl-sb3/completions"
COMPLETION_KEYS = ("method", "task", "seed", "episode", "asked", "paid", "completed", "subtasks")


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
        _check_whose("a trajectory", self.method, self.episode)
        positions = np.asarray(self.positions, dtype=np.float32)
        if positions.ndim != 2 or positions.shape[1] != 2 or not len(positions) or not np.isfinite(positions).all():
            raise ResultsError(
                f"positions of shape {positions.shape} for task {self.task}; expected finite numbers, (L + 1, 2)"
            )
        object.__setattr__(self, "positions", positions)


@dataclass(frozen=True, eq=False)
class Completions:
    """
    What one episode in the kitchen achieved, and when. Checks its own shapes. Env steps count from 1; 0 means never.

    :param method: as in the rows, such as ``simpl``
    :param task: name of the task
    :param seed: as in the rows
    :param episode: from 1
    :param asked: the subtasks in the order asked, as indices, (P,)
    :param paid: env step that paid each of them, (P,)
    :param completed: env step after which each of all subtasks was first complete, asked for or not, (S,)
    :raises ResultsError: for an unknown method, other shapes, or steps that contradict each other
    """

    method: str
    task: str
    seed: int
    episode: int
    asked: tuple[int, ...]
    paid: npt.NDArray[np.int64]
    completed: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_whose("completions", self.method, self.episode)
        asked = tuple(int(subtask) for subtask in self.asked)
        paid, completed = (np.asarray(steps, dtype=np.int64) for steps in (self.paid, self.completed))
        if paid.shape != (len(asked),) or completed.ndim != 1 or not all(0 <= k < len(completed) for k in asked):
            raise ResultsError(
                f"completions of task {self.task}: {asked} asked, {paid.shape} paid, {completed.shape} complete; "
                "expected a step for each one asked, (P,), and for each one there is, (S,)"
            )
        n_paid = int((paid > 0).sum())
        turns, firsts = paid[:n_paid], completed[list(asked[:n_paid])]
        if (paid[n_paid:] != 0).any() or (np.diff(turns) < 0).any() or not firsts.all() or (turns < firsts).any():
            raise ResultsError(
                f"completions of task {self.task}: paid at {paid.tolist()}, complete at {completed.tolist()}; "
                "expected steps that grow, none before its subtask was complete, and 0 from the first unpaid one on"
            )
        for name, value in (("asked", asked), ("paid", paid), ("completed", completed)):
            object.__setattr__(self, name, value)

    @property
    def order(self) -> tuple[int, ...]:
        """The subtasks that were completed, in the order they first were."""
        done = np.flatnonzero(self.completed)
        return tuple(int(subtask) for subtask in done[np.argsort(self.completed[done], kind="stable")])


def _check_whose(what: str, method: str, episode: int) -> None:
    if method not in METHODS or episode < 1:
        raise ResultsError(
            f"{what} of method {method!r}, episode {episode}; "
            f"expected one of {', '.join(METHODS)}, and an episode from 1 on"
        )


# ------------------------------------------------------------ on disk


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
    kept = list(trajectories)
    path = _new_file(path, "trajectories", kept, overwrite)
    arrays = {
        "success": np.array([one.success for one in kept], dtype=bool),
        "goal": np.array([one.goal for one in kept], dtype=np.float32),
        "radius": np.array([one.radius for one in kept], dtype=np.float32),
        "offsets": np.cumsum([0, *(len(one.positions) for one in kept)]),
        "positions": np.concatenate([one.positions for one in kept]),
        "layout": np.array(list(layout), dtype=np.str_),
    }
    _write(path, kept, arrays)
    return path


def read_trajectories(path: str | os.PathLike[str]) -> tuple[list[Trajectory], tuple[str, ...]]:
    """
    Read what :func:`write_trajectories` wrote.

    :return: the trajectories, and the maze's map; empty for the published maze
    :raises ResultsError: a missing, foreign or malformed file
    """
    arrays = _read(path, KEYS, "trajectories")
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


def write_completions(
    path: str | os.PathLike[str],
    completions: Iterable[Completions],
    subtasks: Sequence[str],
    *,
    overwrite: bool = False,
) -> Path:
    """
    Write what episodes achieved, whole or not at all.

    :param path: ends in ``.npz``; missing folders are made
    :param completions: at least one, all with as many subtasks
    :param subtasks: names of all subtasks, (S,)
    :param overwrite: replace an existing file
    :raises SettingsError: the file exists, or another ending
    :raises ResultsError: no completions, or of other subtasks
    """
    kept = list(completions)
    path = _new_file(path, "completions", kept, overwrite)
    sizes = {(len(one.asked), len(one.completed)) for one in kept}
    if len(sizes) > 1 or next(iter(sizes))[1] != len(subtasks):
        raise ResultsError(
            f"completions with {sorted(sizes)} subtasks asked and known; "
            f"expected one number asked, and the {len(subtasks)} that have names"
        )
    arrays = {
        "kind": np.array(COMPLETIONS),
        "asked": np.array([one.asked for one in kept], dtype=np.int64),
        "paid": np.array([one.paid for one in kept]),
        "completed": np.array([one.completed for one in kept]),
        "subtasks": np.array(list(subtasks), dtype=np.str_),
    }
    _write(path, kept, arrays)
    return path


def holds_completions(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it holds completions; a foreign or missing one does not."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(file["kind"]) == COMPLETIONS
    except NOT_READ:
        return False


def read_completions(path: str | os.PathLike[str]) -> tuple[list[Completions], tuple[str, ...]]:
    """
    Read what :func:`write_completions` wrote.

    :return: one entry per episode, and the names of all subtasks
    :raises ResultsError: a missing, foreign or malformed file
    """
    arrays = _read(path, COMPLETION_KEYS, "completions")
    if not holds_completions(path):
        raise ResultsError(f"{path} holds no completions; expected an .npz of kind {COMPLETIONS!r}")
    shapes = {key: arrays[key].shape for key in COMPLETION_KEYS}
    n, n_asked, n_subtasks = arrays["task"].size, arrays["asked"].shape[-1:], arrays["subtasks"].size
    expected = {**dict.fromkeys(COMPLETION_KEYS[:4], (n,)), **dict.fromkeys(("asked", "paid"), (n, *n_asked))}
    expected |= {"completed": (n, n_subtasks), "subtasks": (n_subtasks,)}
    if shapes != expected or not all(arrays[key].dtype.kind in "iu" for key in COMPLETION_KEYS[2:7]):
        raise ResultsError(f"{path} holds arrays of shapes {shapes}; expected whole numbers of shapes {expected}")
    completions = [
        Completions(
            str(arrays["method"][k]),
            str(arrays["task"][k]),
            int(arrays["seed"][k]),
            int(arrays["episode"][k]),
            tuple(arrays["asked"][k].tolist()),
            arrays["paid"][k],
            arrays["completed"][k],
        )
        for k in range(n)
    ]
    return completions, tuple(str(name) for name in arrays["subtasks"])


def _new_file(path: str | os.PathLike[str], what: str, kept: Sequence[Any], overwrite: bool) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise SettingsError(f"{what} go to {path}; expected a name ending in .npz")
    if path.exists() and not overwrite:
        raise SettingsError(f"{path} exists; expected a new name, or overwrite=True to replace it")
    if not kept:
        raise ResultsError(f"no {what}; expected at least one")
    return path


def _write(path: Path, kept: Sequence[Trajectory | Completions], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Arrays that say whose each entry is, and these."""
    whose = {
        "schema_version": np.array(SCHEMA_VERSION),
        "method": np.array([one.method for one in kept]),
        "task": np.array([one.task for one in kept]),
        "seed": np.array([one.seed for one in kept], dtype=np.int64),
        "episode": np.array([one.episode for one in kept], dtype=np.int64),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **whose, **arrays)
    write_atomically(path, buffer.getvalue())


def _read(path: str | os.PathLike[str], keys: Sequence[str], what: str) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            version = int(file["schema_version"])
            arrays = {key: file[key] for key in keys}
    except OSError as error:
        raise ResultsError(f"cannot read {path} ({error.strerror or error}); expected an .npz of {what}") from error
    except NOT_READ as error:
        raise ResultsError(f"{path} holds no {what} ({error}); expected the keys {', '.join(keys)}") from error
    if version != SCHEMA_VERSION:
        raise ResultsError(f"{path} has schema version {version}; this library reads {SCHEMA_VERSION}")
    return arrays
