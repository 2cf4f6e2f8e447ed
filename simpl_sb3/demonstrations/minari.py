"""
Minari datasets: read into a :class:`~simpl_sb3.demonstrations.windows.DemonstrationDataset`, written whole or not at
all.

No environment is ever built from a dataset's own spec: its entry point is code.
"""

import errno
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
from minari import MinariDataset
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_dataset import parse_dataset_id
from minari.dataset.minari_storage import MinariStorage
from minari.namespace import NAMESPACE_METADATA_FILENAME, namespace_hierarchy
from minari.storage import get_dataset_path

from simpl_sb3.bars import progress
from simpl_sb3.demonstrations.flat import folder_for
from simpl_sb3.demonstrations.hdf5 import read_numbers
from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode, WindowBatch, check_actions, check_space
from simpl_sb3.errors import DatasetError
from simpl_sb3.files import check_room, replace_folder, write_atomically

__all__ = [
    "DemonstrationDataset",
    "Episode",
    "WindowBatch",
    "check_dataset_id_is_free",
    "datasets_folder",
    "load_minari",
    "open_minari",
    "read_settings",
    "write_minari",
]

SETTINGS_KEY = "simpl_settings"
OBSERVATION_KEY = "simpl_observation_key"  # which part of the environment's Dict observations the dataset holds
ENV_SETTING = "env"  # the setting that names the environment
ROOM = 4_000_000  # bytes: how much is written before the disk is asked for room again
EPISODE_ROOM = 20_000  # bytes that HDF5 adds to an episode

# ---------------------------------------------------------------- reading


def load_minari(
    dataset: str | MinariDataset,
    horizon: int,
    observation_key: str | None = None,
    *,
    root: str | Path | None = None,
    in_memory: bool | None = None,
) -> DemonstrationDataset:
    """
    Reads a Minari dataset into flat arrays. Rewards and task labels are not read; no environment is built.

    :param dataset: Minari id of a dataset on this machine, or an open dataset
    :param horizon: H, env steps; shorter episodes are skipped and counted
    :param observation_key: which part of Dict observations to read
    :param root: folder that holds the datasets; Minari's own by default
    :param in_memory: False copies them to flat files beside the dataset, which have no name and end with the result,
        and reads what is drawn; None does so for a dataset larger than a quarter of this machine's memory
    :return: the demonstrations
    :raises DatasetError: when it is missing, unreadable, without a long enough episode, holds NaN, absurdly large
        numbers, actions far outside its action space or wrong lengths, or its spaces are no Boxes
    """
    if isinstance(horizon, bool) or not hasattr(horizon, "__index__") or horizon < 1:
        raise DatasetError(f"horizon is {horizon!r}, expected a whole number of env steps of at least 1")
    if isinstance(dataset, str):
        dataset = open_minari(dataset, root)
    if not isinstance(dataset, MinariDataset):
        raise DatasetError(f"dataset is {dataset!r}, expected a Minari id, such as own/point-v0, or an open dataset")
    recorded = dataset.storage.metadata.get(OBSERVATION_KEY)
    if recorded is not None and observation_key == recorded:
        observation_key = None  # the dataset holds that part alone
    observation_space = _select_space(dataset, observation_key)
    action_space = check_space(dataset.id, "action", dataset.action_space)
    episodes = _read_episodes(dataset, observation_key, (observation_space.shape, action_space.shape))
    return DemonstrationDataset.from_episodes(
        episodes,
        observation_space,
        action_space,
        horizon=horizon,
        id=dataset.id,
        observation_key=recorded if observation_key is None else observation_key,
        env_id=_env_id(dataset),
        folder=folder_for(_size(dataset.storage.data_path), dataset.storage.data_path, in_memory),
    )


