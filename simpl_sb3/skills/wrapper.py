"""``SkillActionWrapper``: a task environment whose actions are skills."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from simpl_sb3.errors import EnvironmentSpecError, SkillMismatchError
from simpl_sb3.skills.model import SkillModel

SKILL_BOUND = 3.0  # a skill is a standard normal vector: three standard deviations hold 99.7 % of each coordinate


def check_skills_fit(observation_space: spaces.Space, action_space: spaces.Space, skills: SkillModel) -> spaces.Box:
    """
    Check that an environment's spaces are those that the skills were extracted from.

    :return: the observation space that the skills read: the environment's, or what it has at the skills' key
    :raises EnvironmentSpecError: for a discrete or unbounded action space, or an observation without the skills' key
    :raises SkillMismatchError: for spaces that differ from the skills'
    """
    if not isinstance(action_space, spaces.Box) or not action_space.is_bounded():
        raise EnvironmentSpecError(
            f"Skills act through a bounded Box; the environment's action space is {action_space}."
        )
    key = skills.observation_key
    if key is not None and isinstance(observation_space, spaces.Dict):
        if key not in observation_space.spaces:
            raise EnvironmentSpecError(
                f"The skills read the observation {key!r}; the environment has {', '.join(observation_space.spaces)}."
            )
        observation_space = observation_space[key]
    if not isinstance(observation_space, spaces.Box):
        raise EnvironmentSpecError(
            f"Skills need a Box observation; the environment's observation space is {observation_space}."
        )
    expected = skills.observation_space.shape, skills.action_space.shape
    if (observation_space.shape, action_space.shape) != expected:
        raise SkillMismatchError(
            f"The skills were extracted from observations {expected[0]} and actions {expected[1]}; "
            f"the environment has observations {observation_space.shape} and actions {action_space.shape}."
        )
    low, high = skills.action_space.low, skills.action_space.high
    if not (np.allclose(action_space.low, low) and np.allclose(action_space.high, high)):
        raise SkillMismatchError(
            f"The skills were extracted from actions in {skills.action_space}; the environment takes {action_space}."
        )
    return observation_space


def skill_action_space(skills: SkillModel, bound: float = SKILL_BOUND) -> spaces.Box:
    """The latent action space Box(-bound, bound, (Z,))."""
    return spaces.Box(-bound, bound, (skills.skill_dim,), np.float32)


class SkillActionWrapper(gym.Wrapper[np.ndarray, np.ndarray, Any, np.ndarray], gym.utils.RecordConstructorArgs):
    """
    One action is a skill z: the closed-loop low-level policy a = f(s, z) runs for up to H env steps.

    The skill stops early where the episode terminates or is truncated. Its reward is the sum over its env steps; its
    flags and its info are those of the last one. ``info["skill_steps"]`` counts the env steps,
    ``info["skill_observations"]`` (k, O) holds what was observed after each. Observations are those that the skills
    read (of a Dict, the value at the skills' key).

    :param env: environment with a bounded Box of actions
    :param skills: a model, or the path of a saved one
    :param bound: half-width b of the action space Box(-b, b, (Z,))
    :raises EnvironmentSpecError: for an environment that no skills fit
    :raises SkillMismatchError: for an environment that these skills do not fit
    """

    def __init__(self, env: gym.Env, skills: SkillModel | str | Path, bound: float = SKILL_BOUND) -> None:
        source = str(skills) if isinstance(skills, str | Path) else None  # a module cannot be a recorded setting
        gym.utils.RecordConstructorArgs.__init__(self, skills=source, bound=bound)
        super().__init__(env)
        self.skills = skills if isinstance(skills, SkillModel) else SkillModel.load(skills)
        self.observation_space = check_skills_fit(env.observation_space, env.action_space, self.skills)
        self.action_space = skill_action_space(self.skills, bound)
        self._key = self.skills.observation_key if isinstance(env.observation_space, spaces.Dict) else None
        self._observation: np.ndarray | None = None

    def _read(self, observation: Any) -> np.ndarray:
        self._observation = np.array(observation if self._key is None else observation[self._key])
        return self._observation  # a copy: some environments change one array in place

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._read(observation), info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self._observation is None:
            raise gym.error.ResetNeeded("Call reset before step.")
        z = np.asarray(action, np.float32)[None]
        observation, total, observations = self._observation, 0.0, []
        for _ in range(self.skills.horizon):
            low_level_action = self.skills.act(observation[None], z)[0]
            raw, reward, terminated, truncated, info = self.env.step(low_level_action)
            observation = self._read(raw)
            observations.append(observation)
            total += float(reward)
            if terminated or truncated:
                break
        info = info | {"skill_steps": len(observations), "skill_observations": np.stack(observations)}
        return observation, total, terminated, truncated, info
