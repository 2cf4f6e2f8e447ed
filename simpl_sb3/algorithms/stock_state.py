"""
What a stock algorithm depends on between two rollouts, besides its networks: counters, random generators, episodes that
run, and the rows of its replay buffer; ``stock_checkpoints`` keeps it.
"""

import warnings
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch as th
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

from simpl_sb3.algorithms.training_state import (
    TrainingState,
    global_generators,
    plain_info,
    record_again,
    recorded,
    take_generators,
)
from simpl_sb3.errors import ModelFileError, SettingsError
from simpl_sb3.experience.env_states import env_state, holds_episodes, take_env_state
from simpl_sb3.logs import hide_later_events

__all__ = ["ReplayRows", "capture", "check_fits", "take", "take_last"]

COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")
LAST_OBS, LSTM = "last_obs", "lstm"
SEEN = "skill_observations"


class ReplayRows:
    """
    The rows of an SB3 replay buffer, as ``RowChunks`` asks for them; the rows of all environments at one time are one.

    :param model: whose buffer it is
    :raises SettingsError: for a buffer that holds other rows than those of the model's ``num_timesteps``
    """

    n_tasks = 1

    def __init__(self, model: Any) -> None:
        self.buffer: ReplayBuffer = model.replay_buffer
        self.written = np.array([model.num_timesteps // model.n_envs], np.int64)
        if self.written[0] % self.capacity != self.buffer.pos:
            raise SettingsError(
                f"The replay buffer holds other rows than those of {model.num_timesteps} timesteps, and checkpoints "
                "cannot tell which are new: expected a new model, or learn(..., reset_num_timesteps=False)."
            )

    @property
    def capacity(self) -> int:
        """Rows that the buffer keeps."""
        return int(self.buffer.buffer_size)

    def rows_since(self, written: np.ndarray) -> dict[str, np.ndarray]:
        """As ``TaskReplayBuffer.rows_since``."""
        first = np.maximum(written, self.written - self.capacity)
        at = np.arange(first[0], self.written[0]) % self.capacity
        arrays = {name: array[at] for name, array in self._columns().items()}
        if isinstance(self.buffer, HerReplayBuffer):
            infos = self.buffer.infos[at].reshape(-1)
            seen = [np.asarray(info[SEEN], np.float32) for info in infos]
            arrays |= {"seen": np.array([len(part) for part in seen], np.int64), SEEN: _joined(seen)}
        return {"first": first, "written": self.written.copy()} | arrays

    def append(self, added: Mapping[str, np.ndarray]) -> None:
        """
        Add what :meth:`rows_since` gave, as the algorithm itself had added it.

        :raises ModelFileError: for rows of another buffer, or numbers that are not finite
        """
        own = self._columns()
        first, last = (int(added[name][0]) for name in ("first", "written"))
        kinds = {name: (added[name].shape, added[name].dtype) for name in own}
        wanted = {name: ((last - first, *array.shape[1:]), array.dtype) for name, array in own.items()}
        if kinds != wanted or not all(np.isfinite(added[name]).all() for name in own):
            raise ModelFileError(f"The replay buffer's rows are {kinds}: expected finite ones, {wanted}.")
        parts = _split(added, (last - first) * self.buffer.n_envs) if "seen" in added else None
        self.buffer.pos = first % self.capacity if self.buffer.size() == 0 else self.buffer.pos
        for i in range(last - first):
            infos: list[dict[str, Any]] = [{"TimeLimit.truncated": bool(cut)} for cut in added["timeouts"][i]]
            if parts is not None and isinstance(self.buffer, HerReplayBuffer):
                for k, info in enumerate(infos):
                    info[SEEN] = parts[i * self.buffer.n_envs + k]
                self.buffer._current_ep_start = added["ep_start"][i].copy()
            row = {name: added[name][i] for name in own}
            observations, following = (_shown(row, name) for name in ("observations", "next_observations"))
            self.buffer.add(observations, following, row["actions"], row["rewards"], row["dones"], infos)
        self.written = added["written"].copy()

    def _columns(self) -> dict[str, np.ndarray]:
        """The buffer's arrays by name, (capacity, n_envs, ...)."""
        names = ["actions", "rewards", "dones", "timeouts"]
        names += ["ep_start"] if isinstance(self.buffer, HerReplayBuffer) else []
        arrays: dict[str, np.ndarray] = {name: getattr(self.buffer, name) for name in names}
        for name in ("observations", "next_observations"):
            held = getattr(self.buffer, name)
            arrays |= {f"{name}.{key}": part for key, part in held.items()} if isinstance(held, dict) else {name: held}
        return arrays


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def _split(added: Mapping[str, np.ndarray], number: int) -> list[np.ndarray]:
    """
    :raises ModelFileError: for lengths that are not those of the rows
    """
    lengths, rows = added["seen"], added[SEEN]
    if len(lengths) != number or (lengths < 1).any() or lengths.sum() != len(rows) or not np.isfinite(rows).all():
        raise ModelFileError(f"What {number} skills passed has {len(lengths)} lengths, and {len(rows)} rows.")
    return np.split(rows, np.cumsum(lengths)[:-1]) if number else []


def _shown(row: Mapping[str, np.ndarray], name: str) -> Any:
    begin = f"{name}."
    parts = {key.removeprefix(begin): part for key, part in row.items() if key.startswith(begin)}
    return parts or row[name]


# ------------------------------------------------------------ giving


def capture(model: Any, rows: ReplayRows | None, written: Mapping[str, np.ndarray]) -> TrainingState:
    """
    The state of a model between two rollouts.

    :param rows: of its replay buffer; None without one
    :param written: of the buffer, the rows that are on disk
    """
    generators, arrays = global_generators()
    arrays |= {f"env.{name}": array for name, array in env_state(model.env).items()}
    if holds_episodes(model.env):
        shown = model._last_obs if isinstance(model._last_obs, dict) else {"": model._last_obs}
        arrays |= {f"{LAST_OBS}.{key}": np.array(part) for key, part in shown.items()}
        arrays["episode_starts"] = np.array(model._last_episode_starts)
        arrays |= {f"{LSTM}.{i}": part.cpu().numpy() for i, part in enumerate(_memory(model))}
    data = {
        "generators": generators,
        "actions": model.action_space.np_random.bit_generator.state,
        "counters": {name: int(getattr(model, name)) for name in COUNTERS},
        "ep_info": [plain_info(info) for info in model.ep_info_buffer or ()],
        "ep_success": [bool(success) for success in model.ep_success_buffer or ()],
        "progress_remaining": model._current_progress_remaining,
        "recorded": recorded(model.logger),
    }
    since = written.get("replay", np.zeros(1, np.int64))
    return TrainingState(data, arrays, {} if rows is None else {"replay": rows.rows_since(since)})


def _memory(model: Any) -> list[th.Tensor]:
    """Of a recurrent policy, what actor and critic remember."""
    states = getattr(model, "_last_lstm_states", None)
    return [] if states is None else [*states.pi, *states.vf]


# ------------------------------------------------------------ taking


def check_fits(model: Any, state: TrainingState) -> None:
    """
    :raises ModelFileError: for a state that is none of such a model; KeyError, TypeError and ValueError besides
    """
    counters = {name: state.data["counters"][name] for name in COUNTERS}
    record_again(Logger(None, []), state.data["recorded"])
    if not all(isinstance(number, int) and number >= 0 for number in counters.values()):
        raise ModelFileError(f"The counters are {counters!r:.200}: expected numbers.")
    memory = [state.arrays[f"{LSTM}.{i}"] for i in range(len(_memory(model))) if "episode_starts" in state.arrays]
    for given, own in zip(memory, _memory(model), strict=False):
        if given.shape != tuple(own.shape) or not np.isfinite(given).all():
            raise ModelFileError(f"The policy remembers {given.shape}: expected finite numbers, {tuple(own.shape)}.")


def take(model: Any, state: TrainingState) -> None:
    """
    Bring a model and its environments where they were; :func:`take_last` does the rest when the learning begins.
    Environments without a state of their own begin new episodes.
    """
    data, arrays = state.data, state.arrays
    model.env.reset()
    for name, number in data["counters"].items():
        setattr(model, name, number)
    model.action_space.np_random.bit_generator.state = data["actions"]
    size = model._stats_window_size
    model.ep_info_buffer = deque((plain_info(info) for info in data["ep_info"]), maxlen=size)
    model.ep_success_buffer = deque(map(bool, data["ep_success"]), maxlen=size)
    model._current_progress_remaining = float(data["progress_remaining"])
    own = {name.removeprefix("env."): array for name, array in arrays.items() if name.startswith("env.")}
    try:
        take_env_state(model.env, own)
        there = holds_episodes(model.env) and "episode_starts" in arrays
    except (LookupError, TypeError, ValueError):
        there = False
    if not there:
        _begin_anew(model)
        return
    shown = {name.removeprefix(f"{LAST_OBS}."): part for name, part in arrays.items() if name.startswith(LAST_OBS)}
    model._last_obs = shown.get("", shown)
    model._last_episode_starts = arrays["episode_starts"].copy()
    if memory := _memory(model):
        parts = [th.as_tensor(arrays[f"{LSTM}.{i}"].copy(), device=model.device) for i in range(len(memory))]
        model._last_lstm_states = RNNStates((parts[0], parts[1]), (parts[2], parts[3]))


def _begin_anew(model: Any) -> None:
    model._last_obs = None  # SB3 then resets
    buffer = getattr(model, "replay_buffer", None)
    if isinstance(buffer, HerReplayBuffer):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says what the warning below says
            buffer.truncate_last_trajectory()
    warnings.warn(
        "The environments could not be brought where they were, in the middle of their episodes: they begin new ones, "
        "and the training does not go on to the bit. It does where their vector form has get_state and set_state.",
        stacklevel=2,
    )


def take_last(model: Any, state: TrainingState) -> None:
    """What has to be taken when everything else is ready: the log, and the process-wide random generators."""
    record_again(model.logger, state.data["recorded"])
    take_generators(state.data["generators"], state.arrays)
    hide_later_events(model.logger, model.num_timesteps)
