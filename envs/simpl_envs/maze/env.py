"""
SimplMaze: a point mass that pushes itself through a maze to a goal that it does not see.

Observation (x, y, vx, vy) in cells and cells/s, float32; action a planar force in [-1, 1]^2; one env step is 0.01 s,
about 0.05 cell. Reward 1 and the end of the episode within one cell of the goal, else 0. Dynamics, layout and task sets
are the published ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode

from simpl_envs.drawing import OffScreenRenderer
from simpl_envs.errors import TaskError
from simpl_envs.maze.layout import BODY_ORIGIN, PUBLISHED_LAYOUT, MazeLayout, as_layout, cell_of, random_goals
from simpl_envs.maze.physics import START_NOISE, MazeSimulator
from simpl_envs.maze.picture import draw_maze
from simpl_envs.maze.tasks import MAZE_TASK_SETS, GoalTask, goal_reached
from simpl_envs.simulator import mujoco
from simpl_envs.vector_env import BoolArray, Indices, TaskVectorEnv

__all__ = ["SimplMazeEnv", "SimplMazeVectorEnv", "maze_tasks"]

TaskSet = str | Sequence[GoalTask] | None
LayoutLike = str | MazeLayout | Mapping[str, float]

VELOCITY_BOUND = 10.0
"""Bound of the observed velocity, generously above the 5.23 that is seen, cells/s."""
RENDER_MODES = ["rgb_array", "rgb_array_top_down"]
IMAGE_SIZE = 480
"""Pixels along each side of a picture by MuJoCo."""
N_RANDOM_TASKS = (40, 10)
"""Number of training and test goals on a layout that is not the published one, as far as it has cells."""


def maze_tasks(tasks: str | Sequence[GoalTask], layout: MazeLayout = PUBLISHED_LAYOUT) -> tuple[GoalTask, ...]:
    """
    The tasks of a published set's name, or the given tasks, checked against a layout.

    :raises TaskError: for an unknown name, no task at all, a foreign type, or a goal that cannot be reached
    """
    if isinstance(tasks, str):
        if tasks not in MAZE_TASK_SETS:
            raise TaskError(f"Expected a task set among {sorted(MAZE_TASK_SETS)}, got {tasks!r}")
        tasks = MAZE_TASK_SETS[tasks]
    if not isinstance(tasks, Iterable) or not tasks:
        raise TaskError(f"Expected the name of a task set or at least one GoalTask, got {tasks!r}")
    return tuple(_check_task(task, layout) for task in tasks)


def _check_task(task: object, layout: MazeLayout) -> GoalTask:
    if not isinstance(task, GoalTask):
        raise TaskError(f"Expected a GoalTask as a maze's task, got {task!r}")
    layout.require_goal(task)
    return task


def _task_sets(
    train_tasks: TaskSet, test_tasks: TaskSet, layout: MazeLayout
) -> tuple[tuple[GoalTask, ...], tuple[GoalTask, ...]]:
    """Both task sets, by default train-40 and target, or random goals on a layout that is not the published one."""
    if layout == PUBLISHED_LAYOUT:
        train_tasks = "train-40" if train_tasks is None else train_tasks
        test_tasks = "target" if test_tasks is None else test_tasks
    if train_tasks is None or test_tasks is None:
        distance = min(5, int(layout.distances(layout.start).max()))
        n_cells = int((layout.distances(layout.start) >= distance).sum())
        n_test = min(N_RANDOM_TASKS[1], max(n_cells // 5, 1))
        goals = random_goals(layout, min(N_RANDOM_TASKS[0] + n_test, n_cells), 0, distance)
        train_tasks = (goals[n_test:] or goals) if train_tasks is None else train_tasks
        test_tasks = goals[:n_test] if test_tasks is None else test_tasks
    return maze_tasks(train_tasks, layout), maze_tasks(test_tasks, layout)


def _spaces(layout: MazeLayout) -> tuple[Box, Box]:
    high = np.array([layout.shape[0] - 1, layout.shape[1] - 1, VELOCITY_BOUND, VELOCITY_BOUND], dtype=np.float32)
    low = np.array([0, 0, -VELOCITY_BOUND, -VELOCITY_BOUND], dtype=np.float32)
    return Box(low, high, dtype=np.float32), Box(-1.0, 1.0, (2,), dtype=np.float32)


def _check_render_mode(render_mode: str | None) -> None:
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise ValueError(f"Expected render_mode None or one of {RENDER_MODES}, got {render_mode!r}")


def _start_state(layout: MazeLayout, rng: np.random.Generator, start: npt.ArrayLike | None) -> npt.NDArray[np.float64]:
    """
    State at the start of an episode, (4,).

    :param start: None for the layout's start with noise; (x, y) exactly, with a random velocity; or the whole state
    """
    position = np.asarray(layout.start) + rng.uniform(-START_NOISE, START_NOISE, 2)
    state = np.concatenate([position, START_NOISE * rng.standard_normal(2)])
    if start is None:
        return state
    given = np.asarray(start, dtype=np.float64)
    if given.shape not in {(2,), (4,)} or not np.isfinite(given).all():
        raise ValueError(f"Expected a start (x, y) or (x, y, vx, vy) of finite numbers, got {start!r}")
    if not layout.is_free(cell_of((given[0], given[1]))):
        raise ValueError(f"Expected a start in a free cell, got {start!r}, which lies in a wall or outside the maze")
    state[: len(given)] = given
    return state


class _MujocoPicture:
    """MuJoCo's own picture from above, rendered off screen."""

    def __init__(self, simulator: MazeSimulator) -> None:
        self.model = simulator.model
        self.data = mujoco.MjData(self.model)
        self.view = mujoco.MjvCamera()
        self.view.type, self.view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, self.model.camera("top").id
        self.renderer = OffScreenRenderer(self.model, IMAGE_SIZE, IMAGE_SIZE)

    def draw(self, state: npt.NDArray[np.float64], task: GoalTask) -> npt.NDArray[np.uint8]:
        goal = self.model.site("goal")
        goal.pos[:2] = np.asarray(task.goal) + BODY_ORIGIN
        goal.size[0] = task.radius
        self.data.qpos[:], self.data.qvel[:] = state[:2], state[2:]
        mujoco.mj_forward(self.model, self.data)
        return self.renderer.picture(self.data, self.view)


