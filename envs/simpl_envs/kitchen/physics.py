"""
The simulation of one kitchen: a Franka arm with a gripper before an oven, cabinets, a microwave and a kettle.

The scene is the one that Gymnasium-Robotics ships; control, reset pose and observation noise are those of D4RL's
kitchen (0.08 s per env step). Nothing here knows of rewards or of Gymnasium. Many kitchens share one compiled model and
step side by side in threads, because MuJoCo releases the interpreter while it simulates.
"""

import importlib.util
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from simpl_envs.drawing import OffScreenRenderer
from simpl_envs.errors import SimplError
from simpl_envs.kitchen.constants import GOAL_HALF, N_POSITIONS, N_ROBOT
from simpl_envs.simulator import mujoco

__all__ = [
    "ENV_STEP_SECONDS",
    "GOAL_HALF",
    "NOISE_AMPLITUDES",
    "N_POSITIONS",
    "N_ROBOT",
    "POSITION_BOUNDS",
    "RESET_POSITIONS",
    "VELOCITY_SCALE",
    "KitchenCamera",
    "KitchenPool",
    "KitchenSimulation",
    "Physics",
    "load_model",
]

Physics = Literal["published", "fast"]
"""Names of the two simulations."""
ENV_STEP_SECONDS = 0.08
"""Length of an env step, s."""
POSITION_BOUNDS = np.array(
    [(-2.9, 2.9), (-1.8, 1.8), (-2.9, 2.9), (-3.1, 0.0), (-2.9, 2.9), (0.0, 3.8), (-2.9, 2.9), (0.0, 0.04), (0.0, 0.04)]
)
"""Bounds of the position targets, (9, 2); those of the asset's franka_config.xml."""
VELOCITY_SCALE = 2.0
"""Joint velocity that an action of 1 asks for, rad/s (fingers: m/s)."""
NOISE_AMPLITUDES = 0.1 * np.array(
    [0.1] * 9 + [0.005] * 2 + [0.0005] * 6 + [0.005] * 3 + [0.1] * 3 + [0.005] * 3 + [0.1] * 3 + [0.005]
)
"""Half width of D4RL's uniform observation noise, (30,): 10 % of the config's amplitudes, 0.01 rad for the joints."""
RESET_POSITIONS = np.array(
    [
        *(1.48388023e-01, -1.76848573e00, 1.84390296e00, -2.47685760e00, 2.60252026e-01, 7.12533105e-01),
        *(1.59515394e00, 4.79267505e-02, 3.71350919e-02, -2.66279850e-04, -5.18043486e-05, 3.12877220e-05),
        *(-4.51199853e-05, -3.90842156e-06, -4.22629655e-05, 6.28065475e-05, 4.04984708e-05, 4.62730939e-04),
        *(-2.26906415e-04, -4.65501369e-04, -6.44129196e-03, -1.77048263e-03, 1.08009684e-03, -2.69397440e-01),
        *(3.50383255e-01, 1.61944683e00, 1.00618764e00, 4.06395120e-03, -6.62095997e-03, -2.68278933e-04),
    ]
)
"""The pose every episode starts from, (30,); the published numbers."""
FAST_TIMESTEP = 0.004
"""Simulation step of ``physics="fast"``, s (published: 0.002)."""
_WHOLE_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
_FAST_IGNORED_BODIES = ("counters", "wallroot", "wall2")


def _assets() -> Path:
    spec = importlib.util.find_spec("gymnasium_robotics")  # found, not imported: the import registers and prints
    if spec is None or not spec.submodule_search_locations:
        raise SimplError("Expected gymnasium-robotics, whose assets the kitchen uses: pip install gymnasium-robotics")
    return Path(spec.submodule_search_locations[0]) / "envs" / "assets" / "kitchen_franka" / "kitchen_assets"


@lru_cache(maxsize=len(get_args(Physics)))
def load_model(physics: Physics = "published") -> mujoco.MjModel:
    """
    The compiled scene, one per process and kind of physics; treat it as read-only.

    :param physics: ``"published"``; or ``"fast"``: simulation steps of 4 ms instead of 2 ms, and no contacts with the
        counter, the wall, and of the robot with itself. benchmarks/kitchen.md has what that changes
    :return: the model, shared by every kitchen
    :raises SimplError: gymnasium-robotics is not installed, or ``physics`` is unknown
    """
    if physics not in get_args(Physics):
        raise SimplError(f"Expected physics among {list(get_args(Physics))}, got {physics!r}")
    model = mujoco.MjModel.from_xml_path(str(_assets() / "kitchen_env_model.xml"))
    if physics == "fast":
        model.opt.timestep = FAST_TIMESTEP
        for geom in range(model.ngeom):
            body = model.body(model.geom_bodyid[geom]).name
            if body in _FAST_IGNORED_BODIES or body.startswith("panda0"):
                model.geom_conaffinity[geom] = 0  # robot geoms keep contype 1: they still touch every object
    return model


