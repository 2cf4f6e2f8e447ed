"""``SkillActionWrapper``: a task environment whose actions are skills."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from simpl_sb3.errors import EnvironmentSpecError, SettingsError
from simpl_sb3.skills.asking import sendable
from simpl_sb3.skills.base import SKILL_BOUND, Skills
from simpl_sb3.skills.checks import check_numbers, checked_reset, checked_step, setter_of, success_of
from simpl_sb3.skills.fit import check_fit, skill_action_space
from simpl_sb3.threads import small_products

__all__ = ["SKILL_BOUND", "SkillActionWrapper", "skill_action_space"]


class SkillActionWrapper(gym.Wrapper[np.ndarray, np.ndarray, Any, np.ndarray], gym.utils.RecordConstructorArgs):
    """
    One action is a skill z: the closed-loop low-level policy a = f(s, z) runs for up to H env steps.

    The skill stops early where the episode terminates or is truncated. Its reward is the sum over its env steps; its
    flags and its info are those of the last one, but for ``info["is_success"]``: whether any of the env steps was a
    success. ``info["skill_steps"]`` counts the env steps,
    ``info["skill_observations"]`` (k, O) holds what was observed after each. Observations are those that the skills
    read (of a Dict, the value at the skills' key).

    :param env: environment with a bounded Box of actions
    :param skills: skills, or the path of saved ones; only with a path can the environment be made again from its spec
    :param bound: half-width b of the action space Box(-b, b, (Z,)); None takes ``skills.action_bound``
    :param observation_key: which part of Dict observations the skills read; None takes the skills' own key
    :param check_env: refuse an environment of another id, or with other bounds of its observations, than the one that
        the skills were extracted from
    :raises EnvironmentSpecError: for an environment that no skills fit; in ``reset`` and ``step``, for one that does
        not return what Gymnasium's do, and for NaN, infinite or absurdly large observations and rewards
    :raises SkillMismatchError: for an environment that these skills do not fit
    :raises SettingsError: without skills, as when it is made again from the spec of one that was given a model
    """

    def __init__(
        self,
        env: gym.Env,
        skills: Skills | str | Path,
        bound: float | None = None,
        *,
        observation_key: str | None = None,
        check_env: bool = True,
    ) -> None:
        source = str(skills) if isinstance(skills, str | Path) else None  # a module cannot be a recorded setting
        gym.utils.RecordConstructorArgs.__init__(
            self, skills=source, bound=bound, observation_key=observation_key, check_env=check_env
        )
        if not isinstance(env, gym.Env):
            raise EnvironmentSpecError(f"env is {env!r}: expected a gymnasium.Env, such as gym.make(env_id).")
        super().__init__(env)
        if skills is None:
            raise SettingsError(
                "SkillActionWrapper was given no skills. A spec does not hold a model: for an environment that can be "
                "made again from its spec, save the skills and give SkillActionWrapper the path of the file."
            )
        self.skills = skills if isinstance(skills, Skills) else Skills.load(skills)
        self._act = self.skills.folded()
        self.observation_space, self._key = check_fit(
            self.skills,
            env.observation_space,
            env.action_space,
            env_id=None if env.unwrapped.spec is None else env.unwrapped.spec.id,
            observation_key=observation_key,
            check_env=check_env,
        )
        self.action_space = skill_action_space(self.skills, bound)
        self._observation: np.ndarray | None = None
        self._env_steps = 0

    @property
    def task(self) -> Any:
        """The environment's task, where it has one; assigning another is :meth:`set_task`."""
        return self.env.get_wrapper_attr("task")

    @task.setter
    def task(self, task: Any) -> None:
        self.set_task(task)

    def get_wrapper_attr(self, name: str) -> Any:
        """As in Gymnasium; from a process of its own, the tasks of the script that runs can be sent."""
        return sendable(super().get_wrapper_attr(name))

    def set_task(self, task: Any) -> None:
        """Give the environment a task, which stays until changed; Gymnasium's own wrappers do not pass this on."""
        setter_of(self.env)(task)

    def _read(self, observation: Any) -> np.ndarray:
        self._observation = np.array(observation if self._key is None else observation[self._key])
        return self._observation  # a copy: some environments change one array in place

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        result = self.env.reset(seed=seed, options=options)
        raw, info = checked_reset(result, self.env.observation_space, "The environment")
        self._env_steps = 0
        return self._checked(raw, 0.0, info), info

    def _checked(self, raw: Any, reward: float, info: dict[str, Any]) -> np.ndarray:
        observation = self._read(raw)
        task = [info["task"]] if "task" in info else None
        check_numbers(observation[None], np.array([reward]), np.array([self._env_steps]), task)
        return observation

    @small_products()
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self._observation is None:
            raise gym.error.ResetNeeded("Call reset before step.")
        z = np.asarray(action, np.float32)[None]
        observation, total, observations = self._observation, 0.0, []
        successes: list[bool | None] = []
        for _ in range(self.skills.horizon):
            result = self.env.step(self._act(observation[None], z)[0])
            raw, reward, terminated, truncated, info = checked_step(
                result, self.env.observation_space, "The environment"
            )
            self._env_steps += 1
            observation = self._checked(raw, reward, info)
            observations.append(observation)
            total += reward
            successes.append(success_of(info, "The environment"))
            if terminated or truncated:
                break
        if any(success is not None for success in successes):
            info = info | {"is_success": any(successes)}
        info = info | {"skill_steps": len(observations), "skill_observations": np.stack(observations)}
        return observation, total, terminated, truncated, info