class SimplMazeEnv(gym.Env[npt.NDArray[np.float32], npt.NDArray[np.float32]]):
    """
    One maze.

    The task stays until changed, through :meth:`set_task` or ``reset(options={"task": task})``; the observation never
    shows it. ``info["task"]`` is its name, ``info["is_success"]`` whether this step reached the goal. ``gym.make`` adds
    the time limit of 2,000 env steps.

    ``render_mode="rgb_array"`` is MuJoCo's picture from above (off screen, slow without a graphics card);
    ``"rgb_array_top_down"`` is drawn without OpenGL, in a fraction of a millisecond. In both i points right and j up.

    :param train_tasks: name of a published set or tasks; ``"train-40"`` by default, 40 random goals on another layout
    :param test_tasks: the same for evaluation; ``"target"`` by default, 10 random goals on another layout
    :param layout: ``"published"``, a :class:`MazeLayout`, or ``{"seed": 3, "size": 20}`` for a random one
    :param render_mode: None, ``"rgb_array"`` or ``"rgb_array_top_down"``
    :raises TaskError: for an unknown task set, or a goal in a wall, outside or out of reach
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 100}

    def __init__(
        self,
        train_tasks: TaskSet = None,
        test_tasks: TaskSet = None,
        layout: LayoutLike = "published",
        render_mode: str | None = None,
    ) -> None:
        _check_render_mode(render_mode)
        self.layout = as_layout(layout)
        self.train_tasks, self.test_tasks = _task_sets(train_tasks, test_tasks, self.layout)
        self._task = self.train_tasks[0]
        self.observation_space: Any
        self.action_space: Any
        self.observation_space, self.action_space = _spaces(self.layout)
        self.render_mode = render_mode
        self._simulator = MazeSimulator(self.layout, nthread=1)
        self._state: npt.NDArray[np.float64] | None = None
        self._picture: _MujocoPicture | None = None

    @property
    def task(self) -> GoalTask:
        """The task that is rewarded now; assigning one is :meth:`set_task`."""
        return self._task

    @task.setter
    def task(self, task: GoalTask) -> None:
        self.set_task(task)

    def set_task(self, task: GoalTask) -> None:
        """
        Change the goal, at once and until the next change.

        :raises TaskError: when the goal lies in a wall, outside, or out of reach, or the task is none of a maze
        """
        self._task = _check_task(task, self.layout)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """
        Start an episode.

        :param options: ``"task"``: the task from now on; ``"start"``: exact (x, y) or (x, y, vx, vy) for this episode
        """
        super().reset(seed=seed)
        options = options or {}
        if unknown := set(options) - {"task", "start"}:
            raise ValueError(f"Expected reset options among ['start', 'task'], got {sorted(unknown)}")
        if "task" in options:
            self.set_task(options["task"])
        self._state = _start_state(self.layout, self.np_random, options.get("start"))
        return self._state.astype(np.float32), {"task": self.task.name, "is_success": False}

    def step(
        self, action: npt.NDArray[np.floating[Any]]
    ) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One env step of 0.01 s; the action is clipped to [-1, 1]."""
        if self._state is None:
            raise gym.error.ResetNeeded("Cannot call step before reset")
        force = np.asarray(action, dtype=np.float64)
        if force.shape != (2,) or not np.isfinite(force).all():
            raise ValueError(f"Expected an action of two finite numbers, got {action!r}")
        self._state = self._simulator.step(self._state[None], force[None])[0]
        observation = self._state.astype(np.float32)
        rewards, terminated = self.task.rewards(observation[None])
        reached = bool(terminated[0])
        return observation, float(rewards[0]), reached, False, {"task": self.task.name, "is_success": reached}

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The picture of the render mode, RGB; None without one."""
        if self.render_mode is None or self._state is None:
            return None
        if self.render_mode == "rgb_array_top_down":
            return draw_maze(self.layout, self.task.goal, self.task.radius, self._state)
        self._picture = self._picture or _MujocoPicture(self._simulator)
        return self._picture.draw(self._state, self.task)

    def close(self) -> None:
        """Free the renderer, if there is one."""
        if self._picture is not None:
            self._picture.renderer.close()
            self._picture = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_picture": None}


class SimplMazeVectorEnv(TaskVectorEnv[GoalTask]):
    """
    Many mazes in one process, simulated on all cores: ``gym.make_vec("SimplMaze-v0", num_envs=64)``.

    Sub-environment i equals the :class:`SimplMazeEnv` seeded ``seed + i`` to the bit. On tasks, resets, auto-reset and
    held sub-environments see :class:`TaskVectorEnv`; besides, ``reset(options={"starts": ...})``, an array (N, 2) or
    (N, 4), sets where each episode starts.

    :param num_envs: number of mazes, N
    :param max_episode_steps: env steps; None for no limit
    :param autoreset_mode: an ``AutoresetMode`` or its value
    :param nthread: threads that simulate, all cores by default
    :param train_tasks: as in :class:`SimplMazeEnv`, and so are the other parameters; ``render`` gives N pictures
    """

    metadata: dict[str, Any] = {**TaskVectorEnv.metadata, **SimplMazeEnv.metadata}
    reset_options: ClassVar[frozenset[str]] = TaskVectorEnv.reset_options | {"starts"}

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = 2000,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        nthread: int | None = None,
        train_tasks: TaskSet = None,
        test_tasks: TaskSet = None,
        layout: LayoutLike = "published",
        render_mode: str | None = None,
    ) -> None:
        _check_render_mode(render_mode)
        self.layout = as_layout(layout)
        self._simulator = MazeSimulator(self.layout, nthread)
        self._states = np.zeros((num_envs, 4))
        self._goals = np.zeros((num_envs, 2))
        self._radii = np.zeros(num_envs)
        self._picture: _MujocoPicture | None = None
        sets = _task_sets(train_tasks, test_tasks, self.layout)
        super().__init__(num_envs, max_episode_steps, autoreset_mode, *sets, *_spaces(self.layout), render_mode)

    def _check_task(self, task: object) -> GoalTask:
        return _check_task(task, self.layout)

    def _task_changed(self, index: int, task: GoalTask) -> None:
        self._goals[index], self._radii[index] = task.goal, task.radius

    def _start(
        self, indices: Indices, rngs: list[np.random.Generator], options: dict[str, Any]
    ) -> npt.NDArray[np.float32]:
        starts = options.get("starts")
        if starts is not None and len(starts) != self.num_envs:
            raise ValueError(f"Expected one start for each of {self.num_envs} sub-environments, got {len(starts)}")
        chosen = [None] * len(indices) if starts is None else [starts[index] for index in indices]
        if chosen:
            states = [_start_state(self.layout, rng, start) for rng, start in zip(rngs, chosen, strict=True)]
            self._states[indices] = states
        return self._states[indices].astype(np.float32)

    def _advance(
        self, indices: Indices, actions: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], BoolArray, BoolArray]:
        states = self._simulator.step(self._states[indices], actions)
        self._states[indices] = states
        observations = states.astype(np.float32)
        reached = goal_reached(observations, self._goals[indices], self._radii[indices])
        return observations, reached.astype(np.float64), reached, reached

    def _own_state(self) -> dict[str, npt.NDArray[Any]]:
        return {"states": self._states.copy()}

    def _take_own_state(self, state: dict[str, npt.NDArray[Any]]) -> None:
        self._states[:] = state["states"]

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """One picture per maze, as the single environment draws it; None without a render mode."""
        if self.render_mode is None or not self._started:
            return None
        pairs = list(zip(self._states, self._tasks, strict=True))
        if self.render_mode == "rgb_array_top_down":
            return tuple(draw_maze(self.layout, task.goal, task.radius, state) for state, task in pairs)
        self._picture = self._picture or _MujocoPicture(self._simulator)
        return tuple(self._picture.draw(state, task) for state, task in pairs)

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the threads and free the renderer."""
        self._simulator.close()
        if self._picture is not None:
            self._picture.renderer.close()
            self._picture = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_picture": None}
