"""``SkillVecEnv``: many task environments whose actions are skills, with one decoder call per env step for all."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from simpl_sb3.errors import EnvironmentSpecError
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.wrapper import SKILL_BOUND, check_skills_fit, skill_action_space


def info_of(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """One environment's part of a Gymnasium vector environment's infos, as the plain environment gives it."""
    own: dict[str, Any] = {}
    for key, values in infos.items():
        mask = infos.get(f"_{key}")
        if key.startswith("_") or (mask is not None and not mask[index]):
            continue
        if isinstance(values, dict):
            own[key] = info_of(values, index)
        elif isinstance(values, np.ndarray):
            own[key] = bool(values[index]) if values.dtype == bool and values.ndim == 1 else values[index]
    return own


class HeldEnvs(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """
    Plain environments, one after the other, each held where it ended until ``reset`` names it in ``reset_mask``.

    Gymnasium's ``SyncVectorEnv`` refuses to step while one of its environments has ended; a skill must go on for the
    others.

    :param env_fns: one constructor per environment
    """

    metadata = {"autoreset_mode": AutoresetMode.DISABLED}

    def __init__(self, env_fns: Sequence[Callable[[], gym.Env]]) -> None:
        self.envs = [make() for make in env_fns]
        self.num_envs = len(self.envs)
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.render_mode = self.envs[0].render_mode
        self.spec = self.envs[0].spec
        self._observations: list[Any] = [None] * self.num_envs
        self._flags = np.zeros((2, self.num_envs), bool)  # terminated, truncated
        self._active = np.ones(self.num_envs, bool)

    def _stacked(self) -> Any:
        first = self._observations[0]
        if isinstance(first, dict):
            return {key: np.stack([observation[key] for observation in self._observations]) for key in first}
        return np.stack(self._observations)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        options = dict(options or {})
        mask, tasks = options.pop("reset_mask", np.ones(self.num_envs, bool)), options.pop("tasks", None)
        infos = dict[str, Any]()
        for i in np.flatnonzero(mask):
            own = options | ({"task": tasks[i]} if tasks is not None and tasks[i] is not None else {})
            own_seed = None if seed is None else seed + int(i)
            self._observations[i], info = self.envs[i].reset(seed=own_seed, options=own or None)
            infos = self._add_info(infos, info, int(i))
        self._flags[:, mask] = False
        return self._stacked(), infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        rewards, infos = np.zeros(self.num_envs), dict[str, Any]()
        for i in np.flatnonzero(self._active & ~self._flags.any(axis=0)):
            self._observations[i], rewards[i], *self._flags[:, i], info = self.envs[i].step(actions[i])
            infos = self._add_info(infos, info, int(i))
        return self._stacked(), rewards, self._flags[0].copy(), self._flags[1].copy(), infos

    def set_active(self, active: np.ndarray) -> None:
        """Hold every environment outside ``active`` (num_envs,) bool, as if it had ended."""
        self._active = np.asarray(active, bool)

    def set_task(self, task: Any, indices: Iterable[int] | None = None) -> None:
        """Give environments another task, at once and until changed."""
        for i in range(self.num_envs) if indices is None else indices:
            self.envs[i].get_wrapper_attr("set_task")(task)

    def render(self) -> tuple[Any, ...]:
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        for env in self.envs:
            env.close()


class SkillVecEnv(VecEnv):
    """
    ``SkillActionWrapper`` for many environments at once, as a Stable-Baselines3 ``VecEnv`` (ended environments reset
    themselves).

    ``info`` is that of the wrapper, and at the end of an episode also SB3's: ``terminal_observation``,
    ``TimeLimit.truncated`` and ``episode`` (return, and length in env steps). ``env_method`` knows ``set_task``,
    ``reset``, and what the environments have.

    :param envs: a Gymnasium ``VectorEnv`` with ``AutoresetMode.DISABLED`` that holds ended environments and knows
        ``set_active``, or constructors of plain environments
    :param skills: a model, or the path of a saved one
    :param bound: half-width b of the action space Box(-b, b, (Z,))
    :raises EnvironmentSpecError: for a vector environment that resets by itself, and as ``SkillActionWrapper``
    :raises SkillMismatchError: as ``SkillActionWrapper``
    """

    def __init__(
        self,
        envs: VectorEnv | Sequence[Callable[[], gym.Env]],
        skills: SkillModel | str | Path,
        bound: float = SKILL_BOUND,
    ) -> None:
        # Any: Gymnasium has no type for a vector environment that knows set_active, set_task and tasks
        self.envs: Any = envs if isinstance(envs, VectorEnv) else HeldEnvs(envs)
        mode = self.envs.metadata.get("autoreset_mode")
        if mode != AutoresetMode.DISABLED:
            raise EnvironmentSpecError(
                f"SkillVecEnv resets by itself: make the vector environment with AutoresetMode.DISABLED, not {mode}."
            )
        self.skills = skills if isinstance(skills, SkillModel) else SkillModel.load(skills)
        offered = self.envs.single_observation_space
        observation_space = check_skills_fit(offered, self.envs.single_action_space, self.skills)
        self._key = self.skills.observation_key if isinstance(offered, gym.spaces.Dict) else None
        self.render_mode = self.envs.render_mode
        super().__init__(self.envs.num_envs, observation_space, skill_action_space(self.skills, bound))
        self._actions = np.zeros((self.num_envs, self.skills.skill_dim), np.float32)
        self._active = np.ones(self.num_envs, bool)
        self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, int)
        self._observations = np.zeros((self.num_envs, *observation_space.shape), np.float32)

    def _read(self, observations: Any) -> np.ndarray:
        return np.array(observations if self._key is None else observations[self._key], np.float32)

    def _reset(self, mask: np.ndarray, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        observations, infos = self.envs.reset(seed=seed, options={**(options or {}), "reset_mask": mask})
        self._observations[mask] = self._read(observations)[mask]
        self._returns[mask], self._lengths[mask] = 0.0, 0
        for i in np.flatnonzero(mask):
            self.reset_infos[i] = info_of(infos, int(i))

    def reset(self) -> VecEnvObs:
        """
        Start an episode in every environment, also in those that ``set_active`` had left out.

        Of what ``set_options`` gave, each environment has its own task, and everything else is the first environment's.
        """
        if not self._active.all():
            self.set_active(np.ones(self.num_envs, bool))
        for i, options in enumerate(self._options):
            if "task" in options:
                self.env_method("set_task", options["task"], indices=i)
        others = {key: value for key, value in self._options[0].items() if key != "task"}
        self._reset(np.ones(self.num_envs, bool), self._seeds[0], others)
        self._reset_seeds()
        self._reset_options()
        return self._observations.copy()

    def set_active(self, active: np.ndarray) -> None:
        """
        Leave environments out of the coming steps: they cost nothing, do not move, and return no reward and no end.

        :param active: (num_envs,) bool
        """
        self._active = np.asarray(active, bool)
        self.envs.set_active(self._active)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = np.asarray(actions, np.float32)

    def step_wait(self) -> VecEnvStepReturn:
        running = self._active.copy()
        rewards, steps = np.zeros(self.num_envs), np.zeros(self.num_envs, int)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        observed = np.empty((self.skills.horizon, *self._observations.shape), np.float32)  # (H, B, O)
        last: list[dict[str, Any]] = [{}] * self.num_envs  # the vector environment's infos at each one's last env step
        observations = self._observations
        for step in range(self.skills.horizon):
            low_level_actions = self.skills.act(observations, self._actions)
            raw, reward, now_terminated, now_truncated, info = self.envs.step(low_level_actions)
            observations = np.where(self._column(running), self._read(raw), observations)
            observed[step] = observations
            rewards[running] += reward[running]
            steps[running] += 1
            last = [info if runs else before for before, runs in zip(last, running, strict=True)]
            terminated |= running & now_terminated
            truncated |= running & now_truncated
            running &= ~(terminated | truncated)
            if not running.any():
                break
        self._observations = observations
        self._returns += rewards
        self._lengths += steps
        infos = self._infos(last, observed, steps)
        dones = terminated | truncated
        self._finish(dones, terminated, infos)
        return self._observations.copy(), rewards.astype(np.float32), dones, infos

    def _column(self, mask: np.ndarray) -> np.ndarray:
        return mask.reshape(-1, *[1] * (self._observations.ndim - 1))

    def _infos(self, last: list[dict[str, Any]], observed: np.ndarray, steps: np.ndarray) -> list[dict[str, Any]]:
        return [
            info_of(last[i], i) | {"skill_steps": int(steps[i]), "skill_observations": observed[: steps[i], i]}
            for i in range(self.num_envs)
        ]

    def _finish(self, dones: np.ndarray, terminated: np.ndarray, infos: list[dict[str, Any]]) -> None:
        """Note what SB3 expects at an episode's end, and reset the ended environments."""
        for i in np.flatnonzero(dones):
            infos[i]["terminal_observation"] = self._observations[i].copy()
            infos[i]["TimeLimit.truncated"] = not terminated[i]
            infos[i]["episode"] = {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": 0.0}
        if dones.any():
            self._observations = self._observations.copy()
            self._reset(dones)

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        chosen = list(self._get_indices(indices))
        if method_name == "reset":
            mask = np.zeros(self.num_envs, bool)
            mask[chosen] = True
            options = dict(kwargs.get("options") or {})
            if "task" in options:
                options["tasks"] = [options.pop("task")] * self.num_envs
            self._reset(mask, kwargs.get("seed"), options)
            return [(self._observations[i].copy(), self.reset_infos[i]) for i in chosen]
        if isinstance(self.envs, HeldEnvs):
            return [self.envs.envs[i].get_wrapper_attr(method_name)(*args, **kwargs) for i in chosen]
        if method_name == "set_task":
            self.envs.set_task(*args, indices=chosen, **kwargs)
            return [None] * len(chosen)
        result = getattr(self.envs, method_name)(*args, **kwargs)
        return [result] * len(chosen)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        chosen = list(self._get_indices(indices))
        if attr_name == "skills":
            return [self.skills] * len(chosen)
        if isinstance(self.envs, HeldEnvs):
            return [self.envs.envs[i].get_wrapper_attr(attr_name) for i in chosen]
        if attr_name == "task":
            return [self.envs.tasks[i] for i in chosen]
        return [getattr(self.envs, attr_name)] * len(chosen)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        if isinstance(self.envs, HeldEnvs):
            for i in self._get_indices(indices):
                self.envs.envs[i].set_wrapper_attr(attr_name, value)
        else:
            setattr(self.envs, attr_name, value)

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """``Monitor`` counts as a wrapper: what it would write into the infos is there."""
        return [wrapper_class is Monitor] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[np.ndarray | None]:
        return self.envs.render() or [None] * self.num_envs

    def close(self) -> None:
        self.envs.close()


def make_skill_vec_env(
    env_id: str | Callable[[], gym.Env],
    skills: SkillModel | str | Path,
    n_envs: int = 40,
    *,
    seed: int | None = None,
    bound: float = SKILL_BOUND,
    **env_kwargs: Any,
) -> SkillVecEnv:
    """
    Many environments in one line: the environment's native vector form where it has one, plain ones in turn otherwise.

    :param env_id: a registered id, or a constructor of one environment
    :param skills: a model, or the path of a saved one
    :param n_envs: how many; for meta-training, the number of training tasks is a good choice
    :param seed: seed of the first reset
    :param env_kwargs: passed on to the environment
    """
    if isinstance(env_id, str) and gym.spec(env_id).vector_entry_point is not None:
        envs: Any = gym.make_vec(
            env_id,
            n_envs,
            vectorization_mode="vector_entry_point",
            autoreset_mode=AutoresetMode.DISABLED,
            **env_kwargs,
        )
    else:
        make = (lambda: gym.make(env_id, **env_kwargs)) if isinstance(env_id, str) else (lambda: env_id(**env_kwargs))
        envs = [make] * n_envs
    vec_env = SkillVecEnv(envs, skills, bound)
    vec_env.seed(seed)
    return vec_env
