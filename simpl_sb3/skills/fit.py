"""Whether skills fit an environment, which ones it has, and the space in which an agent chooses them."""

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize, unwrap_vec_wrapper

from simpl_sb3.errors import EnvironmentSpecError, SettingsError, SkillMismatchError
from simpl_sb3.skills.asking import attributes_of
from simpl_sb3.skills.base import Skills

__all__ = ["check_fit", "find_skills", "skill_action_space"]


def check_fit(
    skills: Skills,
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    *,
    env_id: str | None = None,
    observation_key: str | None = None,
    check_env: bool = True,
) -> tuple[spaces.Box, str | None]:
    """
    Check that an environment is the one that the skills were extracted from.

    :param skills: the skills
    :param observation_space: the environment's
    :param action_space: the environment's
    :param env_id: the environment's registered id, where known
    :param observation_key: which part of Dict observations to read; None takes the skills' own key
    :param check_env: compare the environment's id and the bounds of its observations too; without, shapes and actions
        are enough
    :return: the observation space that the skills read, and its key where the environment's is a Dict
    :raises EnvironmentSpecError: for a discrete or unbounded action space, or an observation without the key
    :raises SkillMismatchError: for spaces that differ from the skills', or another environment
    """
    if not isinstance(action_space, spaces.Box) or not action_space.is_bounded():
        raise EnvironmentSpecError(
            f"Skills act through a bounded Box; the environment's action space is {action_space}."
        )
    box, key = _read_space(observation_space, skills.observation_key if observation_key is None else observation_key)
    expected = skills.observation_space.shape, skills.action_space.shape
    if (box.shape, action_space.shape) != expected:
        of = "" if skills.env_id is None else f" of {skills.env_id}"
        raise SkillMismatchError(
            f"The skills were extracted from observations {expected[0]} and actions {expected[1]}{of}; "
            f"the environment has observations {box.shape} and actions {action_space.shape}."
        )
    if not _same_bounds(action_space, skills.action_space):
        raise SkillMismatchError(
            f"The skills were extracted from actions in {skills.action_space}; the environment takes {action_space}."
        )
    if check_env:
        _check_env(skills, box, env_id)
    return box, key


def _read_space(space: spaces.Space[Any], key: str | None) -> tuple[spaces.Box, str | None]:
    if not isinstance(space, spaces.Dict):
        key = None
    elif key is None:
        raise EnvironmentSpecError(
            f"The environment's observations are a Dict of {', '.join(space.spaces)}; the skills read one of them: "
            "name it as observation_key."
        )
    elif key not in space.spaces:
        raise EnvironmentSpecError(f"The skills read the observation {key!r}; the environment has {', '.join(space)}.")
    else:
        space = space[key]
    if not isinstance(space, spaces.Box):
        raise EnvironmentSpecError(f"Skills need a Box observation; the environment's observation space is {space}.")
    return space, key


def _same_bounds(one: spaces.Box, other: spaces.Box) -> bool:
    return np.allclose(one.low, other.low) and np.allclose(one.high, other.high)


def _check_env(skills: Skills, box: spaces.Box, env_id: str | None) -> None:
    source = f" (dataset {skills.dataset_id})" if skills.dataset_id else ""
    if env_id is not None and skills.env_id is not None and env_id != skills.env_id:
        raise SkillMismatchError(
            f"The skills were extracted from demonstrations of {skills.env_id}{source}; this environment is {env_id}. "
            "Give check_env=False to use them all the same."
        )
    if not _same_bounds(box, skills.observation_space):
        raise SkillMismatchError(
            f"The skills were extracted from observations in {skills.observation_space}{source}; the environment's "
            f"are in {box}, so it is another environment. Give check_env=False to use the skills all the same."
        )


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
        skills: Skills = attributes_of(env, "skills")[0]
        return skills
    except AttributeError:
        raise EnvironmentSpecError(
            f"{algorithm} acts through skills, and this environment has none: wrap it in "
            "SkillActionWrapper(env, skills), or make many at once with make_skill_vec_env(env_id, skills)."
        ) from None


def skill_action_space(skills: Skills, bound: float | None = None) -> spaces.Box:
    """
    The space in which an agent chooses skills.

    :param skills: the skills
    :param bound: half-width b; None takes ``skills.action_bound``
    :return: Box(-b, b, (Z,))
    :raises SettingsError: for a bound that is not a number above 0
    """
    bound = skills.action_bound if bound is None else bound
    if not 0.0 < bound < float("inf"):
        raise SettingsError(f"bound is {bound!r}: expected a number above 0.")
    return spaces.Box(-bound, bound, (skills.skill_dim,), np.float32)
