"""
SimplKitchen: a robot arm completes four subtasks in the order asked, one kitchen or many at once.

Observation (60,): 9 robot and 21 object positions (rad, m), noisy, then 30 numbers that never change; action (9,):
joint velocities over 2 rad/s; one env step is 0.08 s. Reward 1 for each subtask in its turn, the end of the episode
with the fourth. Simulation and noise are D4RL's (kitchen_physics.py), reward and task sets as published (tasks.py).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode

from simpl_envs.errors import TaskError
from simpl_envs.kitchen.constants import GOAL_HALF, N_POSITIONS, N_ROBOT, POSITION_BOUND
from simpl_envs.kitchen.physics import KitchenCamera, KitchenPool, KitchenSimulation, Physics
from simpl_envs.kitchen.tasks import KITCHEN_TASK_SETS, SUBTASKS, SubtaskSequence, completed_subtasks
from simpl_envs.vector_env import BoolArray, Indices, TaskVectorEnv

__all__ = ["GOAL_HALF", "SimplKitchenEnv", "SimplKitchenVectorEnv", "kitchen_task", "kitchen_tasks"]

TaskLike = SubtaskSequence | str
TaskSet = str | Sequence[TaskLike]

MAX_EPISODE_STEPS = 280


def kitchen_task(task: object) -> SubtaskSequence:
    """
    A task from itself or from its name, such as "5021".

    :raises TaskError: for anything else
    """
    if isinstance(task, SubtaskSequence):
        return task
    if isinstance(task, str):
        return SubtaskSequence.from_name(task)
    raise TaskError(f"Expected a SubtaskSequence or its name, such as '5021', as a kitchen's task, got {task!r}")


def kitchen_tasks(tasks: TaskSet) -> tuple[SubtaskSequence, ...]:
    """
    The tasks of a published set's name ("train", "target"), or the given tasks or their names.

    :raises TaskError: for an unknown set, no task at all, or something that is not a task
    """
    if isinstance(tasks, str):
        if tasks not in KITCHEN_TASK_SETS:
            raise TaskError(f"Expected a task set among {sorted(KITCHEN_TASK_SETS)}, got {tasks!r}")
        return KITCHEN_TASK_SETS[tasks]
    if not isinstance(tasks, Iterable) or not tasks:
        raise TaskError(f"Expected the name of a task set or at least one kitchen task, got {tasks!r}")
    return tuple(kitchen_task(task) for task in tasks)


def _spaces() -> tuple[Box, Box]:
    observations = Box(-POSITION_BOUND, POSITION_BOUND, (2 * N_POSITIONS,), dtype=np.float32)
    return observations, Box(-1.0, 1.0, (N_ROBOT,), dtype=np.float32)


def _check_render_mode(render_mode: str | None) -> None:
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"Expected render_mode None or 'rgb_array', got {render_mode!r}")


class SimplKitchenEnv(gym.Env[npt.NDArray[np.float32], npt.NDArray[np.float32]]):
    """
    One kitchen.

    The task stays until changed, through :meth:`set_task` or ``reset(options={"task": task})``; the observation never
    shows it. ``info["task"]`` is its name; ``info["is_success"]`` whether all four subtasks have been completed in
    order; ``info["completed_subtasks"]`` the names of those that have been complete in this episode, in the order they
    first were, asked for or not. ``gym.make`` adds the time limit of 280 env steps.

    :param train_tasks: name of a published set, or tasks or their names; the first one is the first task
    :param test_tasks: the same for evaluation
    :param noise: factor on D4RL's observation noise, which also enters the control; 0 for none
    :param physics: ``"published"`` or ``"fast"``, see :func:`simpl_envs.kitchen.physics.load_model`
    :param render_mode: None or ``"rgb_array"``, which needs no display
    :param width: of a picture, pixels
    :param height: of a picture, pixels
    :raises SimplError: for an unknown task, task set or physics, or a negative noise
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 12.5}

    def __init__(
        self,
        train_tasks: TaskSet = "train",
        test_tasks: TaskSet = "target",
        noise: float = 1.0,
        physics: Physics = "published",
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
    ) -> None:
        _check_render_mode(render_mode)
        self.train_tasks, self.test_tasks = kitchen_tasks(train_tasks), kitchen_tasks(test_tasks)
        self.observation_space: Any
        self.action_space: Any
        self.observation_space, self.action_space = _spaces()
        self.render_mode = render_mode
        self.simulation = KitchenSimulation(physics, noise)
        self._size = (width, height)
        self._camera: KitchenCamera | None = None
        self._started = False
        self._completed: tuple[int, ...] = ()
        self.set_task(self.train_tasks[0])

    @property
    def completed(self) -> tuple[str, ...]:
        """Names of the subtasks that have been complete in this episode, in the order they first were."""
        return tuple(SUBTASKS[subtask] for subtask in self._completed)

    @property
    def completed_indices(self) -> tuple[int, ...]:
        """The same as positions in ``SUBTASKS``."""
        return self._completed

    @property
    def n_rewarded(self) -> int:
        """Subtasks of the task that were rewarded in this episode."""
        return self._n_rewarded

    def go_on(self, completed: tuple[int, ...], n_rewarded: int) -> None:
        """
        Take up an episode where its simulation was set to another state.

        :param completed: as ``completed_indices``
        :param n_rewarded: as ``n_rewarded``
        """
        self._started, self._completed, self._n_rewarded = True, completed, n_rewarded

    @property
    def task(self) -> SubtaskSequence:
        """The task that is rewarded now; assigning one is :meth:`set_task`."""
        return self._task

    @task.setter
    def task(self, task: TaskLike) -> None:
        self.set_task(task)

    def set_task(self, task: TaskLike) -> None:
        """
        Change the task, at once and until the next change; none of its subtasks has been rewarded yet.

        :param task: a task, or its name
        :raises TaskError: when it is neither
        """
        self._task = kitchen_task(task)
        self._n_rewarded = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """
        Start an episode, always from the published pose.

        :param seed: of the observation noise
        :param options: ``"task"``: the task, or its name, from now on
        """
        super().reset(seed=seed)
        options = options or {}
        if unknown := set(options) - {"task"}:
            raise ValueError(f"Expected reset options among ['task'], got {sorted(unknown)}")
        if "task" in options:
            self.set_task(options["task"])
        observation = self.begin(self.np_random)
        return observation, self._info(False)

    def step(
        self, action: npt.NDArray[np.floating[Any]]
    ) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One env step of 0.08 s; the action is clipped to [-1, 1]."""
        if not self._started:
            raise gym.error.ResetNeeded("Cannot call step before reset")
        velocity = np.asarray(action, dtype=np.float64)
        if velocity.shape != (N_ROBOT,) or not np.isfinite(velocity).all():
            raise ValueError(f"Expected an action of {N_ROBOT} finite numbers, got {action!r}")
        observation, reward, success = self.judge(self.simulation.step(velocity))
        return observation, reward, success, False, self._info(success)

    def begin(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """
        Start an episode with a given source of noise.

        :return: the observation, (60,)
        """
        self._started, self._n_rewarded, self._completed = True, 0, ()
        return self._observation(self.simulation.reset(rng))

    def judge(self, positions: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], float, bool]:
        """
        What a simulated step is worth: the task's own pure functions on the very observation that the agent gets.

        :param positions: as observed after the step, (30,)
        :return: observation (60,), reward, whether the task is finished
        """
        observation = self._observation(positions)
        complete = completed_subtasks(observation[None])
        news = [i for i in np.flatnonzero(complete[0]).tolist() if i not in self._completed]
        self._completed += tuple(news)
        n_rewarded = int(self.task.count_rewarded(complete, self._n_rewarded)[0])
        reward, self._n_rewarded = float(n_rewarded - self._n_rewarded), n_rewarded
        return observation, reward, n_rewarded == len(self.task.subtasks)

    def render(self) -> npt.NDArray[np.uint8] | None:
        """An RGB picture, (height, width, 3); None without a render mode or before the first reset."""
        if self.render_mode is None or not self._started:
            return None
        self._camera = self._camera or KitchenCamera(self.simulation.model, *self._size)
        return self._camera.picture(self.simulation.data)

    def close(self) -> None:
        """Free the renderer, if there is one."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _observation(self, positions: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        bounded = np.clip(positions, -POSITION_BOUND, POSITION_BOUND).astype(np.float32)
        return np.concatenate([bounded, GOAL_HALF])

    def _info(self, success: bool) -> dict[str, Any]:
        return {"task": self.task.name, "is_success": success, "completed_subtasks": self.completed}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_camera": None}


