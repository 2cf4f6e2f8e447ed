"""
Bookkeeping of a native vector environment: seeds, tasks, time limit, auto-reset, held sub-environments, infos.

What happens inside a step is left to a subclass, which simulates all its sub-environments at once.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from simpl_envs.errors import TaskError
from simpl_envs.tasks import Task

__all__ = ["TaskVectorEnv"]

_COUNTERS = ("observations", "elapsed", "terminated", "truncated", "success", "left_out")
TaskType = TypeVar("TaskType", bound=Task)
Indices = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Steps = tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], BoolArray, BoolArray, dict[str, Any]]


class TaskVectorEnv(gym.vector.VectorEnv[Any, Any, Any], Generic[TaskType]):
    """
    Many environments of one kind, each with its own task, time limit and random generator, stepped at once.

    Sub-environment i equals the single environment seeded ``seed + i``, step for step and to the bit. A subclass sets
    the simulation up, then calls ``super().__init__``, and writes ``_check_task``, ``_task_changed``, ``_start`` and
    ``_advance``; what it simulates it gives in ``_own_state`` and takes back in ``_take_own_state``.

    ``AutoresetMode.SAME_STEP`` (default) resets a finished sub-environment within the step that finished it, and gives
    what it last saw as ``infos["final_obs"]`` and ``infos["final_info"]``. ``NEXT_STEP`` resets it in the step after,
    whose action it ignores. With ``DISABLED`` it is *held*: until it is reset through
    ``reset(options={"reset_mask": ...})`` steps cost nothing and change nothing, give reward 0 and repeat its flags.

    :param num_envs: number of sub-environments, N
    :param max_episode_steps: env steps after which an episode is truncated; None for no limit
    :param autoreset_mode: an ``AutoresetMode`` or its value
    :param train_tasks: tasks for meta-training; every sub-environment begins with the first one
    :param test_tasks: tasks for evaluation
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
    reset_options: ClassVar[frozenset[str]] = frozenset({"tasks", "task", "reset_mask"})

    def __init__(
        self,
        num_envs: int,
        max_episode_steps: int | None,
        autoreset_mode: AutoresetMode | str,
        train_tasks: tuple[TaskType, ...],
        test_tasks: tuple[TaskType, ...],
        single_observation_space: Box,
        single_action_space: Box,
        render_mode: str | None = None,
    ) -> None:
        if num_envs < 1 or (max_episode_steps is not None and max_episode_steps < 1):
            raise ValueError(f"Expected num_envs >= 1 and max_episode_steps >= 1, got {num_envs}, {max_episode_steps}")
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.train_tasks, self.test_tasks = train_tasks, test_tasks
        self.single_observation_space, self.single_action_space = single_observation_space, single_action_space
        self.observation_space = batch_space(single_observation_space, num_envs)
        self.action_space = batch_space(single_action_space, num_envs)
        self._rngs: list[np.random.Generator] = [np.random.default_rng() for _ in range(num_envs)]
        self._tasks: list[TaskType] = [train_tasks[0]] * num_envs
        self._names = np.array([train_tasks[0].name] * num_envs, dtype=object)
        assert single_observation_space.shape is not None
        self._observations = np.zeros((num_envs, *single_observation_space.shape), dtype=np.float32)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._terminated = np.zeros(num_envs, dtype=bool)
        self._truncated = np.zeros(num_envs, dtype=bool)
        self._success = np.zeros(num_envs, dtype=bool)
        self._left_out = np.zeros(num_envs, dtype=bool)
        self._started = False
        self.set_task(train_tasks[0])

    # What a subclass writes

    @abstractmethod
    def _check_task(self, task: object) -> TaskType:
        """
        The task itself.

        :raises TaskError: when this environment cannot take it
        """

    @abstractmethod
    def _task_changed(self, index: int, task: TaskType) -> None:
        """A sub-environment has another task, at once."""

    @abstractmethod
    def _start(
        self, indices: Indices, rngs: list[np.random.Generator], options: dict[str, Any]
    ) -> npt.NDArray[np.float32]:
        """
        Put sub-environments at the start of an episode.

        :param indices: which, (B,)
        :param rngs: their random generators, B of them
        :return: their first observations, (B, O)
        """

    @abstractmethod
    def _advance(
        self, indices: Indices, actions: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], BoolArray, BoolArray]:
        """
        Step sub-environments once.

        :param indices: which, (B,)
        :param actions: theirs, finite, (B, A)
        :return: observations (B, O), rewards (B,), terminated (B,), success (B,)
        """

    def _own_state(self) -> dict[str, npt.NDArray[Any]]:
        """The subclass's part of :meth:`get_state`."""
        return {}

    def _take_own_state(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """The subclass's part of :meth:`set_state`; the random generators are set already."""

    # Everything that the coming steps depend on

    def get_state(self) -> dict[str, npt.NDArray[Any]]:
        """
        Simulation, random generators, time limits and flags of all sub-environments, as arrays without objects. Tasks
        are not in it: they are the caller's data.
        """
        counters = {name: getattr(self, f"_{name}").copy() for name in _COUNTERS}
        rngs = np.array([json.dumps(rng.bit_generator.state) for rng in self._rngs])
        return {**counters, "started": np.array(self._started), "rngs": rngs, **self._own_state()}

    def set_state(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """
        Go on from a state of :meth:`get_state`, to the bit, with the tasks that were set then (set them first).

        :raises ValueError: for a state of another environment or another number of them; nothing is changed then
        """
        own = self.get_state()
        for name, array in own.items():
            given = state.get(name)
            kind = None if given is None else (given.shape, given.dtype.kind)
            if kind != (array.shape, array.dtype.kind):
                raise ValueError(f"Expected {name} of shape {array.shape}, kind {array.dtype.kind}, got {kind}")
        generators = [json.loads(text) for text in state["rngs"]]
        for name in _COUNTERS:
            getattr(self, f"_{name}")[:] = state[name]
        self._started = bool(state["started"])
        for rng, generator in zip(self._rngs, generators, strict=True):
            rng.bit_generator.state = generator
        self._take_own_state({name: state[name] for name in own})

    # Tasks

    @property
    def tasks(self) -> tuple[TaskType, ...]:
        """The task of each sub-environment."""
        return tuple(self._tasks)

    def set_task(self, task: TaskType, indices: Sequence[int] | npt.NDArray[Any] | None = None) -> None:
        """
        Give sub-environments a task; it takes effect at once and stays until changed.

        :param indices: which sub-environments, all by default
        :raises TaskError: when the environment cannot take it
        """
        checked = self._check_task(task)
        for index in range(self.num_envs) if indices is None else indices:
            self._set_checked_task(int(index), checked)

    def _set_checked_task(self, index: int, task: TaskType) -> None:
        self._tasks[index] = task
        self._names[index] = task.name
        self._task_changed(index, task)

    def _set_tasks(self, options: dict[str, Any], indices: Indices) -> None:
        if "task" in options:
            self.set_task(options["task"], indices)
        if "tasks" in options:
            tasks = list(options["tasks"])
            if len(tasks) != self.num_envs:
                raise TaskError(f"Expected one task for each of {self.num_envs} sub-environments, got {len(tasks)}")
            checked = [(int(index), self._check_task(tasks[index])) for index in indices]
            for index, task in checked:
                self._set_checked_task(index, task)

    # Gymnasium

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """
        As in Gymnasium's vector environments: a method's results, or an attribute, one per sub-environment. What all
        share is the same for each; the task and the picture are each one's own.

        :raises AttributeError: for a name that is not known here
        """
        if name == "task":
            return self.tasks
        value = getattr(self, name)
        result = value(*args, **kwargs) if callable(value) else value
        own = name == "render" and isinstance(result, tuple) and len(result) == self.num_envs
        return result if own else (result,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute, one per sub-environment; see :meth:`call`."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """
        Set an attribute. Only tasks differ between sub-environments.

        :param name: ``"task"``, or an attribute that all share
        :param values: one value for all; or a list or tuple of N of them
        :raises TaskError: a task that the environment cannot take; nothing is changed then
        :raises ValueError: another number of values, or different values of an attribute that all share
        """
        each = list(values) if isinstance(values, list | tuple) else [values] * self.num_envs
        if len(each) != self.num_envs:
            raise ValueError(f"Expected one value of {name} or {self.num_envs}, got {len(each)}")
        if name == "task":
            checked = [self._check_task(task) for task in each]
            for index, task in enumerate(checked):
                self._set_checked_task(index, task)
        elif any(value is not each[0] and value != each[0] for value in each):
            raise ValueError(f"Expected one value of {name}, which all sub-environments share, got different ones")
        else:
            setattr(self, name, each[0])

    def set_active(self, active: BoolArray) -> None:
        """
        Leave sub-environments out of the coming steps, until they are active again: stepping them costs nothing,
        changes nothing, gives reward 0 and repeats their flags.

        :param active: (N,) bool
        """
        self._left_out = ~np.asarray(active, dtype=bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """
        Start new episodes.

        :param seed: a number s seeds sub-environment i with s + i; or one seed each
        :param options: ``"reset_mask"`` (N,) bool: only these are reset, seeded and given tasks; ``"tasks"``: N tasks;
            ``"task"``: one for all; and the subclass's own
        :return: observations (N, O) and infos, whose masks (``"_is_success"``) tell which were reset
        """
        options = dict(options or {})
        if unknown := set(options) - self.reset_options:
            raise ValueError(f"Expected reset options among {sorted(self.reset_options)}, got {sorted(unknown)}")
        mask = self._reset_mask(options.pop("reset_mask", None))
        seeds = self._seeds(seed)
        indices = np.flatnonzero(mask)
        self._set_tasks(options, indices)
        for index in indices.tolist():
            if (own_seed := seeds[index]) is not None:
                self._rngs[index], _ = gym.utils.seeding.np_random(own_seed)
        self._begin(indices, options)
        self._started = True
        return self._observations.copy(), self._infos(mask)

    def step(self, actions: npt.ArrayLike) -> Steps:
        """
        Step every sub-environment that is not held.

        :param actions: (N, A); those of held sub-environments are ignored
        :return: observations (N, O), rewards (N,), terminated (N,), truncated (N,), infos
        """
        if not self._started:
            raise gym.error.ResetNeeded("Cannot call step before reset")
        actions = self._check_actions(actions)
        rewards = np.zeros(self.num_envs)
        finished = self._terminated | self._truncated
        if finished.any() or self._left_out.any():
            active = np.flatnonzero(~(finished | self._left_out))
            if self.autoreset_mode == AutoresetMode.NEXT_STEP:
                self._begin(np.flatnonzero(finished & ~self._left_out), {})
        else:
            active = np.arange(self.num_envs)
        if active.size:
            self._step_active(active, actions, rewards)
        everything = np.ones(self.num_envs, dtype=bool)
        terminated, truncated = self._terminated.copy(), self._truncated.copy()
        done = terminated | truncated
        if self.autoreset_mode == AutoresetMode.SAME_STEP and done.any():
            final = self._final_infos(done)
            self._begin(np.flatnonzero(done), {})
            return self._observations.copy(), rewards, terminated, truncated, {**self._infos(everything), **final}
        return self._observations.copy(), rewards, terminated, truncated, self._infos(everything)

    def _step_active(self, active: Indices, actions: npt.NDArray[np.float64], rewards: npt.NDArray[np.float64]) -> None:
        selected = actions[active]
        if not np.isfinite(selected).all():
            raise ValueError("Expected finite actions, got NaN or infinity")
        self._observations[active], rewards[active], self._terminated[active], self._success[active] = self._advance(
            active, selected
        )
        self._elapsed[active] += 1
        if self.max_episode_steps is not None:
            self._truncated[active] = self._elapsed[active] >= self.max_episode_steps

    def _begin(self, indices: Indices, options: dict[str, Any]) -> None:
        self._observations[indices] = self._start(indices, [self._rngs[index] for index in indices], options)
        self._elapsed[indices] = 0
        self._terminated[indices] = self._truncated[indices] = self._success[indices] = False

    def _check_actions(self, actions: npt.ArrayLike) -> npt.NDArray[np.float64]:
        checked = np.asarray(actions, dtype=np.float64)
        if checked.shape != self.action_space.shape:
            raise ValueError(f"Expected actions of shape {self.action_space.shape}, got {checked.shape}")
        return checked

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None or isinstance(seed, int | np.integer):
            return [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"Expected {self.num_envs} seeds, got {len(seed)}")
        return list(seed)

    def _reset_mask(self, mask: object) -> BoolArray:
        if mask is None:
            return np.ones(self.num_envs, dtype=bool)
        fits = isinstance(mask, np.ndarray) and mask.shape == (self.num_envs,) and mask.dtype == np.bool_
        if not isinstance(mask, np.ndarray) or not fits or not mask.any():
            raise ValueError(f"Expected a reset_mask of shape ({self.num_envs},), bool, not all False, got {mask!r}")
        if not self._started and not mask.all():
            raise gym.error.ResetNeeded("The first reset resets every sub-environment, got a reset_mask with False")
        return mask

    def _infos(self, mask: BoolArray) -> dict[str, Any]:
        return {
            "is_success": self._success.copy(),
            "_is_success": mask.copy(),
            "task": self._names.copy(),
            "_task": mask.copy(),
        }

    def _final_infos(self, done: BoolArray) -> dict[str, Any]:
        final_observations = np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(done):
            final_observations[index] = self._observations[index].copy()
        return {
            "final_obs": final_observations,
            "_final_obs": done.copy(),
            "final_info": self._infos(done),
            "_final_info": done.copy(),
        }
