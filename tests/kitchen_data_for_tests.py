"""Kitchen demonstrations in exactly D4RL's and Minari's layouts, small and made here."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage
from minari.storage import get_dataset_path

from simpl_envs.kitchen.physics import RESET_POSITIONS

MINARI_ID = "D4RL/kitchen/mixed-v2"


def rows(n: int, first: int = 0) -> np.ndarray:
    """Positions (n, 30) near the reset pose, whose joint 0 is the number of the row over 1000."""
    positions = np.tile(RESET_POSITIONS, (n, 1))
    positions[:, 0] = (first + np.arange(n)) / 1000
    return positions


def d4rl_arrays(n: int, terminals: list[int], timeouts: list[int] | None = None) -> dict[str, np.ndarray]:
    """As in D4RL's kitchen-mixed-v0: the goal half is D4RL's own, action 0 the number of the row over 1000."""
    actions = np.zeros((n, 9))
    actions[:, 0] = np.arange(n) / 1000
    arrays = {
        "observations": np.concatenate([rows(n), np.full((n, 30), 0.3)], axis=1).astype(np.float32),
        "actions": actions.astype(np.float32),
        "rewards": np.zeros(n, dtype=np.float32),
        "terminals": np.isin(np.arange(n), terminals),
    }
    return arrays if timeouts is None else {**arrays, "timeouts": np.isin(np.arange(n), timeouts)}


def write_hdf5(path: Path, arrays: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file[key] = array
        file["infos/goal"] = np.zeros(3)
    return path


def write_minari_kitchen(lengths: list[int], n_numbers: int = 59, as_box: bool = False) -> None:
    """
    As D4RL/kitchen/mixed-v2: Dict observations in float64, unbounded, with the goals beside them; or, as a user may
    have flattened them, ``as_box``.
    """
    goals = gym.spaces.Dict({"kettle": gym.spaces.Box(-np.inf, np.inf, (7,), np.float64)})
    box = gym.spaces.Box(-np.inf, np.inf, (n_numbers,), np.float64)
    space = gym.spaces.Dict({"observation": box, "achieved_goal": goals, "desired_goal": goals})
    folder = get_dataset_path(MINARI_ID) / "data"
    folder.mkdir(parents=True)
    storage = MinariStorage.new(folder, box if as_box else space, gym.spaces.Box(-1.0, 1.0, (9,), np.float64))
    storage.update_metadata({"dataset_id": MINARI_ID, "minari_version": minari.__version__})
    buffers = []
    for length in lengths:
        positions = rows(length + 1)
        velocities = np.full((length + 1, n_numbers - 30), 77.0)
        parts = [positions[:, :9], velocities[:, :9], positions[:, 9:], velocities[:, 9:]]
        observation = np.concatenate(parts, axis=1)
        reached = {"kettle": positions[:, 23:]}
        observations = {"observation": observation, "achieved_goal": reached, "desired_goal": reached}
        buffers.append(
            EpisodeBuffer(
                observations=observation if as_box else observations,
                actions=np.full((length, 9), 0.5),
                rewards=np.zeros(length),
                terminations=np.arange(length) == length - 1,
                truncations=np.zeros(length, dtype=bool),
            )
        )
    storage.update_episodes(buffers)
