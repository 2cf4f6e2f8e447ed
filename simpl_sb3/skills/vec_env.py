"""``SkillVecEnv``: many task environments whose actions are skills, with one decoder call per env step for all."""

import operator
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import find_highest_version, get_env_id, parse_env_id
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from simpl_sb3.errors import EnvironmentSpecError, SettingsError
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.checks import check_numbers, successes_of
from simpl_sb3.skills.fit import check_fit, skill_action_space
from simpl_sb3.skills.held_envs import (
    HeldEnvs,
    HeldVectorEnv,
    call_envs,
    generator_states,
    generators_of,
    get_attr_of,
    infos_of,
    set_attr_of,
)
from simpl_sb3.threads import small_products

__all__ = ["SkillVecEnv", "make_skill_vec_env"]

OWN_STATE = ("active", "returns", "lengths", "env_steps", "observations")


class SkillVecEnv(VecEnv):
    """
    ``SkillActionWrapper`` for many environments at once, as a Stable-Baselines3 ``VecEnv`` (ended environments reset
    themselves).

    ``info`` is that of the wrapper, and at the end of an episode also SB3's: ``terminal_observation``,
    ``TimeLimit.truncated`` and ``episode`` (return, and length in skills). ``env_method`` knows ``set_task``,
    ``reset``, and what the environments have.

    :param envs: a Gymnasium ``VectorEnv`` that is a :class:`~simpl_sb3.skills.held_envs.HeldVectorEnv`, or
        constructors of plain environments
    :param skills: skills, or the path of saved ones
    :param bound: half-width b of the action space Box(-b, b, (Z,)); None takes ``skills.action_bound``
    :param observation_key: which part of Dict observations the skills read; None takes the skills' own key
    :param check_env: refuse an environment of another id, or with other bounds of its observations, than the one that
        the skills were extracted from
    :raises EnvironmentSpecError: for a vector environment that resets by itself or does not hold ended environments,
        and as ``SkillActionWrapper``; when stepped, for NaN, infinite or absurdly large observations and rewards
    :raises SkillMismatchError: as ``SkillActionWrapper``
    """

    def __init__(
        self,
        envs: VectorEnv | Sequence[Callable[[], gym.Env]],
        skills: Skills | str | Path,
        bound: float | None = None,
        *,
        observation_key: str | None = None,
        check_env: bool = True,
    ) -> None:
        self.envs: HeldVectorEnv = _held(envs)
        self.skills = skills if isinstance(skills, Skills) else Skills.load(skills)
        self._act = self.skills.folded()
        observation_space, self._key = check_fit(
            self.skills,
            self.envs.single_observation_space,
            self.envs.single_action_space,
            env_id=getattr(self.envs.spec, "id", None),
            observation_key=observation_key,
            check_env=check_env,
        )
        self.render_mode = self.envs.render_mode
        super().__init__(self.envs.num_envs, observation_space, skill_action_space(self.skills, bound))
        self._actions = np.zeros((self.num_envs, self.skills.skill_dim), np.float32)
        self._active = np.ones(self.num_envs, bool)
        self._returns = np.zeros(self.num_envs)
        self._lengths, self._env_steps = np.zeros((2, self.num_envs), int)  # of the episodes that run; skills are steps
        self._observations = np.zeros((self.num_envs, *observation_space.shape), np.float32)

    def __repr__(self) -> str:
        name = getattr(self.envs.spec, "id", None) or type(self.envs).__name__
        skills = f"skills {self.action_space.shape} of {self.skills.horizon} env steps"
        return f"<SkillVecEnv: {self.num_envs} x {name}, {skills}>"

    def _read(self, observations: Any) -> np.ndarray:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
            return np.array(observations if self._key is None else observations[self._key], np.float32)

    def _reset(self, mask: np.ndarray, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        observations, infos = self.envs.reset(seed=seed, options={**(options or {}), "reset_mask": mask})
        read = self._read(observations)
        if read.shape != self._observations.shape:
            raise EnvironmentSpecError(
                f"The vector environment's observations have shape {read.shape}; expected {self._observations.shape}."
            )
        check_numbers(read, np.zeros(self.num_envs), np.zeros(self.num_envs, int), infos.get("task"))
        self._observations[mask] = read[mask]
        self._returns[mask], self._lengths[mask], self._env_steps[mask] = 0.0, 0, 0
        indices = np.flatnonzero(mask)
        for i, own in zip(indices.tolist(), infos_of(infos, indices), strict=True):
            self.reset_infos[i] = own

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

    @small_products()
    def step_wait(self) -> VecEnvStepReturn:
        running = self._active.copy()
        rewards, steps = np.zeros(self.num_envs), np.zeros(self.num_envs, int)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        observed = np.empty((self.skills.horizon, *self._observations.shape), np.float32)  # (H, B, O)
        succeeded, known = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        told: list[dict[str, Any]] = []  # the vector environment's infos after each env step
        observations = self._observations
        for step in range(self.skills.horizon):
            raw, reward, now_terminated, now_truncated, info = self.envs.step(self._act(observations, self._actions))
            read = self._read(raw)
            check_numbers(read, reward, self._env_steps + steps + 1, info.get("task"))
            observations = np.where(self._column(running), read, observations)
            observed[step] = observations
            rewards[running] += reward[running]
            steps[running] += 1
            success, says = successes_of(info, self.num_envs)
            succeeded |= running & success
            known |= running & says
            told.append(info)
            terminated |= running & now_terminated
            truncated |= running & now_truncated
            running &= ~(terminated | truncated)
            if not running.any():
                break
        self._observations = observations
        self._returns += rewards
        self._lengths += self._active
        self._env_steps += steps
        infos = self._infos(told, observed, steps)
        for i in np.flatnonzero(known).tolist():
            infos[i]["is_success"] = bool(succeeded[i])
        dones = terminated | truncated
        self._finish(dones, terminated, infos)
        return self._observations.copy(), rewards.astype(np.float32), dones, infos

    def _column(self, mask: np.ndarray) -> np.ndarray:
        return mask.reshape(-1, *[1] * (self._observations.ndim - 1))

    def _infos(self, told: list[dict[str, Any]], observed: np.ndarray, steps: np.ndarray) -> list[dict[str, Any]]:
        """Each environment's info at its own last env step, those with equally many at once."""
        infos: list[dict[str, Any]] = [{}] * self.num_envs
        for n_steps in np.unique(steps).tolist():
            indices = np.flatnonzero(steps == n_steps)
            owns = infos_of(told[n_steps - 1] if n_steps else {}, indices)
            for i, own in zip(indices.tolist(), owns, strict=True):
                own["skill_steps"], own["skill_observations"] = n_steps, observed[:n_steps, i]
                infos[i] = own
        return infos

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
        if method_name == "set_task":
            self.envs.set_task(*args, **kwargs | {"indices": chosen})
            return [None] * len(chosen)
        return call_envs(self.envs, chosen, method_name, *args, **kwargs)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        chosen = list(self._get_indices(indices))
        if attr_name == "skills":
            return [self.skills] * len(chosen)
        return get_attr_of(self.envs, chosen, attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        set_attr_of(self.envs, list(self._get_indices(indices)), attr_name, value)

    @property
    def holds_episodes(self) -> bool:
        """Whether :meth:`get_state` holds the episodes that run, or only what the next ones depend on."""
        return hasattr(self.envs, "get_state") and not isinstance(self.envs, HeldEnvs)

    def get_state(self) -> dict[str, np.ndarray]:
        """
        What the coming steps depend on, but for the tasks: see ``simpl_envs.vector_env``. Of plain environments, and of
        vector environments without ``get_state``, the random generators alone.
        """
        own = {name: getattr(self, f"_{name}").copy() for name in OWN_STATE}
        if hasattr(self.envs, "get_state"):
            theirs = self.envs.get_state()
        else:
            theirs = {"rngs": generator_states(self.envs.get_attr("np_random"))}
        return own | {f"envs.{name}": array for name, array in theirs.items()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """
        Go on from a state of :meth:`get_state`. Where it does not hold the episodes that run (``holds_episodes``),
        every environment is to be reset before it is stepped.

        :raises ValueError: for a state of other environments, or another number of them
        """
        for name in OWN_STATE:
            own, given = getattr(self, f"_{name}"), state[name]
            if (given.shape, given.dtype) != (own.shape, own.dtype) or not np.isfinite(given).all():
                raise ValueError(
                    f"Expected a state of {self.num_envs} environments with {name} of {own.shape} {own.dtype}, "
                    f"got {given.shape} {given.dtype}"
                )
        theirs = {name.removeprefix("envs."): array for name, array in state.items() if name.startswith("envs.")}
        if hasattr(self.envs, "set_state"):
            self.envs.set_state(theirs)
        else:
            self.envs.set_attr("np_random", generators_of(theirs["rngs"]))
        self.set_active(state["active"])
        for name in OWN_STATE[1:]:
            setattr(self, f"_{name}", state[name].copy())

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """True for ``Monitor``: the infos hold what it would write. False for every other wrapper."""
        return [wrapper_class is Monitor] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[np.ndarray | None]:
        return list(self.envs.render() or [None] * self.num_envs)

    def close(self) -> None:
        self.envs.close()


def _held(envs: VectorEnv | VecEnv | Sequence[Callable[[], gym.Env]]) -> HeldVectorEnv:
    """
    The vector environment, or one made of constructors.

    :raises EnvironmentSpecError: for one that resets by itself, or does not hold ended environments
    """
    constructors = "give SkillVecEnv the constructors of plain environments, [make_env] * n"
    if isinstance(envs, VecEnv):
        raise EnvironmentSpecError(f"{type(envs).__name__} is a Stable-Baselines3 vector environment: {constructors}.")
    if not isinstance(envs, VectorEnv):
        if not isinstance(envs, Sequence) or not all(map(callable, envs)):
            raise EnvironmentSpecError(f"envs is {envs!r}: expected a Gymnasium vector environment, or {constructors}.")
        return HeldEnvs(envs)
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.DISABLED:
        raise EnvironmentSpecError(
            f"SkillVecEnv resets by itself: make the vector environment with AutoresetMode.DISABLED, not {mode}."
        )
    if missing := [name for name in ("set_active", "set_task") if not hasattr(envs, name)]:
        raise EnvironmentSpecError(
            f"{type(envs).__name__} has no {' and no '.join(missing)}: it cannot hold the environments that have ended "
            f"while a skill goes on in the others. Instead, {constructors}."
        )
    return cast(HeldVectorEnv, envs)  # asked by name: Protocols do not see metadata and spaces


def _registered_id(env_id: str) -> str:
    """
    The full id of a registered environment, as ``gym.make`` finds it: ``module:Name-v0`` imports the module first, and
    ``Name`` is the newest version.

    :raises EnvironmentSpecError: for an id that is not registered
    """
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            import_module(module)
        namespace, plain, version = parse_env_id(name)
        version = find_highest_version(namespace, plain) if version is None else version
        return gym.spec(get_env_id(namespace, plain, version)).id
    except (gym.error.Error, ImportError) as error:
        raise EnvironmentSpecError(f"no environment {env_id!r}: {error}") from error


def _native_envs(env_id: str, n_envs: int, env_kwargs: Mapping[str, Any]) -> Any:
    """The environment's own vector form, where it has one that holds ended environments; None otherwise."""
    if gym.spec(env_id).vector_entry_point is None:
        return None
    how: dict[str, Any] = {"vectorization_mode": "vector_entry_point", "autoreset_mode": AutoresetMode.DISABLED}
    try:
        envs: Any = gym.make_vec(env_id, n_envs, **how, **env_kwargs)
    except TypeError:  # it takes no autoreset_mode; of wrong arguments the plain environment tells
        return None
    if envs.metadata.get("autoreset_mode") == AutoresetMode.DISABLED and hasattr(envs, "set_active"):
        return envs
    envs.close()
    return None


def make_skill_vec_env(
    env_id: str | Callable[..., gym.Env],
    skills: Skills | str | Path,
    n_envs: int = 40,
    *,
    seed: int | None = None,
    bound: float | None = None,
    observation_key: str | None = None,
    check_env: bool = True,
    **env_kwargs: Any,
) -> SkillVecEnv:
    """
    Many environments in one line: the environment's native vector form where it has one, plain ones in turn otherwise.

    :param env_id: a registered id (also ``module:Name-v0``, or without version for the newest), or a constructor of
        one environment
    :param skills: skills, or the path of saved ones
    :param n_envs: number of environments; for meta-training, the number of training tasks is a good choice
    :param seed: seed of the first reset
    :param bound: see :class:`SkillVecEnv`
    :param observation_key: see :class:`SkillVecEnv`
    :param check_env: see :class:`SkillVecEnv`
    :param env_kwargs: passed on to the environment
    :raises EnvironmentSpecError: for an id that is not registered, and as ``SkillVecEnv``
    :raises SettingsError: for ``n_envs`` that is not a whole number above 0
    """
    if isinstance(n_envs, bool) or not hasattr(n_envs, "__index__") or n_envs < 1:
        raise SettingsError(f"n_envs is {n_envs!r}: expected a whole number of at least 1.")
    n_envs = operator.index(n_envs)
    envs: Any
    if isinstance(env_id, str):
        env_id = _registered_id(env_id)
    elif not callable(env_id):
        raise EnvironmentSpecError(f"env_id is {env_id!r}: expected a registered id, or a constructor.")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
        raise SettingsError(f"seed is {seed!r}: expected None or a whole number of at least 0.")
    envs = _native_envs(env_id, n_envs, env_kwargs) if isinstance(env_id, str) else None
    if envs is None:

        def make() -> gym.Env:
            return gym.make(env_id, **env_kwargs) if isinstance(env_id, str) else env_id(**env_kwargs)

        envs = [make] * n_envs
    vec_env = SkillVecEnv(envs, skills, bound, observation_key=observation_key, check_env=check_env)
    vec_env.seed(seed)
    return vec_env