def open_minari(dataset_id: str, root: str | Path | None = None) -> MinariDataset:
    """
    Opens a dataset without building an environment; its episodes are not read yet.

    :param dataset_id: Minari id of a dataset on this machine
    :param root: folder that holds the datasets; Minari's own by default
    :raises DatasetError: when it is missing or unreadable
    """
    path = _dataset_path(dataset_id, root) / "data"
    if not path.exists():
        known = "" if root is not None else ", ".join(sorted(minari.list_local_datasets())) or "none"
        here = f"; here are: {known}" if known else ""
        raise DatasetError(
            f"no Minari dataset {dataset_id!r} on this machine (at {path}){here}. simpl-sb3 collect makes that of a "
            "domain; minari download fetches published ones"
        )
    try:
        size = _size(path)
        metadata = MinariStorage.read_raw_metadata(path)
        declared = metadata.get("total_episodes")
        if isinstance(declared, int | float) and declared > size:  # Minari makes an array of their numbers
            raise DatasetError(f"{dataset_id}: is said to have {declared} episodes, and its files have {size} bytes")
        if "observation_space" not in metadata or "action_space" not in metadata:
            # Minari would build the environment to find out, and a dataset's own spec is code.
            raise DatasetError(f"{dataset_id}: its metadata does not state observation and action space")
        return MinariDataset(path)
    except DatasetError:
        raise
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError) as error:
        raise DatasetError(f"{dataset_id}: cannot be read as a Minari dataset: {error!r:.300}") from error
    except (OSError, ImportError, RuntimeError) as error:  # RuntimeError: also of nesting, and what is not implemented
        raise DatasetError(f"{dataset_id}: cannot be read as a Minari dataset: {error}") from error


def _size(folder: Path) -> int:
    """
    Bytes of the files in a folder.

    :raises OSError: where something in it is no regular file, such as a device or a pipe, which have no end
    """
    parts = [part for part in folder.rglob("*") if not part.is_dir()]
    for part in parts:
        if not part.is_file():
            raise OSError(errno.EINVAL, "it is no regular file", str(part))
    return sum(part.stat().st_size for part in parts)


def datasets_folder(root: str | Path | None = None) -> Path:
    """The folder of all datasets: the given one, or Minari's own."""
    return _dataset_path("", root)


def _dataset_path(dataset_id: str, root: str | Path | None) -> Path:
    return Path(get_dataset_path(dataset_id)) if root is None else Path(root).resolve() / dataset_id


def _env_id(dataset: MinariDataset) -> str | None:
    """The id of the environment that was demonstrated, as Minari's spec or our settings say; None where neither do."""
    metadata = dataset.storage.metadata
    for text, name in ((metadata.get("env_spec"), "id"), (metadata.get(SETTINGS_KEY), ENV_SETTING)):
        try:
            found = json.loads(text).get(name) if isinstance(text, str) else None
        except (ValueError, AttributeError):
            continue
        if isinstance(found, str) and found:
            return found
    return None


def _select_space(dataset: MinariDataset, key: str | None) -> gym.spaces.Box:
    space = dataset.observation_space
    if isinstance(space, gym.spaces.Dict):
        keys = ", ".join(repr(name) for name in space.spaces)
        if key is None:
            raise DatasetError(f"{dataset.id}: its observations are a Dict; name one key as observation_key: {keys}")
        if key not in space.spaces:
            raise DatasetError(f"{dataset.id}: observation_key is {key!r}, expected one of {keys}")
        space = space.spaces[key]
    elif key is not None:
        raise DatasetError(f"{dataset.id}: observation_key is {key!r}, but its observations are no Dict: {space}")
    return check_space(dataset.id, "observation", space)


