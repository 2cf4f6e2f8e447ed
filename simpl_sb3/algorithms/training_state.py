"""
What a training depends on besides networks and optimisers, so that it goes on to the bit where it was stopped.

::

    training.json    counters of the run, random generators, metrics of the latest episodes
    training.npz     arrays: torch's generator, the environments' state, ends of the newest rows
    NAME.npz         the rows of a buffer

All of it is JSON and plain arrays; nothing is pickled. It is taken at a border: between two meta-iterations or rounds
of an agent, or between two updates.
"""

import random
import warnings
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch as th
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.errors import ModelFileError
from simpl_sb3.experience.env_states import env_state, holds_episodes, take_env_state
from simpl_sb3.logs import hide_later_events

if TYPE_CHECKING:
    from simpl_sb3.algorithms.base import SkillAlgorithm

__all__ = [
    "TrainingState",
    "capture",
    "global_generators",
    "plain_info",
    "record_again",
    "recorded",
    "resume",
    "take_generators",
]

MANY_UPDATES = 1_000_000
"""In a round, where their number follows from what was lived."""


@dataclass
class TrainingState:
    """
    :param data: plain data
    :param arrays: by name
    :param rows: of each buffer, what ``TaskReplayBuffer.rows_since`` gives
    """

    data: dict[str, Any]
    arrays: dict[str, np.ndarray]
    rows: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


# ------------------------------------------------------------ random generators


def global_generators() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The process-wide generators of Python, NumPy and torch: plain data, and arrays."""
    version, numbers, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - SB3 seeds it
    twister = {"key": legacy["state"]["key"].tolist(), "pos": int(legacy["state"]["pos"])}
    data: dict[str, Any] = {"python": [version, list(numbers), gauss], "numpy": {**legacy, "state": twister}}
    arrays = {"torch": th.get_rng_state().numpy().copy()}
    if th.cuda.is_available():
        arrays |= {f"cuda.{i}": state.cpu().numpy() for i, state in enumerate(th.cuda.get_rng_state_all())}
    return data, arrays


def take_generators(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Set the process-wide generators to what :func:`global_generators` gave."""
    version, numbers, gauss = data["python"]
    legacy = {**data["numpy"], "state": {**data["numpy"]["state"]}}
    legacy["state"]["key"] = np.array(legacy["state"]["key"], np.uint32)
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(legacy)  # noqa: NPY002
    th.set_rng_state(th.from_numpy(arrays["torch"].copy()))
    for i in range(th.cuda.device_count() if th.cuda.is_available() else 0):
        if f"cuda.{i}" in arrays:
            th.cuda.set_rng_state(th.from_numpy(arrays[f"cuda.{i}"].copy()), i)


# ------------------------------------------------------------ a model


def capture(model: "SkillAlgorithm", written: Mapping[str, np.ndarray] | None = None) -> TrainingState:
    """
    The state of a model at a border.

    :param written: of each buffer, the rows that are on disk already; None for none of them
    """
    assert model.env is not None
    data, arrays = global_generators()
    arrays |= {f"env.{name}": array for name, array in env_state(model.env).items()}
    buffers = model._buffers()
    arrays |= {f"newest_ends.{name}": buffer.newest_ends for name, buffer in buffers.items()}
    if holds_episodes(model.env) and model._last_obs is not None:
        arrays |= {"last_obs": np.array(model._last_obs), "succeeded": model._succeeded.copy()}
    own = getattr(model, "rng", None)
    state = {
        "generators": data,
        "model_generator": None if own is None else own.bit_generator.state,
        "buffer_generators": {name: buffer.rng.bit_generator.state for name, buffer in buffers.items()},
        "updates_left": model._updates_left,
        "losses": {name: list(values) for name, values in model._losses.items()},
        "results": {name: [float(value) for value in values] for name, values in model._results.items()},
        "ep_info": [plain_info(info) for info in model.ep_info_buffer or ()],
        "ep_success": [bool(success) for success in model.ep_success_buffer or ()],
        "progress_remaining": model._current_progress_remaining,
        "recorded": recorded(model.logger),
    }
    since = written or {}
    rows = {
        name: buffer.rows_since(since.get(name, np.zeros(buffer.n_tasks, np.int64))) for name, buffer in buffers.items()
    }
    return TrainingState(state, arrays, rows)


