"""
The kitchen's human demonstrations, converted into the form of SimplKitchen: from D4RL's HDF5, or from Minari.

::

    D4RL HDF5     observations  | 9 robot | 21 object positions | 30 goal |                        (steps, 60)
    Minari v2     observation   | 9 robot | 9 velocities | 21 object positions | 20 velocities |   (L+1, 59)
    converted     observations  | 9 robot | 21 object positions | 30 goal, constant |              (L+1, 60)

Neither d4rl nor any environment is needed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import numpy as np
from minari import MinariDataset

from simpl_envs.kitchen.constants import GOAL_HALF, N_POSITIONS, N_ROBOT, POSITION_BOUND
from simpl_sb3.demonstrations.hdf5 import read_numbers
from simpl_sb3.demonstrations.minari import load_minari, open_minari, write_minari
from simpl_sb3.demonstrations.windows import Episode
from simpl_sb3.errors import DatasetError
from simpl_sb3.files import open_regular

__all__ = [
    "CONVERTED_DATASET_ID",
    "convert_kitchen_data",
    "find_kitchen_data",
    "read_d4rl_kitchen",
    "read_minari_kitchen",
    "refuse_unconverted_kitchen",
]

CONVERTED_DATASET_ID = "simpl/kitchen-human-v0"
"""Minari id that is written by default."""
N_UNCONVERTED = 59
MAX_STEPS = 280
"""Where runs without marked ends are split, env steps: D4RL's time limit."""
OBSERVATION_SPACE = gym.spaces.Box(-POSITION_BOUND, POSITION_BOUND, (2 * N_POSITIONS,), np.float32)
ACTION_SPACE = gym.spaces.Box(-1.0, 1.0, (N_ROBOT,), np.float32)
JOINT_RANGES = {11: (-1.57, 0.0), 15: (-1.57, 0.0), 17: (-0.7, 0.0), 19: (0.0, 0.44), 21: (0.0, 1.57), 22: (-2.1, 0.0)}
"""What the positions of knobs, light switch, slide, hinged door and microwave can be, rad (slide: m)."""
SLACK = 0.15
"""By how much noise and soft limits may exceed that."""
STRAY_SHARE = 0.01
"""Share of rows that may exceed it by more, before the data is taken for something else than a kitchen."""


def find_kitchen_data(source: str) -> Path | MinariDataset:
    """
    Where demonstrations are; they are not read yet.

    :param source: an HDF5 file in D4RL's layout (its kitchen-mixed-v0 is
        ``kitchen_microwave_kettle_bottomburner_light-v0.hdf5``), or the id of a Minari dataset on this machine
        (``D4RL/kitchen/mixed-v2``)
    :return: the file, or the open dataset, which is found even if MINARI_DATASETS_PATH changes
    :raises DatasetError: when there is no such dataset
    """
    path = Path(source)
    if path.is_file() or path.suffix in (".hdf5", ".h5"):
        return path
    try:
        return open_minari(source)
    except DatasetError as error:
        expected = "expected an HDF5 file of D4RL, or what `minari download D4RL/kitchen/mixed-v2` fetches"
        raise DatasetError(f"{error}; {expected}") from None


def convert_kitchen_data(
    source: str | Path | MinariDataset,
    dataset_id: str = CONVERTED_DATASET_ID,
    *,
    max_steps: int = MAX_STEPS,
    root: str | Path | None = None,
    overwrite: bool = False,
    progress_bar: bool = False,
) -> Path:
    """
    Writes human demonstrations as a Minari dataset that :func:`~simpl_sb3.demonstrations.minari.load_minari` reads;
    whole, or not at all.

    :param source: as :func:`find_kitchen_data` takes or gives it
    :param dataset_id: of the new dataset
    :param max_steps: see :func:`read_d4rl_kitchen`
    :param root: folder of Minari datasets to write to; Minari's own by default
    :param overwrite: replace an existing dataset
    :param progress_bar: show one
    :return: the new dataset's folder
    :raises DatasetError: when the source is missing or not of either layout, or the id is taken
    """
    found = source if isinstance(source, MinariDataset) else find_kitchen_data(str(source))
    if isinstance(found, Path):
        episodes, origin = read_d4rl_kitchen(found, max_steps), {"source": found.name, "max_steps": max_steps}
    else:
        episodes, origin = read_minari_kitchen(found), {"source": found.id}
    return write_minari(
        dataset_id,
        episodes,
        OBSERVATION_SPACE,
        ACTION_SPACE,
        root=root,
        overwrite=overwrite,
        settings={"env": "SimplKitchen-v0", **origin},
        description="Human demonstrations in the Franka kitchen, in the observations of SimplKitchen-v0.",
        n_episodes=len(episodes),
        progress_bar=progress_bar,
    )