class KitchenSimulation:
    """
    One kitchen: ``reset`` and ``step`` return the observed positions.

    The action sets a position target anchored at the last *observed* joint positions, without integrator or gravity
    compensation: observation noise enters the control, and a zero action sags under the arm's weight. So it is in D4RL.

    :param physics: see ``load_model``
    :param noise: factor on D4RL's observation noise: 1 that of D4RL, 0.1 about that of Gymnasium-Robotics, 0 none
    """

    def __init__(self, physics: Physics = "published", noise: float = 1.0) -> None:
        if not (np.isfinite(noise) and noise >= 0):
            raise SimplError(f"Expected noise as a finite factor >= 0 on D4RL's, got {noise!r}")
        self.model = load_model(physics)
        self.data = mujoco.MjData(self.model)
        self.noise = float(noise)
        self._n_substeps = round(ENV_STEP_SECONDS / self.model.opt.timestep)
        self._physics = physics
        self._observed = RESET_POSITIONS.copy()
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """
        Back to the reset pose, at rest.

        :param rng: source of the observation noise until the next reset; 30 draws per observation
        :return: observed positions, (30,)
        """
        self._rng = rng
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = RESET_POSITIONS
        mujoco.mj_forward(self.model, self.data)
        return self._observe()

    def step(self, action: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """
        Simulate 0.08 s.

        :param action: joint velocities over ``VELOCITY_SCALE``, (9,), clipped to [-1, 1]
        :return: observed positions, (30,)
        """
        velocity = VELOCITY_SCALE * np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        target = self._observed[:N_ROBOT] + velocity * ENV_STEP_SECONDS
        self.data.ctrl[:] = np.clip(target, POSITION_BOUNDS[:, 0], POSITION_BOUNDS[:, 1])
        mujoco.mj_step(self.model, self.data, nstep=self._n_substeps)
        return self._observe()

    def get_state(self) -> npt.NDArray[np.float64]:
        """MuJoCo's whole state, the solver's warm start included, and what was last observed."""
        state = np.empty(mujoco.mj_stateSize(self.model, _WHOLE_STATE))
        mujoco.mj_getState(self.model, self.data, state, _WHOLE_STATE)
        return np.concatenate([state, self._observed])

    def set_state(self, state: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
        """
        Go on from :meth:`get_state`, to the bit.

        :param rng: source of the observation noise until the next reset
        """
        whole, self._observed, self._rng = state[:-N_POSITIONS], state[-N_POSITIONS:].copy(), rng
        mujoco.mj_setState(self.model, self.data, whole, _WHOLE_STATE)
        mujoco.mj_forward(self.model, self.data)  # for pictures; disturbs the warm start, which is set again
        mujoco.mj_setState(self.model, self.data, whole, _WHOLE_STATE)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "model": None, "data": self.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.model = load_model(self._physics)
        self.data = mujoco.MjData(self.model)
        self.set_state(state["data"], self._rng)

    def _observe(self) -> npt.NDArray[np.float64]:
        self._observed = self.data.qpos + self.noise * NOISE_AMPLITUDES * self._rng.uniform(-1.0, 1.0, N_POSITIONS)
        return self._observed


class KitchenPool:
    """
    Steps many kitchens at once in threads; results do not depend on the number of threads.

    Each keeps its own ``MjData`` with the solver's warm start, which ``mujoco.rollout`` would lose at every call.

    :param simulations: the kitchens
    :param nthread: None for one per core that this process may use
    """

    def __init__(self, simulations: Sequence[KitchenSimulation], nthread: int | None = None) -> None:
        if nthread is not None and nthread < 1:
            raise ValueError(f"Expected nthread None or >= 1, got {nthread}")
        self.simulations = tuple(simulations)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.nthread = min(nthread or cores, len(self.simulations))
        self._executor: ThreadPoolExecutor | None = None

    def step(self, indices: Sequence[int], actions: npt.NDArray[np.floating[Any]]) -> list[npt.NDArray[np.float64]]:
        """
        :param indices: kitchens that step
        :param actions: (len(indices), 9)
        :return: observed positions, one (30,) per index
        """
        simulations = [self.simulations[index] for index in indices]
        if self.nthread < 2 or len(simulations) < 2:
            return [simulation.step(action) for simulation, action in zip(simulations, actions, strict=True)]
        self._executor = self._executor or ThreadPoolExecutor(self.nthread, thread_name_prefix="kitchen")
        return list(self._executor.map(KitchenSimulation.step, simulations, actions))

    def close(self) -> None:
        """End the threads; a further step starts them anew."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_executor": None}


class KitchenCamera:
    """
    Pictures of a kitchen without a display, from the published view point.

    :param model: as of ``load_model``
    :param width: pixels
    :param height: pixels
    """

    def __init__(self, model: mujoco.MjModel, width: int = 480, height: int = 480) -> None:
        self._renderer = OffScreenRenderer(model, width, height)
        for costly in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._renderer.scene.flags[costly] = 0  # they cost most of the time in software rendering
        self._view = mujoco.MjvCamera()
        self._view.distance, self._view.azimuth, self._view.elevation = 2.2, 70.0, -35.0
        self._view.lookat[:] = (-0.2, 0.5, 2.0)

    def picture(self, data: mujoco.MjData) -> npt.NDArray[np.uint8]:
        """
        :return: RGB, (height, width, 3)
        """
        return self._renderer.picture(data, self._view)

    def close(self) -> None:
        """Free the off-screen buffer."""
        self._renderer.close()
