"""What the algorithms check at the door: seed, device, environment, and whether two models are the same skills."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.errors import EnvironmentSpecError, SettingsError, SkillMismatchError
from simpl_sb3.settings import plain_value, unknown_names
from simpl_sb3.skills.base import Skills

__all__ = [
    "as_callbacks",
    "check_fits",
    "check_no_hidden_task",
    "checked_env",
    "checked_folder",
    "checked_total",
    "flattened",
    "known_policy",
    "same_skills",
    "with_successes",
]


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


def flattened(settings: Mapping[str, Any], policy_kwargs: Any, of_policy: Sequence[str]) -> dict[str, Any]:
    """
    Settings with those of the networks, which SB3 users put into ``policy_kwargs``, beside the others.

    :param of_policy: names that ``policy_kwargs`` may hold
    :raises SettingsError: for other names, or one that is given in both
    """
    policy_kwargs = {} if policy_kwargs is None else policy_kwargs
    if not isinstance(policy_kwargs, Mapping):
        raise SettingsError(f"policy_kwargs is {policy_kwargs!r}: expected a dict, such as {{'net_arch': (64,)}}.")
    if unknown := [name for name in policy_kwargs if name not in of_policy]:
        raise unknown_names("policy_kwargs", unknown, of_policy)
    if twice := sorted(set(policy_kwargs) & set(settings)):
        raise SettingsError(f"{', '.join(twice)} given twice: expected in policy_kwargs or beside it, not both.")
    return {**settings, **policy_kwargs}


def check_no_hidden_task(env: VecEnv) -> None:
    """
    ``DummyVecEnv.set_attr("task", ...)`` sets it on the outermost wrapper, where the environment does not look.

    :raises EnvironmentSpecError: where a wrapper that takes no tasks has been given one
    """
    singles = getattr(env.unwrapped, "envs", None)
    for single in singles if isinstance(singles, list) else []:
        while isinstance(single, gym.Wrapper):
            if "task" in vars(single) and not hasattr(type(single), "set_task"):
                raise EnvironmentSpecError(
                    f"A task was set on the wrapper {type(single).__name__}, and the environment inside still has its "
                    'own: expected env.env_method("set_task", task).'
                )
            single = single.env


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


def with_successes(infos: Sequence[dict[str, Any]], dones: np.ndarray | None, succeeded: np.ndarray) -> list[Any]:
    """
    Infos of which those that end an episode say whether any of its skills was a success.

    :param infos: of all environments after a skill
    :param dones: whether an episode ended, (n_envs,), or None for nowhere
    :param succeeded: whether the episode that runs has succeeded so far, (n_envs,) bool; kept up to date
    """
    told = list(infos)
    for i, info in enumerate(infos):
        succeeded[i] |= bool(info.get("is_success", False))
        if dones is not None and dones[i]:
            told[i] = info | ({"is_success": bool(succeeded[i])} if "is_success" in info else {})
            succeeded[i] = False
    return told
