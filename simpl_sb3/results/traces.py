"""
What single episodes were like, for pictures: one ``.npz`` of plain arrays beside the rows, no pickle.

Paths in a plane::

    method, task   (N,) text          one entry per path
    seed, episode  (N,) int           as in the rows; episodes from 1
    success        (N,) bool
    goal, radius   (N, 2), (N,)       float32, observed coordinates
    offsets        (N + 1,) int       where each path's positions begin
    positions      (sum of lengths, 2) float32: the observed (x, y) before and after each env step
    layout         (rows,) text       the walls, one text per cell along x; empty for none
    corner         (2,) float         observed (x, y) of the walls' corner; missing in files of older versions
    schema_version ()  int

Subtasks completed, P of S subtasks being asked::

    method, task   (N,) text          one entry per episode
    seed, episode  (N,) int           as in the rows; episodes from 1
    asked          (N, P) int         the task: indices into subtasks
    rewarded       (N, P) int         env step that rewarded each of them, from 1; 0 for never; "paid" in older files
    completed      (N, S) int         env step after which each of all subtasks was first complete, from 1; 0 for never
    subtasks       (S,) text          their names
    kind           ()  text           "simpl-sb3/completions"
    schema_version ()  int
"""

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simpl_sb3.errors import ResultsError, SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.results.facts import Walls
from simpl_sb3.results.reading import read_arrays
from simpl_sb3.results.trace_kinds import Completions, Trace, Trajectory
from simpl_sb3.seals import seal_zip

__all__ = [
    "Completions",
    "Trace",
    "Trajectory",
    "holds_completions",
    "read_completions",
    "read_trajectories",
    "write_completions",
    "write_traces",
    "write_trajectories",
]

SCHEMA_VERSION = 1
COMPLETIONS = "simpl-sb3/completions"
OLD_CORNER = (-0.7, -0.7)
"""Of walls in files that do not say it."""
WHOSE_KINDS = {
    "schema_version": ("iu", 0),
    "method": ("U", 1),
    "task": ("U", 1),
    "seed": ("iu", 1),
    "episode": ("iu", 1),
}
PATH_KINDS = {
    **WHOSE_KINDS,
    "success": ("b", 1),
    "goal": ("f", 2),
    "radius": ("f", 1),
    "offsets": ("iu", 1),
    "positions": ("f", 2),
    "layout": ("Uf", 1),  # an empty list of texts was written as floats
    "corner": ("f", 1),
}
COMPLETION_KINDS = {
    **WHOSE_KINDS,
    "kind": ("U", 0),
    "asked": ("iu", 2),
    "rewarded": ("iu", 2),
    "paid": ("iu", 2),
    "completed": ("iu", 2),
    "subtasks": ("U", 1),
}


# ------------------------------------------------------------ writing


