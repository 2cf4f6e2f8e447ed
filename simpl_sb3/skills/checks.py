"""What environments return, checked where it enters, before anything learns from it."""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from simpl_sb3.demonstrations.windows import LARGEST_NUMBER
from simpl_sb3.errors import EnvironmentSpecError

__all__ = [
    "check_numbers",
    "checked_reset",
    "checked_rewards",
    "checked_step",
    "setter_of",
    "success_of",
    "successes_of",
]

SUCCESS = ("is_success", "success")
"""Keys of an info that tell a success: SB3's, and Gymnasium-Robotics' older one."""

LARGEST_REWARD = 1e8  # the square of a loss's gradient on a larger one can leave float32
_SAFE_SQUARES = 1e36  # inside float32


def checked_reset(result: Any, space: spaces.Space[Any], place: str) -> tuple[Any, dict[str, Any]]:
    """
    :param result: what ``env.reset`` returned
    :param space: the environment's observation space
    :param place: which environment, for messages
    :return: observation and info
    :raises EnvironmentSpecError: for anything else, or an observation of another shape
    """
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
        raise EnvironmentSpecError(
            f"{place}: reset returned {_described(result)}; expected Gymnasium's (observation, info)."
        )
    _check_shapes(result[0], space, f"{place}, after reset")
    return result


def checked_step(result: Any, space: spaces.Space[Any], place: str) -> tuple[Any, float, bool, bool, dict[str, Any]]:
    """
    :param result: what ``env.step`` returned
    :param space: the environment's observation space
    :param place: which environment, for messages
    :return: observation, reward, terminated, truncated, info
    :raises EnvironmentSpecError: for another number of values, flags that are not bool, a reward that is no number, an
        observation of another shape, or ``info["is_success"]`` that is neither bool nor 0 or 1
    """
    if not isinstance(result, tuple) or len(result) != 5:
        raise EnvironmentSpecError(
            f"{place}: step returned {_described(result)}; expected Gymnasium's "
            "(observation, reward, terminated, truncated, info)."
        )
    observation, reward, terminated, truncated, info = result
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        if not isinstance(flag, bool | np.bool_):
            raise EnvironmentSpecError(f"{place}: {name} is {flag!r}; expected True or False.")
    if not isinstance(info, dict):
        raise EnvironmentSpecError(f"{place}: info is {info!r}; expected a dict.")
    try:
        reward = float(reward)
    except (TypeError, ValueError):
        raise EnvironmentSpecError(f"{place}: reward is {reward!r}; expected a number.") from None
    _check_shapes(observation, space, place)
    success_of(info, place)
    return observation, reward, bool(terminated), bool(truncated), info


def setter_of(env: gym.Env[Any, Any]) -> Callable[[Any], None]:
    """
    The environment's ``set_task``, through wrappers.

    :raises EnvironmentSpecError: for an environment without one
    """
    try:
        setter: Callable[[Any], None] = env.get_wrapper_attr("set_task")
    except AttributeError:
        raise EnvironmentSpecError(
            f"{type(env.unwrapped).__name__} is given a task, and has no set_task(task): expected one with tasks."
        ) from None
    return setter


def checked_rewards(task: Any, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    A task's rewards and ends of a trajectory, each (L,).

    :raises EnvironmentSpecError: where it gives something else
    """
    found = task.rewards(observations)
    try:
        rewards, terminated = (np.asarray(part) for part in found)
        if rewards.shape == terminated.shape == (len(observations),):
            return rewards, terminated.astype(bool)
    except (TypeError, ValueError):
        pass
    given = [np.shape(part) for part in found] if isinstance(found, tuple | list) else repr(found)
    raise EnvironmentSpecError(
        f"Task {getattr(task, 'name', task)}: rewards(observations) gave {given}; expected (rewards, terminated), each "
        f"({len(observations)},), one number per observation."
    )


def check_numbers(observations: np.ndarray, rewards: np.ndarray, env_steps: np.ndarray, tasks: Any = None) -> None:
    """
    Refuse NaN, infinite and absurdly large numbers: one of them would turn every weight into NaN.

    :param observations: of B environments, (B, ...)
    :param rewards: (B,)
    :param env_steps: env steps of the episode so far, this one included, (B,)
    :param tasks: names of the tasks, (B,), where known
    :raises EnvironmentSpecError: naming environment, env step and number
    """
    flat = observations.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        # the sum of squares is the fastest test of all numbers at once; a comparison with NaN is False
        if np.dot(flat, flat) <= _SAFE_SQUARES and np.dot(rewards, rewards) <= LARGEST_REWARD**2:
            return
    rows = np.column_stack([observations.reshape(len(observations), -1), rewards])
    limits = np.full(rows.shape[1], LARGEST_NUMBER)
    limits[-1] = LARGEST_REWARD
    bad = ~(np.abs(rows) <= limits)
    if not bad.any():
        return
    env, column = (int(index) for index in np.argwhere(bad)[0])
    name = "the reward" if column == rows.shape[1] - 1 else f"observation[{column}]"
    task = "" if tasks is None else f" of task {tasks[env]}"
    raise EnvironmentSpecError(
        f"Environment {env}: {name} is {rows[env, column]} after {int(env_steps[env])} env steps{task}; expected a "
        f"number between -{limits[column]:g} and {limits[column]:g}."
    )


def success_of(info: Mapping[str, Any], place: str) -> bool | None:
    """
    Whether an env step was a success: ``info["is_success"]``, or else ``info["success"]``.

    :param info: of one env step
    :param place: which environment, for the message
    :return: None where the info says neither
    :raises EnvironmentSpecError: for a value that is neither bool nor 0 or 1
    """
    for name in SUCCESS:
        if name in info:
            success = info[name]
            if isinstance(success, bool | np.bool_) or (
                isinstance(success, int | float | np.number) and success in (0, 1)
            ):
                return bool(success)
            raise EnvironmentSpecError(f'{place}: info["{name}"] is {success!r}; expected True or False.')
    return None


def successes_of(infos: Mapping[str, Any], n_envs: int) -> tuple[np.ndarray, np.ndarray]:
    """
    As :func:`success_of`, of all environments of a Gymnasium vector environment.

    :param infos: of one step, arrays by name
    :param n_envs: B
    :return: whether it was a success, and whether the infos say so, each (B,) bool
    :raises EnvironmentSpecError: for a value that is neither bool nor 0 or 1
    """
    success, known = np.zeros(n_envs, bool), np.zeros(n_envs, bool)
    for name in SUCCESS:
        if name in infos:
            values = np.asarray(infos[name])
            says = np.asarray(infos.get(f"_{name}", np.ones(n_envs, bool)), bool) & ~known
            if values.dtype == bool:
                success[says] = values[says]
            else:
                for i in np.flatnonzero(says):
                    success[i] = bool(success_of({name: values[i]}, f"Environment {i}"))
            known |= says
    return success, known


def _check_shapes(observation: Any, space: spaces.Space[Any], place: str) -> None:
    if isinstance(space, spaces.Dict) and isinstance(observation, dict):
        for key, part in space.spaces.items():
            _check_shapes(observation.get(key), part, f"{place}, key {key!r}")
    elif isinstance(space, spaces.Box | spaces.Dict):
        wanted = space.shape if isinstance(space, spaces.Box) else f"dict with {', '.join(space)}"
        given = "None" if observation is None else np.shape(observation)
        if given != wanted:
            raise EnvironmentSpecError(f"{place}: the observation has shape {given}; expected {wanted}.")


def _described(result: Any) -> str:
    return f"{len(result)} values" if isinstance(result, tuple) else f"a {type(result).__name__}"
