"""What the algorithms check at the door: seed, device, environment, and whether two models are the same skills."""

import math
import os
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch as th
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import get_device
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize, unwrap_vec_wrapper

from simpl_sb3.errors import EnvironmentSpecError, SettingsError, SkillMismatchError
from simpl_sb3.settings import plain_value
from simpl_sb3.skills.base import Skills

__all__ = [
    "as_callbacks",
    "check_fits",
    "checked_device",
    "checked_env",
    "checked_folder",
    "checked_number",
    "checked_seed",
    "checked_total",
    "find_skills",
    "known_policy",
    "same_skills",
]

MAX_SEED = 2**32 - 1


def checked_number(name: str, value: Any, at_least: int) -> int:
    """
    :raises SettingsError: for anything but a whole number of at least ``at_least``
    """
    number = plain_value(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < at_least:
        raise SettingsError(f"{name} is {value!r}: expected a whole number of at least {at_least}.")
    return number


def checked_folder(name: str, folder: Any) -> str | None:
    """
    :raises SettingsError: for anything but None or a path
    """
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise SettingsError(f"{name} is {folder!r}: expected None or the path of a folder.")
    return None if folder is None else os.fspath(folder)


def checked_total(total_timesteps: Any) -> int:
    """
    :raises SettingsError: for a number of skills that is none; 1e5 is one, as in SB3
    """
    number = plain_value(total_timesteps)
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise SettingsError(f"total_timesteps is {total_timesteps!r}: expected a number of skills.")
    return int(number)


def as_callbacks(callback: Any) -> list[BaseCallback]:
    """
    What SB3 takes as callbacks, as a list: None, a callback, several, or a function of locals and globals.

    :raises SettingsError: for anything else
    """
    given = [] if callback is None else list(callback) if isinstance(callback, list | tuple) else [callback]
    for each in given:
        if not callable(each) and not isinstance(each, BaseCallback):
            raise SettingsError(f"callback is {each!r}: expected a callback of Stable-Baselines3, or a function.")
    return [each if isinstance(each, BaseCallback) else ConvertCallback(each) for each in given]


def checked_seed(seed: Any) -> int | None:
    """
    :raises SettingsError: for anything but None or a whole number from 0 to 2**32 - 1
    """
    seed = plain_value(seed)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED):
        raise SettingsError(f"seed is {seed!r}: expected None or a whole number from 0 to {MAX_SEED}.")
    return seed


def checked_device(device: th.device | str) -> th.device:
    """
    :raises SettingsError: for a device that torch does not know, or that this machine does not have
    """
    try:
        found = get_device(device)
        float(th.zeros(1, device=found))  # "meta" has no numbers, "mps" and others may not be there
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
        reason = str(error).split(" device type at start")[0].splitlines()[0]
        raise SettingsError(f"device is {device!r}: expected auto, cpu, cuda or cuda:N ({reason}).") from None
    return found


def checked_env(env: Any) -> GymEnv:
    """
    :raises EnvironmentSpecError: for what is no environment, such as an id
    """
    if isinstance(env, str):
        raise EnvironmentSpecError(
            f"env is the text {env!r}: expected an environment whose actions are skills, "
            "SkillActionWrapper(gym.make(env_id), skills) or make_skill_vec_env(env_id, skills)."
        )
    if not isinstance(env, gym.Env | VecEnv):
        raise EnvironmentSpecError(
            f"env is {env!r}: expected a gymnasium.Env or a VecEnv of Stable-Baselines3 whose actions are skills."
        )
    return env


def same_skills(one: Skills, other: Skills) -> bool:
    """Whether two models are the same skills: sizes, spaces and weights."""
    if one is other:
        return True
    theirs = other.state_dict()
    return one.settings == other.settings and all(
        th.equal(value.cpu(), theirs[name].cpu()) for name, value in one.state_dict().items()
    )


def known_policy(policy: Any, aliases: Mapping[str, type[BasePolicy]], base: type[BasePolicy]) -> type[BasePolicy]:
    """
    :param policy: a name, or a class
    :param aliases: classes by name
    :param base: what a class must derive from
    :raises SettingsError: for another name, or a class that is not of the algorithm's policy
    """
    found = aliases.get(policy) if isinstance(policy, str) else policy
    if not (isinstance(found, type) and issubclass(found, base)):
        names = ", ".join(map(repr, aliases))
        raise SettingsError(f"policy is {policy!r}: expected {names} or a subclass of {base.__name__}.")
    return found


def find_skills(env: VecEnv, algorithm: str) -> Skills:
    """
    The skills that an environment's actions are.

    :param algorithm: what errors call whoever asks
    :raises EnvironmentSpecError: for an environment without skills
    :raises SettingsError: under a wrapper that changes what the frozen skills see
    """
    normalize, stack = unwrap_vec_wrapper(env, VecNormalize), unwrap_vec_wrapper(env, VecFrameStack)
    if isinstance(normalize, VecNormalize) and normalize.norm_obs:
        raise SettingsError(
            "VecNormalize changes the observations that the frozen skill prior reads: "
            "expected VecNormalize(norm_obs=False), or an environment without it."
        )
    if stack is not None:
        raise SettingsError(
            "VecFrameStack changes the observations that the frozen skill prior reads: "
            "expected an environment without it."
        )
    try:
        return env.get_attr("skills")[0]
    except AttributeError:
        raise EnvironmentSpecError(
            f"{algorithm} acts through skills, and this environment has none: wrap it in "
            "SkillActionWrapper(env, skills), or make many at once with make_skill_vec_env(env_id, skills)."
        ) from None


def check_fits(
    env: VecEnv, found: Skills, skills: Skills, observation_space: gym.Space, action_space: gym.Space
) -> None:
    """
    Check that an environment is one that a model can act in.

    :param found: the environment's skills
    :param skills: the model's, and its spaces
    :raises SkillMismatchError: for other spaces, or other skills
    """
    if env.observation_space.shape != observation_space.shape or env.action_space != action_space:
        raise SkillMismatchError(
            f"The model was trained on observations {observation_space.shape} and skills {action_space}; "
            f"the environment has {env.observation_space.shape} and {env.action_space}."
        )
    if not same_skills(found, skills):
        raise SkillMismatchError(
            "The environment decodes other skills than those that the model was trained on: give it model.skills."
        )