def read_d4rl_kitchen(path: str | Path, max_steps: int = MAX_STEPS) -> list[Episode]:
    """
    Demonstrations of an HDF5 file in D4RL's layout.

    A demonstration ends where ``terminals`` is set, or ``timeouts`` if the file has them. What is then still longer
    than ``max_steps`` is split there, as D4RL's own reader does, without losing a transition. The last observation of a
    demonstration has no action that follows, so a row that ends one gives its observation only.

    :param path: the file
    :param max_steps: longest demonstration, env steps
    :return: demonstrations of at least one env step
    :raises DatasetError: for a missing or unreadable file, missing keys, unequal lengths, other shapes, NaN, or numbers
        that are no kitchen's
    """
    if max_steps < 1:
        raise DatasetError(f"max_steps is {max_steps}, expected at least 1")
    arrays = _read_hdf5(Path(path))
    observations, actions = arrays["observations"], arrays["actions"]
    ends = arrays["terminals"].astype(bool)
    if "timeouts" in arrays:
        ends = ends | arrays["timeouts"].astype(bool)
    positions, executed = _checked(str(path), observations[:, :N_POSITIONS], actions)
    episodes = [
        Episode(_with_goal(positions[first : last + 1]), executed[first:last])
        for first, last in _runs(ends, max_steps)
        if last > first
    ]
    if not episodes:
        raise DatasetError(f"{path}: there is no demonstration of at least one env step in its {len(ends)} rows")
    return episodes


def _runs(ends: np.ndarray, max_steps: int) -> Iterator[tuple[int, int]]:
    """First and last row of each demonstration; a split one shares its border row with its successor."""
    last_rows = np.flatnonzero(ends).tolist()
    if not ends[-1]:
        last_rows.append(len(ends) - 1)
    first = 0
    for end in last_rows:
        while end - first > max_steps:
            yield first, first + max_steps
            first += max_steps
        yield first, end
        first = end + 1


def _read_hdf5(path: Path) -> dict[str, np.ndarray]:
    needed, optional = ("observations", "actions", "terminals"), ("timeouts",)
    try:
        with open_regular(path), h5py.File(path, "r") as file:
            missing = [key for key in needed if not isinstance(file.get(key), h5py.Dataset)]
            if missing:
                raise DatasetError(
                    f"{path}: has no {', '.join(missing)}; expected {', '.join(needed)}, got {list(file)}"
                )
            present = [key for key in (*needed, *optional) if key in file]
            arrays = {key: read_numbers(str(path), file[key], "fiub") for key in present}
    except DatasetError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:  # h5py's, of odd files
        raise DatasetError(f"{path}: cannot be read as HDF5, expected a file of D4RL: {error}") from error
    lengths = {key: len(array) if array.ndim else -1 for key, array in arrays.items()}
    if len(set(lengths.values())) != 1 or not len(arrays["actions"]):
        raise DatasetError(f"{path}: its arrays have lengths {lengths}, expected equal ones above 0")
    rows = {key: arrays[key].shape[1:] for key in arrays}
    expected = {"observations": (2 * N_POSITIONS,), "actions": (N_ROBOT,), "terminals": (), "timeouts": ()}
    if wrong := {key: shape for key, shape in rows.items() if shape != expected[key]}:
        raise DatasetError(f"{path}: rows of shapes {wrong}, expected { ({key: expected[key] for key in wrong}) }")
    return arrays