def _read_episodes(
    dataset: MinariDataset, key: str | None, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> Iterator[Episode]:
    for index, (observations, actions) in zip(dataset.episode_indices, _read_arrays(dataset, key), strict=True):
        try:
            if (np.shape(observations)[1:], np.shape(actions)[1:]) != shapes:
                raise DatasetError(
                    f"observations {np.shape(observations)} and actions {np.shape(actions)}, expected rows of {shapes}"
                )
            yield Episode(observations, actions)
        except DatasetError as error:
            raise DatasetError(f"{dataset.id}, episode {index}: {error}") from None


def _read_arrays(dataset: MinariDataset, key: str | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Only observations and actions where the storage is HDF5 (half the time); else whole episodes, through Minari."""
    path = dataset.storage.data_path / "main_data.hdf5"
    try:
        if path.exists():
            with h5py.File(path, "r") as file:
                for index in dataset.episode_indices:
                    group = file[f"episode_{index}"]
                    observations = group["observations"] if key is None else group["observations"][key]
                    place = f"{dataset.id}, episode {index}"
                    yield read_numbers(place, observations), read_numbers(place, group["actions"])
            return
        for episode in dataset.iterate_episodes():
            yield episode.observations if key is None else episode.observations[key], episode.actions
    except DatasetError:
        raise
    except (KeyError, OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:  # h5py's, of odd files
        raise DatasetError(f"{dataset.id}: its data cannot be read: {error}") from error


def read_settings(dataset_id: str, root: str | Path | None = None) -> dict[str, Any]:
    """
    :param dataset_id: Minari id of a dataset on this machine
    :param root: folder that holds the datasets; Minari's own by default
    :return: the settings that :func:`write_minari` recorded; empty for datasets that others wrote
    :raises DatasetError: when the dataset is missing or unreadable, or its settings are no JSON object
    """
    text = open_minari(dataset_id, root).storage.metadata.get(SETTINGS_KEY, "{}")
    try:
        settings = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise DatasetError(f"{dataset_id}: its {SETTINGS_KEY} are no JSON object")
    return settings


# ---------------------------------------------------------------- writing


def check_dataset_id_is_free(dataset_id: str, overwrite: bool = False, root: str | Path | None = None) -> Path:
    """
    To be called before hours of collecting.

    :param dataset_id: Minari id, such as "simpl/maze-planner-v0"
    :param overwrite: whether an existing dataset may be replaced
    :param root: folder that holds the datasets; Minari's own by default
    :return: the folder where the dataset will lie
    :raises DatasetError: for a malformed id, or one that is taken
    """
    try:
        parse_dataset_id(dataset_id)
    except (ValueError, TypeError):
        raise DatasetError(f"dataset id is {dataset_id!r}, expected (namespace/)name-v(number)") from None
    path = _dataset_path(dataset_id, root)
    if path.exists() and not overwrite:
        raise DatasetError(f"dataset {dataset_id} exists at {path}; choose another id, or overwrite=True (--overwrite)")
    return path


def write_minari(
    dataset_id: str,
    episodes: Iterable[Episode],
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    *,
    root: str | Path | None = None,
    observation_key: str | None = None,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
    description: str = "",
    algorithm_name: str = "",
    author: str = "",
    code_permalink: str = "",
    n_episodes: int | None = None,
    progress_bar: bool = False,
) -> Path:
    """
    Streams episodes into a new Minari dataset: whole, or not at all. Rewards are zero and every episode ends truncated.

    :param dataset_id: Minari id, such as "simpl/maze-planner-v0"
    :param episodes: demonstrations; an exception that they raise passes through and leaves no trace of the dataset
    :param observation_space: the environment's: a one-dimensional Box, or a Dict that has one at ``observation_key``
    :param action_space: the environment's: a one-dimensional bounded Box
    :param root: folder that holds the datasets; Minari's own by default
    :param observation_key: which part of the environment's Dict observations the episodes hold; the dataset remembers
        it, and so do skills that are extracted from it
    :param overwrite: replace an existing dataset, once the new one is complete
    :param settings: settings of the program that made the episodes, JSON-able; :func:`read_settings` returns them.
        ``"env"`` is the environment's id; skills that are extracted from the dataset remember it
    :param description: text for people
    :param algorithm_name: name of the controller that acted
    :param author: as Minari asks for it
    :param code_permalink: as Minari asks for it
    :param n_episodes: expected number of episodes, for the progress bar
    :param progress_bar: show one
    :return: the dataset's folder
    :raises DatasetError: for an id that is taken, spaces or episodes that do not fit, or no episode at all
    """
    path = check_dataset_id_is_free(dataset_id, overwrite, root)
    observations, key = _written_space(dataset_id, observation_space, observation_key)
    actions = check_space(dataset_id, "action", action_space)
    texts = {"description": description, "algorithm_name": algorithm_name, "code_permalink": code_permalink}
    metadata: dict[str, Any] = {"dataset_id": dataset_id, "minari_version": minari.__version__}
    metadata |= {name: text for name, text in texts.items() if text}
    metadata |= {"author": {author}} if author else {}
    metadata |= {OBSERVATION_KEY: key} if key is not None else {}
    metadata[SETTINGS_KEY] = json.dumps(dict(settings or {}))
    if (spec := _env_spec((settings or {}).get(ENV_SETTING))) is not None:
        metadata["env_spec"] = spec
    shown = progress(episodes, total=n_episodes, unit="episode", shown=progress_bar)
    try:
        with replace_folder(path, overwrite=overwrite, root=_dataset_path("", root)) as folder:
            storage = MinariStorage.new(folder / "data", observations, actions)
            storage.update_metadata(metadata)
            storage.update_episodes(_with_room(_to_buffers(shown, dataset_id, observations, actions), folder))
            if not storage.total_episodes:
                raise DatasetError(f"{dataset_id}: there was no episode to write")
    except FileExistsError as error:
        raise DatasetError(f"{dataset_id}: {error}") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DatasetError(
            f"{dataset_id}: no room is left on the disk of {path}; nothing was written: expected a folder with more "
            "room, or fewer demonstrations"
        ) from None
    _register_namespace(dataset_id, root)
    return path


def _env_spec(env_id: Any) -> str | None:
    """
    For Minari's ``recover_environment`` (nothing is read of it here but the id); None for an id that is not registered,
    or for an environment that is made by a function, which no text can hold.
    """
    spec = gym.registry.get(str(env_id))
    return None if spec is None or callable(spec.entry_point) else spec.to_json()


def _written_space(dataset_id: str, space: gym.Space[Any], key: str | None) -> tuple[gym.spaces.Box, str | None]:
    """The Box that a dataset holds, and the key that it remembers."""
    if isinstance(space, gym.spaces.Dict):
        if key not in space.spaces:
            keys = ", ".join(repr(name) for name in space.spaces)
            raise DatasetError(f"{dataset_id}: observation_key is {key!r}, expected one of {keys}")
        space = space[key]
    return check_space(dataset_id, "observation", space), key


def _to_buffers(
    episodes: Iterable[Episode], dataset_id: str, observation_space: gym.spaces.Box, action_space: gym.spaces.Box
) -> Iterator[EpisodeBuffer]:
    for episode in episodes:
        shapes = (episode.observations.shape[1:], episode.actions.shape[1:])
        if shapes != (observation_space.shape, action_space.shape):
            raise DatasetError(
                f"{dataset_id}: an episode has rows of {shapes}, "
                f"expected {observation_space.shape} and {action_space.shape}"
            )
        check_actions(dataset_id, episode.actions, action_space)
        no_step, last_step = np.zeros(len(episode), dtype=bool), np.arange(1, len(episode) + 1) == len(episode)
        yield EpisodeBuffer(
            observations=episode.observations.astype(observation_space.dtype),
            actions=episode.actions.astype(action_space.dtype),
            rewards=np.zeros(len(episode)),
            terminations=no_step,
            truncations=last_step,
        )


def _with_room(buffers: Iterator[EpisodeBuffer], folder: Path) -> Iterator[EpisodeBuffer]:
    """The same, as long as the disk has room: HDF5 ends the process where it has none."""
    due = ROOM
    for buffer in buffers:
        due += EPISODE_ROOM + buffer.observations.nbytes + buffer.actions.nbytes
        if due >= ROOM:
            check_room(folder, 2 * ROOM + due)
            due = 0
        yield buffer


def _register_namespace(dataset_id: str, root: str | Path | None) -> None:
    """Tell Minari about the folders above a dataset, as its ``create_namespace`` does in its own root."""
    for name in namespace_hierarchy(parse_dataset_id(dataset_id)[0]):
        path = _dataset_path(name, root) / NAMESPACE_METADATA_FILENAME
        if not path.exists():
            write_atomically(path, b"{}")
