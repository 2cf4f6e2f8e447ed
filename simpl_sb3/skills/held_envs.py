"""Vector environments that hold their ended environments, and one that is made of plain environments."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from simpl_sb3.errors import EnvironmentSpecError
from simpl_sb3.skills.checks import checked_reset, checked_step, setter_of

__all__ = [
    "HeldEnvs",
    "HeldVectorEnv",
    "call_envs",
    "generator_states",
    "generators_of",
    "get_attr_of",
    "infos_of",
    "set_attr_of",
]


@runtime_checkable
class HeldVectorEnv(Protocol):
    """
    A Gymnasium ``VectorEnv`` with ``AutoresetMode.DISABLED`` that may be stepped while some of its environments have
    ended: those are held, at no cost, until ``reset(options={"reset_mask": ...})`` names them.
    """

    num_envs: int
    metadata: dict[str, Any]
    render_mode: str | None
    spec: Any
    single_observation_space: gym.Space[Any]
    single_action_space: gym.Space[Any]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """``options``: ``"reset_mask"`` (num_envs,) bool, ``"tasks"`` one task or None each, and the environment's."""
        ...

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As in Gymnasium; held environments repeat observation and flags, with reward 0."""
        ...

    def set_active(self, active: np.ndarray) -> None:
        """Hold every environment outside ``active`` (num_envs,) bool."""
        ...

    def set_task(self, task: Any, indices: Any = None) -> None:
        """Give environments another task, at once and until changed; None for all of them."""
        ...

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """A method's results, or an attribute, one per environment."""
        ...

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute, one per environment."""
        ...

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute: one value for all environments, or a list or tuple of one each."""
        ...

    def render(self) -> tuple[Any, ...] | None:
        """One picture per environment."""
        ...

    def close(self, **kwargs: Any) -> None:
        """Release what the environments hold."""
        ...


def generator_states(rngs: Iterable[np.random.Generator]) -> np.ndarray:
    """Random generators as an array of texts, (N,)."""
    return np.array([json.dumps(rng.bit_generator.state) for rng in rngs])


def generators_of(states: np.ndarray) -> list[np.random.Generator]:
    """
    The generators of :func:`generator_states`.

    :raises ValueError: for a text that is none of them
    """
    rngs = []
    for text in states:
        state = json.loads(str(text))
        kind = getattr(np.random, str(state.get("bit_generator")), None)
        if not (isinstance(kind, type) and issubclass(kind, np.random.BitGenerator)):
            raise ValueError(f"Expected a random generator of NumPy, got {state.get('bit_generator')!r}")
        rngs.append(np.random.Generator(kind()))
        rngs[-1].bit_generator.state = state
    return rngs


def infos_of(infos: dict[str, Any], indices: np.ndarray) -> list[dict[str, Any]]:
    """
    Some environments' parts of a Gymnasium vector environment's infos, as the plain environments give them; what is
    asked of a key is asked once for all.
    """
    owns: list[dict[str, Any]] = [{} for _ in indices]
    for key, values in infos.items():
        if key.startswith("_") or not isinstance(values, dict | np.ndarray):
            continue
        mask = infos.get(f"_{key}")
        told = [True] * len(owns) if mask is None else np.asarray(mask)[indices].tolist()
        if not any(told):
            continue
        if isinstance(values, dict):
            parts: list[Any] = infos_of(values, indices)
        elif values.ndim == 1 and values.dtype.kind in "bO":
            parts = values[indices].tolist()
        else:
            parts = [values[i] for i in indices]
        for own, part, tells in zip(owns, parts, told, strict=True):
            if tells:
                own[key] = part
    return owns


