"""
How to complete each subtask of the kitchen: scripts of gripper poses, driven by observations alone.

A script is a generator that yields commands; between two of them the demonstrator has looked at the next observation.
Places are world metres of the site ``end_effector``, found by trial. What is drawn at random: noise on the action,
waypoints, speed, how far beyond completion an object is moved, and the strategy where there are several.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simpl_envs.kitchen.arm import CLOSED, OPEN, ArmController, Pose
from simpl_envs.kitchen.constants import N_POSITIONS, N_ROBOT
from simpl_envs.kitchen.tasks import SUBTASK_GOALS, SUBTASK_RADIUS, SUBTASKS

__all__ = ["STRATEGIES", "Attempt", "ScriptedArm"]

Array = npt.NDArray[np.float64]
BOTTOM, TOP, LIGHT, SLIDE, HINGE, MICROWAVE, KETTLE = range(len(SUBTASKS))
STRATEGIES: tuple[tuple[str, ...], ...] = (
    *(("twist",), ("twist",), ("push", "straddle"), ("push", "grasp")),
    *(("pull",), ("pull",), ("push-closed", "push-open")),
)
"""Names of the ways to complete each subtask."""
MARGINS = {HINGE: (0.15, 0.22), KETTLE: (0.17, 0.24)}
"""Distance to the goal at which a subtask is left alone, drawn uniformly; others (0.08, 0.2). Complete is < 0.3."""
DOOR_IS_OPEN = 0.3
"""Angle of the right hinged door beyond which it stands in the way, rad."""


@dataclass(frozen=True)
class Command:
    """
    What the arm shall do in one env step.

    :param pose: to go to
    :param opening: of each finger, m
    :param speed: largest, m/s
    :param hurry: see :meth:`ArmController.action`
    :param loose: see :meth:`ArmController.action`
    :param steady: with a share of the action noise only, see :class:`ScriptedArm`
    """

    pose: Pose
    opening: float
    speed: float = 0.7
    hurry: bool = False
    loose: bool = False
    steady: bool = False


Script = Generator[Command, None, None]
Phase = Generator[Command, None, bool]


@dataclass(frozen=True)
class Attempt:
    """
    One try at a subtask.

    :param subtask: index into ``SUBTASKS``
    :param strategy: its name
    :param n_steps: env steps it took, retreat included
    :param succeeded: whether the subtask was complete at some time
    """

    subtask: int
    strategy: str
    n_steps: int
    succeeded: bool


@dataclass(frozen=True)
class Door:
    """
    A door with a vertical handle, seen from above.

    :param axis: (x, y), m
    :param handle: (x, y) when shut, m
    :param heights: between which to grasp, m
    :param position: index of its angle among the positions
    :param ahead: how far before the handle the gripper is led, rad
    :param pitches: of the gripper, between which it is drawn, rad
    :param yaw: of the gripper for an angle, rad
    :param before: distance to the handle from which it is approached, m
    :param depth: of the site behind the handle's axis when grasping, m
    :param speed: of pulling, m/s
    :param leave: where to go from the handle afterwards, m
    """

    axis: tuple[float, float]
    handle: tuple[float, float]
    heights: tuple[float, float]
    position: int
    ahead: float
    pitches: tuple[float, float]
    yaw: Callable[[float], float]
    before: float
    depth: float
    speed: float
    leave: tuple[float, float, float]


HINGE_DOOR = Door(
    *((-0.224, 0.71), (-0.526, 0.583), (2.47, 2.53), 21, 0.40, (0.0, 0.0)),
    *(lambda angle: float(np.clip(0.55 * angle - 0.25, -0.25, 0.5)), 0.125, -0.01, 0.7, (0.03, -0.17, -0.04)),
)
MICROWAVE_DOOR = Door(
    *((-1.128, 0.455), (-0.642, 0.493), (1.75, 1.86), 22, -0.34, (-0.37, -0.12)),
    *(lambda angle: 0.5 * angle, 0.115, 0.01, 0.7, (0.05, -0.14, 0.04)),
)


class ScriptedArm:
    """
    Completes subtasks one after the other; one that happens to be complete when its turn comes is skipped.

    :param subtasks: indices into ``SUBTASKS``, in order
    :param rng: of everything random
    :param noise: standard deviation of the action noise (an Ornstein-Uhlenbeck process), actions
    :param jitter: half width of the noise on waypoints, m
    :param pushes: probability per env step of being driven off course, at random joint velocities for 3 to 8 env steps
        (a third of it while an object is grasped or moved): so that demonstrations show the way back
    :param max_attempts: per subtask; after the last one it goes on with the next
    :param steady_noise: factor on the action noise while an object is grasped or moved
    :param strategies: strategy to use for a subtask, by name; others are drawn
    """

    def __init__(
        self,
        subtasks: Sequence[int],
        rng: np.random.Generator,
        noise: float = 0.1,
        jitter: float = 0.006,
        pushes: float = 0.0,
        max_attempts: int = 3,
        steady_noise: float = 0.5,
        strategies: dict[int, str] | None = None,
    ) -> None:
        self.subtasks = tuple(subtasks)
        self.attempts: list[Attempt] = []
        self._rng, self._noise, self._jitter = rng, noise, jitter
        self._pushes, self._max_attempts, self._steady_noise = pushes, max_attempts, steady_noise
        self._strategies = strategies or {}
        self._arm = ArmController()
        self._wander = np.zeros(N_ROBOT)
        self.intended = np.zeros(N_ROBOT, dtype=np.float32)  # the last action without noise and pushes
        self._push, self._push_steps = np.zeros(N_ROBOT), 0
        self._pace = self._tempo = rng.uniform(0.85, 1.2)
        self._positions = np.zeros(N_POSITIONS)
        self._subtask, self._strategy, self._margin = self.subtasks[0], "", 0.1
        self._completed = False
        self._n_steps = 0
        self._script = self._all()

    def act(self, observation: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32] | None:
        """
        :param observation: (>= 30,)
        :return: action (9,) in [-1, 1]; None when everything has been done, or given up
        """
        self._positions = np.asarray(observation, dtype=np.float64)[:N_POSITIONS]
        self._arm.observe(self._positions)
        self._completed |= self._distance() < SUBTASK_RADIUS
        command = next(self._script, None)
        if command is None:
            return None
        self._n_steps += 1
        speed = command.speed * self._tempo
        action = self._arm.action(command.pose, command.opening, speed, command.hurry, command.loose)
        self.intended = np.clip(action, -1.0, 1.0).astype(np.float32)
        if self._pushed(command.steady):
            action = self._push
        self._wander = 0.8 * self._wander + 0.6 * self._noise * self._rng.standard_normal(N_ROBOT)
        noisy = action + (self._steady_noise if command.steady else 1.0) * self._wander
        return np.clip(noisy, -1.0, 1.0).astype(np.float32)

    def _pushed(self, steady: bool) -> bool:
        """Whether something drives the arm off course in this env step."""
        if self._push_steps == 0 and self._pushes > 0 and self._rng.uniform() < self._pushes / (3 if steady else 1):
            self._push, self._push_steps = self._rng.uniform(-1.0, 1.0, N_ROBOT), int(self._rng.integers(3, 9))
            return True
        self._push_steps = max(0, self._push_steps - 1)
        return self._push_steps > 0

    def _distance(self) -> float:
        """Of the present subtask to its goal, in the published norm."""
        goal = SUBTASK_GOALS[self._subtask].items()
        return float(np.sqrt(sum((self._positions[index] - value) ** 2 for index, value in goal)))

    def _all(self) -> Script:
        scripts = (self._burner, self._burner, self._light, self._slide, self._hinge, self._microwave, self._kettle)
        for subtask in self.subtasks:
            self._subtask = subtask
            self._completed = self._distance() < SUBTASK_RADIUS
            for _ in range(0 if self._completed else self._max_attempts):
                self._tempo = self._pace * self._rng.uniform(0.9, 1.1)
                self._margin = self._rng.uniform(*MARGINS.get(subtask, (0.08, 0.2)))
                drawn = STRATEGIES[subtask][self._rng.integers(len(STRATEGIES[subtask]))]
                self._strategy = self._strategies.get(subtask, drawn)
                before = self._n_steps
                yield from scripts[subtask]()
                self.attempts.append(Attempt(subtask, self._strategy, self._n_steps - before, self._completed))
                if self._completed:
                    break
                yield from self._back_off()

    # Phases

    def _near(self, *position: float) -> Array:
        """A waypoint with jitter."""
        return np.array(position) + self._rng.uniform(-self._jitter, self._jitter, 3)

    def _go(self, pose: Pose, opening: float, near: float = 0.03, hurry: bool = True, limit: int = 40) -> Script:
        """Through free space until the site is near."""
        for _ in range(limit):
            yield Command(pose, opening, hurry=hurry)
            if np.linalg.norm(self._arm.position - pose.position) < near:
                return

    def _enter(self, pose: Pose, opening: float, near: float = 0.018) -> Phase:
        """To the object; False when something is in the way."""
        closest, n_idle = np.inf, 0
        for _ in range(16):
            yield Command(pose, opening, 0.5, steady=True)
            distance = float(np.linalg.norm(self._arm.position - pose.position))
            if distance < near:
                return True
            n_idle = 0 if distance < closest - 0.003 else n_idle + 1
            closest = min(closest, distance)
            if n_idle >= 7:
                return False
        return False

    def _hold(self, pose: Pose, opening: float, n_steps: int, until: Callable[[], bool] = lambda: False) -> Script:
        """In place while the fingers move."""
        for _ in range(n_steps):
            yield Command(pose, opening, 0.3, steady=True)
            if until():
                return

    def _work(
        self,
        pose: Callable[[], Pose],
        opening: float,
        speed: float,
        patience: int = 10,
        hurry: bool = False,
        loose: bool = False,
    ) -> Script:
        """Move the object until it is beyond completion by the margin, or no longer moves; once complete, the less."""
        closest, n_idle = self._distance(), 0
        for _ in range(70):
            yield Command(pose(), opening, speed, hurry, loose, steady=True)
            distance = self._distance()
            n_idle = 0 if distance < closest - 0.01 else n_idle + 1
            closest = distance if n_idle == 0 else closest
            if distance < self._margin or n_idle >= (3 if self._completed else patience):
                return

    def _back_off(self) -> Script:
        x, y, z = self._arm.position
        away = min(0.10 if self._subtask == KETTLE else 0.36, y - 0.05)
        yield from self._go(Pose(np.array([x, away, z])), OPEN, 0.04, hurry=False, limit=15)

    def _leave(self, y: float, opening: float, pose: Pose) -> Script:
        """Straight back."""
        x, _, z = self._arm.position
        yield from self._go(
            Pose(np.array([x, y, z]), pose.pitch, pose.yaw, pose.roll), opening, 0.05, hurry=False, limit=20
        )

    # Subtasks

    def _door_is_open(self) -> bool:
        return bool(self._positions[HINGE_DOOR.position] > DOOR_IS_OPEN)

    def _burner(self) -> Script:
        bottom = self._subtask == BOTTOM
        x, z, knob = -0.256, 2.226 if bottom else 2.34, 11 if bottom else 15
        pitch = 0.25 if not bottom and self._door_is_open() else 0.0
        yield from self._go(Pose(self._near(x, 0.49, z), pitch), OPEN, 0.02)
        inside = Pose(self._near(x, 0.600, z), pitch)
        if not (yield from self._enter(inside, OPEN)):
            return
        yield from self._hold(inside, CLOSED, 8, lambda: float(self._arm.fingers.min()) < 0.026)

        def twisted(lead: float) -> Pose:
            return Pose(inside.position, pitch, 0.0, min(abs(float(self._positions[knob])) + lead, 1.6))

        yield from self._work(lambda: twisted(1.0), CLOSED, 0.7, patience=18)
        released = Pose(self._arm.position, pitch, 0.0, twisted(0.0).roll)
        yield from self._hold(released, OPEN, 2)
        yield from self._leave(0.45, OPEN, released)

    def _light(self) -> Script:
        opening, x, travel = (CLOSED, -0.317, 0.113) if self._strategy == "push" else (OPEN, -0.37, 0.13)
        yield from self._go(Pose(self._near(x, 0.50, 2.275)), opening, 0.02)
        if not (yield from self._enter(Pose(self._near(x, 0.60, 2.275)), opening, 0.015)):
            return
        target = Pose(np.array([x - travel, 0.60, 2.277]))
        yield from self._work(lambda: target, opening, 0.5)
        yield from self._leave(0.45, opening, target)

    def _slide(self) -> Script:
        x = float(self._positions[19])
        blocked = self._door_is_open()
        grasp = self._strategy == "grasp"
        opening = OPEN if grasp else CLOSED
        if grasp:
            pitch, yaw = 0.1, 0.2 if blocked else 0.0
            inside = self._near(x - 0.108, 0.607, self._rng.uniform(2.46, 2.54))
            before, via = inside - 0.125 * Pose(inside, pitch, yaw).rotation[:, 2], (x - 0.03, 0.37, 2.40)
        elif blocked:
            pitch, yaw = 0.1, 0.35
            before, inside = self._near(x - 0.12, 0.48, 2.43), self._near(x - 0.150, 0.574, 2.475)
            via = (x - 0.06, 0.37, 2.36)
        else:
            pitch, yaw = 0.12, 0.0
            before, inside = self._near(x - 0.16, 0.47, 2.42), self._near(x - 0.158, 0.572, 2.465)
        if blocked:
            yield from self._go(Pose(self._near(*via), pitch, yaw), opening, 0.05)
        yield from self._go(Pose(before, pitch, yaw), opening)
        if not (yield from self._enter(Pose(inside, pitch, yaw), opening, 0.02)):
            return
        if grasp:
            yield from self._hold(Pose(inside, pitch, yaw), CLOSED, 4)

        def along() -> Pose:
            to_x = inside[0] - x + float(self._positions[19]) + 0.15 if grasp else 0.35
            return Pose(np.array([to_x, inside[1], inside[2] if grasp else 2.455]), pitch, yaw)

        yield from self._work(along, CLOSED, 0.45)
        if grasp:
            yield from self._hold(Pose(self._arm.position, pitch, yaw), OPEN, 3)
        here = self._arm.position
        yield from self._go(Pose(np.array([here[0] - 0.02, 0.44, 2.40]), pitch), opening, 0.05, hurry=False)

    def _hinge(self) -> Script:
        yield from self._pull(HINGE_DOOR)

    def _microwave(self) -> Script:
        yield from self._go(Pose(self._near(-0.60, 0.22, 1.90), -0.25), OPEN, 0.06)
        yield from self._pull(MICROWAVE_DOOR)

    def _pull(self, door: Door) -> Script:
        pitch = self._rng.uniform(*door.pitches)
        offset = self._near(0.0, 0.0, self._rng.uniform(*door.heights))

        def pose(back: float, ahead: float = 0.0) -> Pose:
            angle = float(self._positions[door.position])
            c, s = np.cos(angle + ahead), np.sin(angle + ahead)
            x, y = door.handle[0] - door.axis[0], door.handle[1] - door.axis[1]
            handle = offset + (door.axis[0] + c * x - s * y, door.axis[1] + s * x + c * y, 0.0)
            facing = Pose(handle, pitch, door.yaw(angle))
            return Pose(handle - back * facing.rotation[:, 2], pitch, facing.yaw)

        yield from self._go(pose(door.before), OPEN)
        grip = pose(door.depth)
        if not (yield from self._enter(grip, OPEN)):
            return
        yield from self._hold(grip, CLOSED, 5)
        yield from self._work(lambda: pose(door.depth, door.ahead), CLOSED, door.speed, loose=True)
        here = pose(door.depth)
        yield from self._hold(here, OPEN, 3)
        out = Pose(here.position + door.leave, pitch, here.yaw)
        yield from self._go(out, OPEN, 0.05, hurry=False, limit=20)

    def _kettle(self) -> Script:
        opening, pitch = CLOSED if self._strategy == "push-closed" else OPEN, -0.6
        yield from self._go(Pose(self._near(-0.29, 0.10, 1.95), pitch), opening, 0.10)
        yield from self._go(Pose(self._near(float(self._positions[23]), 0.10, 1.710), pitch), opening)

        def behind() -> Pose:
            x, y = self._positions[23:25]
            steer = 0.12 * float(np.clip(2 * self._positions[29], -0.3, 0.3))
            return Pose(np.array([x - steer, y - 0.03, 1.700]), pitch)

        yield from self._work(behind, opening, 0.4, patience=14, hurry=True)
        x, y, _ = self._arm.position
        yield from self._go(Pose(np.array([x, y - 0.15, 1.86]), pitch), opening, hurry=False, limit=5)