class SimplKitchenVectorEnv(TaskVectorEnv[SubtaskSequence]):
    """
    Many kitchens in one process, stepped on all cores: ``gym.make_vec("SimplKitchen-v0", num_envs=16)``.

    Sub-environment i equals the :class:`SimplKitchenEnv` seeded ``seed + i`` to the bit. On tasks, resets, auto-reset
    and held sub-environments see :class:`TaskVectorEnv`; tasks may be given by name. ``infos["completed_subtasks"]`` is
    an object array of tuples of names.

    :param num_envs: number of kitchens, N
    :param max_episode_steps: env steps; None for no limit
    :param autoreset_mode: an ``AutoresetMode`` or its value
    :param nthread: threads that simulate, all cores by default
    :param train_tasks: as in :class:`SimplKitchenEnv`, and so are the other parameters; ``render`` gives N pictures
    """

    metadata: dict[str, Any] = {**TaskVectorEnv.metadata, **SimplKitchenEnv.metadata}

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = MAX_EPISODE_STEPS,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        nthread: int | None = None,
        train_tasks: TaskSet = "train",
        test_tasks: TaskSet = "target",
        noise: float = 1.0,
        physics: Physics = "published",
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
    ) -> None:
        sets = kitchen_tasks(train_tasks), kitchen_tasks(test_tasks)
        self.kitchens = tuple(
            SimplKitchenEnv(*sets, noise, physics, render_mode, width, height) for _ in range(num_envs)
        )
        self._pool = KitchenPool([kitchen.simulation for kitchen in self.kitchens], nthread)
        super().__init__(num_envs, max_episode_steps, autoreset_mode, *sets, *_spaces(), render_mode)

    def _check_task(self, task: object) -> SubtaskSequence:
        return kitchen_task(task)

    def _task_changed(self, index: int, task: SubtaskSequence) -> None:
        self.kitchens[index].set_task(task)

    def _start(
        self, indices: Indices, rngs: list[np.random.Generator], options: dict[str, Any]
    ) -> npt.NDArray[np.float32]:
        observations = [self.kitchens[index].begin(rng) for index, rng in zip(indices.tolist(), rngs, strict=True)]
        return np.array(observations, dtype=np.float32).reshape(len(indices), 2 * N_POSITIONS)

    def _advance(
        self, indices: Indices, actions: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], BoolArray, BoolArray]:
        positions = self._pool.step(indices.tolist(), actions)
        judged = [self.kitchens[i].judge(p) for i, p in zip(indices.tolist(), positions, strict=True)]
        observations, rewards, success = zip(*judged, strict=True)
        finished = np.array(success, dtype=bool)
        return np.array(observations), np.array(rewards, dtype=np.float64), finished, finished

    def _infos(self, mask: BoolArray) -> dict[str, Any]:
        completed = np.empty(self.num_envs, dtype=object)
        for index, kitchen in enumerate(self.kitchens):
            completed[index] = kitchen.completed
        return {**super()._infos(mask), "completed_subtasks": completed, "_completed_subtasks": mask.copy()}

    def _own_state(self) -> dict[str, npt.NDArray[Any]]:
        completed = np.full((self.num_envs, len(SUBTASKS)), -1)
        for index, kitchen in enumerate(self.kitchens):
            completed[index, : len(kitchen.completed)] = kitchen.completed_indices
        return {
            "simulations": np.array([kitchen.simulation.get_state() for kitchen in self.kitchens]),
            "completed": completed,
            "rewarded": np.array([kitchen.n_rewarded for kitchen in self.kitchens]),
        }

    def _take_own_state(self, state: dict[str, npt.NDArray[Any]]) -> None:
        parts = zip(self.kitchens, self._rngs, state["completed"], state["rewarded"], state["simulations"], strict=True)
        for kitchen, rng, completed, rewarded, simulation in parts:
            kitchen.simulation.set_state(simulation, rng)
            kitchen.go_on(tuple(completed[completed >= 0].tolist()), int(rewarded))

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """One picture per kitchen; None without a render mode."""
        pictures = [kitchen.render() for kitchen in self.kitchens]
        return tuple(picture for picture in pictures if picture is not None) or None

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the threads and free the renderers."""
        self._pool.close()
        for kitchen in self.kitchens:
            kitchen.close()