class HeldEnvs(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """
    Plain environments, one after the other, each held where it ended until ``reset`` names it in ``reset_mask``.

    Gymnasium's ``SyncVectorEnv`` refuses to step while one of its environments has ended; a skill must go on for the
    others.

    :param env_fns: one constructor per environment
    :raises EnvironmentSpecError: in ``reset`` and ``step``, for an environment that does not return what Gymnasium's do
    """

    metadata = {"autoreset_mode": AutoresetMode.DISABLED}

    def __init__(self, env_fns: Sequence[Callable[[], gym.Env]]) -> None:
        self.envs = [make() for make in env_fns]
        if not self.envs:
            raise EnvironmentSpecError("Given no environment: expected at least one constructor.")
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
        self._places = [f"Environment {i}" for i in range(self.num_envs)]

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
            result = self.envs[i].reset(seed=own_seed, options=own or None)
            self._observations[i], info = checked_reset(result, self.single_observation_space, self._places[i])
            infos = self._add_info(infos, info, int(i))
        self._flags[:, mask] = False
        return self._stacked(), infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        rewards, infos = np.zeros(self.num_envs), dict[str, Any]()
        for i in np.flatnonzero(self._active & ~self._flags.any(axis=0)):
            result = self.envs[i].step(actions[i])
            observation, reward, *flags, info = checked_step(result, self.single_observation_space, self._places[i])
            self._observations[i], rewards[i], self._flags[:, i] = observation, reward, flags
            infos = self._add_info(infos, info, int(i))
        return self._stacked(), rewards, self._flags[0].copy(), self._flags[1].copy(), infos

    def set_active(self, active: np.ndarray) -> None:
        """Hold every environment outside ``active`` (num_envs,) bool, as if it had ended."""
        self._active = np.asarray(active, bool)

    def set_task(self, task: Any, indices: Iterable[int] | None = None) -> None:
        """Give environments another task, at once and until changed."""
        for i in range(self.num_envs) if indices is None else indices:
            setter_of(self.envs[i])(task)

    def call(self, name: str, *args: Any, indices: Iterable[int] | None = None, **kwargs: Any) -> tuple[Any, ...]:
        """
        As in Gymnasium's vector environments: a method's results, or an attribute, one per environment.

        :param indices: the environments to ask, all by default
        """
        chosen = range(self.num_envs) if indices is None else indices
        found = [self.envs[i].get_wrapper_attr(name) for i in chosen]
        return tuple(value(*args, **kwargs) if callable(value) else value for value in found)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        return tuple(env.get_wrapper_attr(name) for env in self.envs)

    def set_attr(self, name: str, values: Any) -> None:
        each = values if isinstance(values, list | tuple) else [values] * self.num_envs
        if len(each) != self.num_envs:
            raise EnvironmentSpecError(f"Given {len(each)} values of {name}: expected one for all, or {self.num_envs}.")
        for env, value in zip(self.envs, each, strict=True):
            env.set_wrapper_attr(name, value)

    def get_state(self) -> dict[str, np.ndarray]:
        """The random generators: what an environment's episodes depend on before they begin."""
        return {"rngs": generator_states(self.get_attr("np_random"))}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """
        Take up the random generators; every environment is to be reset before it is stepped.

        :raises ValueError: for a state of another number of environments
        """
        if len(state["rngs"]) != self.num_envs:
            raise ValueError(f"Expected the generators of {self.num_envs} environments, got {len(state['rngs'])}")
        for env, rng in zip(self.envs, generators_of(state["rngs"]), strict=True):
            env.set_wrapper_attr("np_random", rng)

    def render(self) -> tuple[Any, ...]:
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        for env in self.envs:
            env.close()


def call_envs(envs: HeldVectorEnv, indices: list[int], name: str, *args: Any, **kwargs: Any) -> list[Any]:
    """A method's results in some environments; plain ones that are not named are left alone."""
    if isinstance(envs, HeldEnvs):
        return list(envs.call(name, *args, indices=indices, **kwargs))
    if not hasattr(envs, "call"):
        return [getattr(envs, name)(*args, **kwargs)] * len(indices)
    results = envs.call(name, *args, **kwargs)
    return [results[i] for i in indices]


def get_attr_of(envs: HeldVectorEnv, indices: list[int], name: str) -> list[Any]:
    """An attribute of some environments."""
    if hasattr(envs, "get_attr"):
        values = envs.get_attr(name)
        return [values[i] for i in indices]
    if name == "task":
        tasks: tuple[Any, ...] = getattr(envs, "tasks")  # noqa: B009 - the Protocol does not promise it
        return [tasks[i] for i in indices]
    return [getattr(envs, name)] * len(indices)


def set_attr_of(envs: HeldVectorEnv, indices: list[int], name: str, value: Any) -> None:
    """Set an attribute of some environments; the others keep theirs."""
    if not hasattr(envs, "set_attr"):
        setattr(envs, name, value)
        return
    values = [value] * envs.num_envs if len(indices) == envs.num_envs else list(envs.get_attr(name))
    for i in indices:
        values[i] = value
    envs.set_attr(name, values)  # one each: Gymnasium takes a single tuple for one value per environment