def read_minari_kitchen(dataset: str | MinariDataset) -> list[Episode]:
    """
    Demonstrations of a dataset such as ``D4RL/kitchen/mixed-v2``: Dict observations whose "observation" has 59 numbers,
    or these numbers alone.

    :param dataset: its id on this machine, or the open dataset
    :return: its demonstrations
    :raises DatasetError: when it is missing or unreadable, of another layout, or its numbers are no kitchen's
    """
    opened = open_minari(dataset) if isinstance(dataset, str) else dataset
    key = "observation" if isinstance(opened.observation_space, gym.spaces.Dict) else None
    loaded = load_minari(opened, horizon=1, observation_key=key)
    shapes = loaded.observation_space.shape, loaded.action_space.shape
    if shapes != ((N_UNCONVERTED,), (N_ROBOT,)):
        raise DatasetError(f"{loaded.id}: rows of shapes {shapes}, expected {((N_UNCONVERTED,), (N_ROBOT,))}")
    episodes = []
    for index in range(loaded.n_episodes):
        episode = loaded.episode(index)
        kept = np.concatenate([episode.observations[:, :9], episode.observations[:, 18:39]], axis=1)
        positions, actions = _checked(f"{loaded.id}, episode {index}", kept, episode.actions)
        episodes.append(Episode(_with_goal(positions), actions))
    return episodes


def refuse_unconverted_kitchen(dataset: MinariDataset, command: str) -> None:
    """
    For whoever extracts skills: kitchen data with velocities would fit no environment of ours.

    :param dataset: any open dataset
    :param command: that converts it, for the message
    :raises DatasetError: when it holds the 59 numbers of Gymnasium-Robotics' kitchen
    """
    space: Any = dataset.observation_space
    if isinstance(space, gym.spaces.Dict):
        space = space.spaces.get("observation")
    shapes = getattr(space, "shape", None), dataset.action_space.shape
    if shapes == ((N_UNCONVERTED,), (N_ROBOT,)):
        raise DatasetError(
            f"{dataset.id}: observations of {N_UNCONVERTED} numbers, velocities among them; "
            f"expected the {2 * N_POSITIONS} of SimplKitchen-v0: "
            f"convert it with `{command}`, and extract from {CONVERTED_DATASET_ID}"
        )


def _checked(name: str, positions: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    :param positions: (rows, 30)
    :param actions: (rows, 9), clipped here as the simulator clips them
    :return: both, float32
    :raises DatasetError: for NaN, or positions that a kitchen cannot have
    """
    for kind, array in (("observations", positions), ("actions", actions)):
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise DatasetError(f"{name}: its {kind} hold NaN or infinity, first in row {row}; expected numbers")
    for index, (low, high) in JOINT_RANGES.items():
        seen = positions[:, index]
        if np.mean((seen < low - SLACK) | (seen > high + SLACK)) > STRAY_SHARE:
            found = f"{seen.min():.3g} to {seen.max():.3g}"
            raise DatasetError(f"{name}: position {index} goes from {found}, expected {low} to {high} in a kitchen")
    errors = np.abs(np.linalg.norm(positions[:, 26:30], axis=1) - 1)
    if np.mean(errors > SLACK) > STRAY_SHARE:
        raise DatasetError(f"{name}: the norm of the kettle's quaternion (26 to 29) is up to {errors.max():.3g} off 1")
    return positions.astype(np.float32), np.clip(actions, -1.0, 1.0).astype(np.float32)


def _with_goal(positions: np.ndarray) -> np.ndarray:
    """(rows, 30) -> (rows, 60), inside the observation space."""
    bounded = np.clip(positions, OBSERVATION_SPACE.low[:N_POSITIONS], OBSERVATION_SPACE.high[:N_POSITIONS])
    return np.concatenate([bounded, np.broadcast_to(GOAL_HALF, positions.shape)], axis=1)