def write_traces(
    path: str | os.PathLike[str],
    traces: Iterable[Trace],
    *,
    walls: Walls | None = None,
    subtasks: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """
    Write traces of one kind, whole or not at all.

    :param path: ends in ``.npz``; missing folders are made
    :param traces: at least one
    :param walls: what paths are drawn over
    :param subtasks: names of all subtasks, for completions
    :param overwrite: replace an existing file
    :raises SettingsError: the file exists, or another ending
    :raises ResultsError: no traces, or of several kinds
    """
    kept = list(traces)
    paths = [trace for trace in kept if isinstance(trace, Trajectory)]
    completions = [trace for trace in kept if isinstance(trace, Completions)]
    if paths and completions:
        raise ResultsError(f"{len(paths)} paths and {len(completions)} completions; expected traces of one kind")
    if completions:
        return write_completions(path, completions, subtasks, overwrite=overwrite)
    return write_trajectories(path, paths, walls, overwrite=overwrite)


def write_trajectories(
    path: str | os.PathLike[str],
    trajectories: Iterable[Trajectory],
    walls: Walls | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """
    Write paths, whole or not at all.

    :param path: ends in ``.npz``; missing folders are made
    :param trajectories: at least one
    :param walls: what they are drawn over; None for nothing
    :param overwrite: replace an existing file
    :raises SettingsError: the file exists, or another ending
    :raises ResultsError: no paths
    """
    kept = list(trajectories)
    path = _new_file(path, "trajectories", kept, overwrite)
    arrays = {
        "success": np.array([path.success for path in kept], dtype=bool),
        "goal": np.array([path.goal for path in kept], dtype=np.float32),
        "radius": np.array([path.radius for path in kept], dtype=np.float32),
        "offsets": np.cumsum([0, *(len(path.positions) for path in kept)]),
        "positions": np.concatenate([path.positions for path in kept]),
        "layout": np.array([] if walls is None else walls.rows, dtype=np.str_),
        "corner": np.array((0.0, 0.0) if walls is None else walls.corner),
    }
    _write(path, kept, arrays)
    return path


def write_completions(
    path: str | os.PathLike[str],
    completions: Iterable[Completions],
    subtasks: Sequence[str],
    *,
    overwrite: bool = False,
) -> Path:
    """
    Write which subtasks episodes completed, whole or not at all.

    :param path: ends in ``.npz``; missing folders are made
    :param completions: at least one, all with as many subtasks
    :param subtasks: names of all subtasks, (S,)
    :param overwrite: replace an existing file
    :raises SettingsError: the file exists, or another ending
    :raises ResultsError: no completions, or of other subtasks
    """
    kept = list(completions)
    path = _new_file(path, "completions", kept, overwrite)
    sizes = {(len(episode.asked), len(episode.completed)) for episode in kept}
    if len(sizes) > 1 or next(iter(sizes))[1] != len(subtasks):
        raise ResultsError(
            f"completions with {sorted(sizes)} subtasks asked and known; "
            f"expected one number asked, and the {len(subtasks)} that have names"
        )
    arrays = {
        "kind": np.array(COMPLETIONS),
        "asked": np.array([episode.asked for episode in kept], dtype=np.int64),
        "rewarded": np.array([episode.rewarded for episode in kept]),
        "completed": np.array([episode.completed for episode in kept]),
        "subtasks": np.array(list(subtasks), dtype=np.str_),
    }
    _write(path, kept, arrays)
    return path


def _new_file(path: str | os.PathLike[str], what: str, kept: Sequence[Any], overwrite: bool) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise SettingsError(f"{what} go to {path}; expected a name ending in .npz")
    if path.exists() and not overwrite:
        raise SettingsError(f"{path} exists; expected a new name, or overwrite=True to replace it")
    if not kept:
        raise ResultsError(f"no {what}; expected at least one")
    return path


def _write(path: Path, kept: Sequence[Trace], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """The given arrays, and those that say whose each entry is."""
    whose = {
        "schema_version": np.array(SCHEMA_VERSION),
        "method": np.array([trace.method for trace in kept]),
        "task": np.array([trace.task for trace in kept]),
        "seed": np.array([trace.seed for trace in kept], dtype=np.int64),
        "episode": np.array([trace.episode for trace in kept], dtype=np.int64),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **whose, **arrays)
    write_atomically(path, seal_zip(buffer.getvalue()))


# ------------------------------------------------------------ reading


def read_trajectories(path: str | os.PathLike[str]) -> tuple[list[Trajectory], Walls | None]:
    """
    Read what :func:`write_trajectories` wrote.

    :return: the paths, and the walls, where the file holds them
    :raises ResultsError: a missing, foreign or malformed file
    """
    arrays = _of_this_version(path, read_arrays(path, "trajectories", PATH_KINDS, optional=("corner",)))
    n, offsets, positions = len(arrays["task"]), arrays["offsets"].astype(np.int64), arrays["positions"]
    lengths = {key: len(arrays[key]) for key in ("method", "task", "seed", "episode", "success", "goal", "radius")}
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
    if not len(arrays["layout"]):
        return trajectories, None
    corner = tuple(arrays["corner"].tolist()) if "corner" in arrays else OLD_CORNER
    return trajectories, Walls(tuple(str(row) for row in arrays["layout"]), corner)


def holds_completions(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it holds completions; a foreign or missing one does not."""
    try:
        return str(read_arrays(path, "completions", {"kind": ("U", 0)})["kind"]) == COMPLETIONS
    except ResultsError:
        return False


def read_completions(path: str | os.PathLike[str]) -> tuple[list[Completions], tuple[str, ...]]:
    """
    Read what :func:`write_completions` wrote.

    :return: one entry per episode, and the names of all subtasks
    :raises ResultsError: a missing, foreign or malformed file
    """
    arrays = read_arrays(path, "completions", COMPLETION_KINDS, optional=("paid", "rewarded"))
    arrays = _of_this_version(path, arrays)
    if str(arrays["kind"]) != COMPLETIONS:
        raise ResultsError(f"{path} holds no completions; expected an .npz of kind {COMPLETIONS!r}")
    rewarded = arrays.get("rewarded", arrays.get("paid"))
    if rewarded is None:
        raise ResultsError(f"{path} holds no completions (without rewarded); expected the keys asked, rewarded")
    arrays["rewarded"] = rewarded
    n, n_asked, n_subtasks = arrays["task"].size, arrays["asked"].shape[1], arrays["subtasks"].size
    expected: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("method", "task", "seed", "episode"), (n,)),
        **dict.fromkeys(("asked", "rewarded"), (n, n_asked)),
        "completed": (n, n_subtasks),
    }
    shapes = {key: arrays[key].shape for key in expected}
    if shapes != expected:
        raise ResultsError(f"{path} holds arrays of shapes {shapes}; expected whole numbers of shapes {expected}")
    completions = [
        Completions(
            str(arrays["method"][k]),
            str(arrays["task"][k]),
            int(arrays["seed"][k]),
            int(arrays["episode"][k]),
            tuple(arrays["asked"][k].tolist()),
            rewarded[k],
            arrays["completed"][k],
        )
        for k in range(n)
    ]
    return completions, tuple(str(name) for name in arrays["subtasks"])


def _of_this_version(path: str | os.PathLike[str], arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    if int(arrays["schema_version"]) != SCHEMA_VERSION:
        raise ResultsError(
            f"{path} has schema version {int(arrays['schema_version'])}; this library reads {SCHEMA_VERSION}"
        )
    return arrays