def recorded(logger: Logger) -> dict[str, tuple[float, list[str], str]]:
    """
    What waits for the next line of the log: values, the formats that do not get them, and of NumPy's numbers their
    kind, since a log writes a float32 with fewer digits.
    """
    numbers: dict[str, Any] = {
        name: value for name, value in logger.name_to_value.items() if isinstance(value, int | float | np.number)
    }
    return {
        name: (
            value.item() if isinstance(value, np.number) else value,
            list(logger.name_to_excluded[name] or ()),
            value.dtype.name if isinstance(value, np.number) else "",
        )
        for name, value in numbers.items()
    }


def record_again(logger: Logger, waiting: Mapping[str, Any]) -> None:
    """
    Record what :func:`recorded` gave.

    :raises ValueError: for what is no number
    """
    for name, (value, excluded, *kind) in waiting.items():
        number = np.dtype(kind[0]).type(value) if kind and kind[0] else value + 0
        if kind and kind[0] and not isinstance(number, np.number):
            raise ValueError(f"{name} is of kind {kind[0]!r:.100}: expected a number's")
        logger.record(name, number, exclude=tuple(map(str, excluded)))


def plain_info(info: Mapping[str, Any]) -> dict[str, float]:
    """What a log reads of an episode's info: return, length, seconds, as far as they are there."""
    return {name: float(info[name]) for name in ("r", "l", "t") if name in info}


def _needed(info: Mapping[str, Any]) -> dict[str, float]:
    """Return and length of an episode, which the log reads."""
    return {name: float(info[name]) for name in ("r", "l")}


def resume(model: "SkillAlgorithm", state: TrainingState) -> None:
    """
    Take up a state; the model's environment has just been reset, and its buffers hold their rows. What its TensorBoard
    folder holds of later steps is logged again, and hidden.

    :raises ModelFileError: for a state that is none of such a model
    """
    assert model.env is not None
    data, arrays, env = state.data, state.arrays, model.env
    try:
        _take_env(env, {name.removeprefix("env."): array for name, array in arrays.items() if name.startswith("env.")})
        for name, buffer in model._buffers().items():
            buffer.rng.bit_generator.state = data["buffer_generators"][name]
            if holds_episodes(env):
                buffer.newest_ends = arrays[f"newest_ends.{name}"]
        if data["model_generator"] is not None:
            model.rng.bit_generator.state = data["model_generator"]
        if "last_obs" in arrays:
            model._last_obs, model._succeeded = arrays["last_obs"].copy(), arrays["succeeded"].copy()
        model._updates_left = _updates_left(model, data["updates_left"])
        for store, kept in ((model._losses, data["losses"]), (model._results, data["results"])):
            store.clear()
            for name, values in kept.items():
                store[name].extend(float(value) for value in values)
        size = model._stats_window_size
        model.ep_info_buffer = deque(({**plain_info(info), **_needed(info)} for info in data["ep_info"]), maxlen=size)
        model.ep_success_buffer = deque(map(bool, data["ep_success"]), maxlen=size)
        model._current_progress_remaining = float(data["progress_remaining"])
        record_again(model.logger, data["recorded"])
        take_generators(data["generators"], arrays)
        hide_later_events(model.logger, model.num_timesteps)
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError) as error:
        raise ModelFileError(f"The training state does not fit the model: {error!r}") from error


def _updates_left(model: "SkillAlgorithm", given: Any) -> int:
    """
    :raises ValueError: for more updates than a round has
    """
    of_a_round = int(getattr(model, "gradient_steps", -1))  # some have no such setting
    most = of_a_round if of_a_round >= 0 else MANY_UPDATES
    if not isinstance(given, int) or not 0 <= given <= most:
        raise ValueError(f"{given!r:.100} updates are left, expected 0 to {most}")
    return given


def _take_env(env: VecEnv, state: dict[str, np.ndarray]) -> None:
    try:
        take_env_state(env, state)
    except (KeyError, ValueError) as error:
        warnings.warn(
            f"The environments are others than those that the training was stopped in ({error}): it goes on with new "
            "episodes, and not to the bit.",
            stacklevel=2,
        )
