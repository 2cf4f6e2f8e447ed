"""
Cartesian control of the kitchen's arm: from an observation and a wanted pose of the gripper to an action.

Knows the arm only through the observation, so what it commands is a function of what a policy sees. Frame: the site
``end_effector``, 0.05 m behind the fingertips, z along the fingers (approach), y the direction in which they open.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simpl_envs.kitchen.constants import N_POSITIONS
from simpl_envs.kitchen.physics import ENV_STEP_SECONDS, RESET_POSITIONS, VELOCITY_SCALE, load_model
from simpl_envs.simulator import mujoco

Array = npt.NDArray[np.float64]

N_ARM = 7
OPEN, CLOSED = 0.04, 0.0
"""Finger positions, m."""
JOINT_LIMITS = np.array([(-2.8, 2.8), (-1.76, 1.70), (-2.8, 2.8), (-3.0, -0.45), (-2.8, 2.8), (0.0, 2.05), (-2.8, 2.8)])
"""Where the arm is kept, (7, 2), rad: a little inside of the model's own limits."""
STIFFNESS = np.array([870.0] * 4 + [120.0] * 3)
DAMPING = np.array([100.0] * 4 + [10.0] * 3)
FOLLOWED = 1.0 - np.exp(-ENV_STEP_SECONDS * STIFFNESS / DAMPING)
"""Share of a commanded joint displacement that happens within one env step, (7,)."""
REACH = VELOCITY_SCALE * ENV_STEP_SECONDS
"""Joint displacement that an action of 1 commands, rad (fingers: m)."""
FORWARD = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
"""Base orientation, (3, 3), columns x, y, z of the site: approach along the world's +y, fingers open along x."""


@dataclass(frozen=True)
class Pose:
    """
    A wanted pose of the gripper.

    :param position: of the site, (3,), world, m
    :param pitch: rad, > 0 points up
    :param yaw: rad about the vertical
    :param roll: rad about the approach axis
    """

    position: Array
    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0

    @property
    def rotation(self) -> Array:
        """World from site, (3, 3)."""
        (sp, sy, sr), (cp, cy, cr) = (f((self.pitch, self.yaw, self.roll)) for f in (np.sin, np.cos))
        about_z = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
        about_x = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
        about_approach = np.array([[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, 1.0]])
        rotation: Array = about_z @ about_x @ FORWARD @ about_approach
        return rotation


class ArmController:
    """Damped least squares with joint limits, and compensation of the arm's lag and weight."""

    def __init__(self) -> None:
        self._model = load_model("published")
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site("end_effector").id
        self._jacobian = np.zeros((6, self._model.nv))
        self._bias = np.zeros(self._model.nv)
        self.joints = RESET_POSITIONS[:N_ARM].copy()
        self.fingers = RESET_POSITIONS[N_ARM : N_ARM + 2].copy()
        self.position = np.zeros(3)
        self.rotation = np.eye(3)

    def observe(self, observation: npt.ArrayLike) -> None:
        """
        Forward kinematics, Jacobian and weight at the observed positions.

        :param observation: (>= 30,)
        """
        positions = np.asarray(observation, dtype=np.float64)[:N_POSITIONS]
        model, data = self._model, self._data
        data.qpos[:] = positions
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_jacSite(model, data, self._jacobian[:3], self._jacobian[3:], self._site)
        mujoco.mj_rne(model, data, 0, self._bias)
        self.joints, self.fingers = positions[:N_ARM], positions[N_ARM : N_ARM + 2]
        self.position = data.site_xpos[self._site].copy()
        self.rotation = data.site_xmat[self._site].reshape(3, 3).copy()

    def action(self, pose: Pose, opening: float, speed: float, hurry: bool, loose: bool = False) -> Array:
        """
        :param pose: wanted
        :param opening: of each finger, m
        :param speed: largest speed of the site, m/s
        :param hurry: let single joints saturate, at the price of a bent path: for free space
        :param loose: care little for the orientation: faster along an arc, while the fingers hold a handle
        :return: action (9,), not clipped
        """
        twist = np.empty(6)
        twist[:3] = _capped(0.6 * (pose.position - self.position), speed * ENV_STEP_SECONDS)
        twist[3:] = _capped(0.6 * _rotation_vector(pose.rotation @ self.rotation.T), 0.16)
        change = self._joint_change(twist, 0.05 if loose else 0.3) / FOLLOWED
        change *= min(1.0, (0.27 if hurry else 0.15) / max(float(np.abs(change).max()), 1e-9))
        arm = (change + self._bias[:N_ARM] / STIFFNESS) / REACH
        return np.concatenate([arm, np.clip(6.0 * (opening - self.fingers) / REACH, -1.0, 1.0)])

    def _joint_change(self, twist: Array, rotation_weight: float) -> Array:
        """Joint displacement (7,) for a displacement of the site (6,), inside the joint limits."""
        weights = np.array([1.0, 1.0, 1.0, *[rotation_weight] * 3])
        jacobian = weights[:, None] * self._jacobian[:, :N_ARM]
        wanted = weights * twist
        home = 0.05 * (RESET_POSITIONS[:N_ARM] - self.joints)
        change, free = np.zeros(N_ARM), np.ones(N_ARM, dtype=bool)
        for _ in range(5):
            part = jacobian[:, free]
            inverse = part.T @ np.linalg.inv(part @ part.T + 0.05**2 * np.eye(6))
            rest = wanted - jacobian[:, ~free] @ change[~free]
            change[free] = inverse @ rest + home[free] - inverse @ (part @ home[free])
            after = self.joints + change
            low, high = after < JOINT_LIMITS[:, 0] - 1e-9, after > JOINT_LIMITS[:, 1] + 1e-9
            leaving = (low | high) & free
            if not leaving.any():
                break
            change[leaving] = np.where(low, JOINT_LIMITS[:, 0], JOINT_LIMITS[:, 1])[leaving] - self.joints[leaving]
            free &= ~leaving
        return change


def _capped(vector: Array, length: float) -> Array:
    norm = float(np.linalg.norm(vector))
    return vector * (length / norm) if norm > length else vector


def _rotation_vector(rotation: Array) -> Array:
    """Axis times angle of a rotation matrix, (3,)."""
    quaternion, vector = np.empty(4), np.empty(3)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).reshape(9))
    mujoco.mju_quat2Vel(vector, quaternion, 1.0)
    return vector
