"""
The demonstration planner: a waypoint controller that follows shortest paths, without rewards or task labels.

From a random cell to a random cell, one waypoint per cell of the path, each jittered: ``action =
clip(10 * (waypoint - xy) - velocity)``, and the next waypoint once within 0.1. Trajectories are simulated many at once,
yet each depends on the seed and on its own number only: neither on the batch nor on the number of threads.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from simpl_envs.errors import DemonstrationError
from simpl_envs.maze.layout import MOVES, PUBLISHED_LAYOUT, MazeLayout
from simpl_envs.maze.physics import START_NOISE, MazeSimulator

__all__ = ["plan_numbered", "plan_trajectories"]

FloatArray = npt.NDArray[np.float32]
Trajectory = tuple[FloatArray, FloatArray]

GAIN = 10.0
"""Motor signal per cell of distance to the waypoint."""
MAX_DROPPED = 1000
"""Trajectories of another length in a row after which the planner gives up."""
WAYPOINT_RADIUS = 0.1
"""Distance at which the next waypoint is due, cells."""


def plan_trajectories(
    n: int,
    seed: int,
    noise: float = 0.0,
    jitter: float = 0.2,
    layout: MazeLayout = PUBLISHED_LAYOUT,
    min_steps: int = 50,
    max_steps: int = 1600,
    arrived_only: bool = True,
    batch_size: int = 256,
    nthread: int | None = None,
) -> Iterator[Trajectory]:
    """
    Planned trajectories between random free cells that the layout's start can reach.

    Trajectories outside ``min_steps`` to ``max_steps`` are dropped and replaced, as in the published data. Where there
    are several shortest paths, each trajectory prefers its own random order of the four moves.

    :param n: number of trajectories
    :param seed: equal arguments give equal trajectories, to the bit
    :param noise: standard deviation of Gaussian noise on the actions, which are then clipped again; 0 is the published
        controller. What is recorded is what was executed, noise included
    :param jitter: half width of the uniform noise on each waypoint, cells
    :param min_steps: shortest trajectory kept, env steps
    :param max_steps: longest trajectory kept, env steps
    :param arrived_only: drop trajectories that have not arrived after ``max_steps``; else they are kept, cut off there
    :param batch_size: mazes simulated at once; changes the speed and the order of work, not the result
    :param nthread: threads, all cores by default
    :return: for each trajectory observations (L+1, 4) float32 and actions (L, 2) float32 in [-1, 1]
    :raises DemonstrationError: for bad arguments, at once; during iteration, when no trajectory has a length to be kept
    """
    settings = noise, jitter, layout, min_steps, max_steps, arrived_only, batch_size, nthread
    return (trajectory for _, trajectory in plan_numbered(n, seed, 0, *settings))


def plan_numbered(
    n: int,
    seed: int,
    first: int = 0,
    noise: float = 0.0,
    jitter: float = 0.2,
    layout: MazeLayout = PUBLISHED_LAYOUT,
    min_steps: int = 50,
    max_steps: int = 1600,
    arrived_only: bool = True,
    batch_size: int = 256,
    nthread: int | None = None,
) -> Iterator[tuple[int, Trajectory]]:
    """
    The same with their numbers: what would follow the trajectory with number k begins with ``first=k + 1``.

    :param first: number of the first trajectory; those that are dropped have numbers, too
    """
    if n < 0 or noise < 0 or jitter < 0 or not 1 <= min_steps <= max_steps or batch_size < 1:
        raise DemonstrationError(
            "Expected n >= 0, noise >= 0, jitter >= 0, 1 <= min_steps <= max_steps and batch_size >= 1, "
            f"got {n}, {noise}, {jitter}, {min_steps}, {max_steps}, {batch_size}"
        )
    planner = _Planner(layout, seed, n, first, noise, jitter, (min_steps, max_steps), arrived_only, batch_size, nthread)
    return _in_order(planner, n, first)


def _in_order(planner: "_Planner", n: int, number: int) -> Iterator[tuple[int, Trajectory]]:
    """The n trajectories that are kept, from this number on."""
    ended: dict[int, Trajectory | None] = {}
    dropped = 0
    while n > 0:
        while number not in ended:
            ended.update(planner.step())
        trajectory = ended.pop(number)
        number += 1
        if trajectory is not None:
            n, dropped = n - 1, 0
            yield number - 1, trajectory
        elif (dropped := dropped + 1) == MAX_DROPPED:
            expected = f"{planner.min_steps} to {planner.max_steps} env steps"
            raise DemonstrationError(f"Expected paths that take {expected}, got {MAX_DROPPED} others in a row")


class _Planner:
    """
    Slots of particles under way. A slot whose particle has arrived starts on the next trajectory's number, until as
    many as wanted are kept or under way.
    """

    def __init__(
        self,
        layout: MazeLayout,
        seed: int,
        n: int,
        first: int,
        noise: float,
        jitter: float,
        lengths: tuple[int, int],
        arrived_only: bool,
        batch_size: int,
        nthread: int | None,
    ) -> None:
        self.layout, self.seed, self.noise, self.jitter = layout, seed, noise, jitter
        (self.min_steps, self.max_steps), self.arrived_only = lengths, arrived_only
        self.cells = layout.reachable_cells()
        self.simulator = MazeSimulator(layout, nthread)
        slots = min(batch_size, n)
        self.states = np.zeros((slots, 4))
        self.observations = np.zeros((slots, self.max_steps + 1, 4), dtype=np.float32)
        self.actions = np.zeros((slots, self.max_steps, 2), dtype=np.float32)
        self.action_noise = np.zeros((slots, self.max_steps, 2)) if noise else None
        self.waypoints = np.zeros((slots, len(self.cells), 2))
        self.n_waypoints, self.waypoint, self.steps, self.number = np.zeros((4, slots), dtype=np.int64)
        self.next_number = first
        self.missing = n  # trajectories neither kept nor under way
        self.active = np.arange(slots)
        for slot in range(slots):
            self._begin(slot)

    def _begin(self, slot: int) -> None:
        """Draw the next trajectory into a slot."""
        rng = np.random.default_rng([self.seed, self.next_number])
        self.number[slot] = self.next_number
        self.next_number += 1
        self.missing -= 1
        start, goal = (self.cells[k] for k in rng.integers(len(self.cells), size=2))
        moves = [MOVES[k] for k in rng.permutation(len(MOVES))]
        self.states[slot, :2] = np.asarray(start) + rng.uniform(-START_NOISE, START_NOISE, 2)
        self.states[slot, 2:] = START_NOISE * rng.standard_normal(2)
        path = np.asarray(self.layout.shortest_path(start, goal, moves)[1:] or [goal], dtype=np.float64)
        self.waypoints[slot, : len(path)] = path + self.jitter * rng.uniform(-1.0, 1.0, path.shape)
        if self.action_noise is not None:
            self.action_noise[slot] = self.noise * rng.standard_normal((self.max_steps, 2))
        self.n_waypoints[slot], self.waypoint[slot], self.steps[slot] = len(path), 0, 0
        self.observations[slot, 0] = self.states[slot]

    def step(self) -> dict[int, Trajectory | None]:
        """
        One env step in every slot that is in use.

        :return: the trajectories that ended, by number; None for one that is not kept
        """
        active = self.active
        target = self.waypoints[active, self.waypoint[active]]  # (B, 2)
        states, steps = self.states[active], self.steps[active]
        actions = np.clip(GAIN * (target - states[:, :2]) - states[:, 2:], -1.0, 1.0)
        if self.action_noise is not None:
            actions = np.clip(actions + self.action_noise[active, steps], -1.0, 1.0)
        executed = actions.astype(np.float32)
        states = self.simulator.step(states, executed.astype(np.float64))
        self.states[active] = states
        self.actions[active, steps] = executed
        self.observations[active, steps + 1] = states
        self.steps[active] += 1
        self.waypoint[active] += ((target - states[:, :2]) ** 2).sum(axis=1) <= WAYPOINT_RADIUS**2
        arrived = self.waypoint[active] == self.n_waypoints[active]
        ended = active[arrived | (self.steps[active] == self.max_steps)]
        return {int(self.number[slot]): self._end(slot) for slot in ended.tolist()}

    def _end(self, slot: int) -> Trajectory | None:
        """The trajectory of a slot, if it is kept; the slot goes on with another one, or is out of use."""
        steps = int(self.steps[slot])
        trajectory = None
        arrived = self.waypoint[slot] == self.n_waypoints[slot] or not self.arrived_only
        if arrived and steps >= self.min_steps:
            trajectory = self.observations[slot, : steps + 1].copy(), self.actions[slot, :steps].copy()
        else:
            self.missing += 1
        if self.missing:
            self._begin(slot)
        else:
            self.active = self.active[self.active != slot]
        return trajectory
