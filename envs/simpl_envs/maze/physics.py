"""
The particle's physics on MuJoCo: many mazes, one step at a time, in one process on all cores.

A step is a pure function of states and actions, computed in the same way whatever the number of mazes and threads, so
that one maze and many agree to the bit.
"""

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from simpl_envs.maze.layout import BODY_ORIGIN, MazeLayout
from simpl_envs.simulator import Rollout, mujoco

__all__ = ["MAX_SPEED", "START_NOISE", "MazeSimulator", "maze_xml"]

MAX_SPEED = 5.0
"""Bound on each velocity component *before* a step, cells/s; after it up to 5.23 is seen."""
START_NOISE = 0.1
"""Half width of the start position's uniform noise, cells, and standard deviation of the start velocity, cells/s."""
TIME_STEP = 0.01
"""Seconds per simulation step; one per env step."""
_STATE_SIZE = 5
"""MuJoCo's full state of a maze: time, x, y, vx, vy."""
_CAMERA_HEIGHT = 100.0
"""High enough for a picture almost without perspective, cells."""
_MIN_PER_THREAD = 8
"""Mazes that make waking a thread worth while."""


def maze_xml(layout: MazeLayout) -> str:
    """The MuJoCo model of a layout: one box per wall cell, a sphere on two damped slides, two motors."""
    n_i, n_j = layout.shape
    centre_i, centre_j = (n_i + 1) / 2, (n_j + 1) / 2
    fovy = math.degrees(2 * math.atan(max(n_i, n_j) / 2 / _CAMERA_HEIGHT))
    walls = "\n".join(f'    <geom class="wall" pos="{i + 1} {j + 1} 0"/>' for i, j in np.argwhere(layout.walls))
    return f"""
<mujoco model="simpl_maze">
  <compiler inertiafromgeom="true" autolimits="true"/>
  <option timestep="{TIME_STEP}" gravity="0 0 0" integrator="Euler"/>
  <visual>
    <global offwidth="2048" offheight="2048"/>
    <map znear="1" zfar="20"/>
    <headlight ambient="0.5 0.5 0.5" diffuse="0.5 0.5 0.5" specular="0 0 0"/>
  </visual>
  <default>
    <geom condim="1"/>
    <joint type="slide" damping="1"/>
    <motor gear="100" ctrlrange="-1 1"/>
    <default class="wall">
      <geom type="box" size="0.5 0.5 0.2" contype="0" conaffinity="1" rgba="0.25 0.28 0.33 1"/>
    </default>
  </default>
  <worldbody>
    <camera name="top" pos="{centre_i} {centre_j} {_CAMERA_HEIGHT}" xyaxes="1 0 0 0 1 0" fovy="{fovy}"/>
    <geom name="floor" type="plane" pos="{centre_i} {centre_j} -0.2" size="{n_i / 2} {n_j / 2} 1"
          contype="0" conaffinity="0" rgba="0.95 0.95 0.93 1"/>
    <site name="goal" type="cylinder" size="1 0.01" pos="0 0 -0.19" rgba="0.2 0.7 0.3 0.6"/>
{walls}
    <body name="particle" pos="{BODY_ORIGIN} {BODY_ORIGIN} 0">
      <joint name="x" axis="1 0 0"/>
      <joint name="y" axis="0 1 0"/>
      <geom name="particle" type="sphere" size="0.1" density="1000" contype="1" conaffinity="0" rgba="0.85 0.25 0.2 1"/>
    </body>
  </worldbody>
  <actuator>
    <motor joint="x"/>
    <motor joint="y"/>
  </actuator>
</mujoco>"""


class MazeSimulator:
    """
    Steps particles through one layout. Holds no state between steps, so it is pickled and copied by its arguments.

    :param layout: the maze
    :param nthread: threads that simulate, all cores by default; with 1, or few mazes, the calling thread simulates
    """

    def __init__(self, layout: MazeLayout, nthread: int | None = None) -> None:
        if nthread is not None and nthread < 1:
            raise ValueError(f"Expected nthread >= 1 or None, got {nthread}")
        self.layout = layout
        self.nthread = nthread or os.cpu_count() or 1
        self.model = mujoco.MjModel.from_xml_string(maze_xml(layout))
        full = mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_FULLPHYSICS.value)
        if full != _STATE_SIZE:
            raise RuntimeError(f"MuJoCo {mujoco.__version__} keeps {full} numbers per maze, expected {_STATE_SIZE}")
        self._data = [mujoco.MjData(self.model)]
        self._serial = Rollout(nthread=0)
        self._pool: Rollout | None = None
        self._size = -1

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.layout, self.nthread)

    def step(self, states: npt.NDArray[np.float64], actions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """
        One step of 0.01 s: velocities are clipped, then the motors act.

        :param states: x, y, vx, vy in observation coordinates, cells and cells/s, (B, 4)
        :param actions: motor signals, finite; clipped to [-1, 1], (B, 2)
        :return: the states after the step, (B, 4), a new array
        """
        size = len(states)
        if size != self._size:
            self._allocate(size)
        np.clip(actions, -1.0, 1.0, out=self._control[:, 0])
        self._before[:, 1:3] = states[:, :2]
        np.clip(states[:, 2:], -MAX_SPEED, MAX_SPEED, out=self._before[:, 3:])
        rollout, data = self._workers(size)
        rollout.rollout(self._models, data, self._before, self._control, skip_checks=True, nstep=1, state=self._after)
        return self._after[:, 0, 1:].copy()

    def _allocate(self, size: int) -> None:
        self._size = size
        self._models = [self.model] * size
        self._before = np.zeros((size, _STATE_SIZE))
        self._after = np.zeros((size, 1, _STATE_SIZE))
        self._control = np.zeros((size, 1, 2))

    def _workers(self, size: int) -> tuple[Rollout, list[mujoco.MjData]]:
        """The calling thread, or a pool of threads that is started when first needed and then kept."""
        if self.nthread == 1 or size < 2 * _MIN_PER_THREAD:
            return self._serial, self._data[:1]
        if self._pool is None:
            self._data += [mujoco.MjData(self.model) for _ in range(self.nthread - 1)]
            self._pool = Rollout(nthread=self.nthread)
        return self._pool, self._data

    def close(self) -> None:
        """Stop the threads; the next step would start them again."""
        if self._pool is not None:
            self._pool.close()
        self._pool = None
        self._data = self._data[:1]
