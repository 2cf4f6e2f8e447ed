"""
Demonstrations of ordered sequences of subtasks in the kitchen, as plain arrays, without rewards or task labels.

What the arm does is in kitchen_scripts.py. Many kitchens run at once, yet each demonstration depends on the seed and on
its own number only: neither on the batch nor on the number of threads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simpl_envs.errors import DemonstrationError
from simpl_envs.kitchen.constants import GOAL_HALF, N_ROBOT
from simpl_envs.kitchen.physics import KitchenPool, KitchenSimulation, Physics
from simpl_envs.kitchen.scripts import Attempt, ScriptedArm
from simpl_envs.kitchen.tasks import KITCHEN_TASK_SETS, SEQUENCE_LENGTH, SUBTASKS, SubtaskSequence, completed_subtasks

__all__ = ["KitchenDemonstration", "demonstrate", "random_sequence"]

FloatArray = npt.NDArray[np.float32]

MAX_DROPPED = 30
"""Incomplete demonstrations after which the demonstrator gives up, and 9 more for each complete one."""


@dataclass(frozen=True, eq=False)
class KitchenDemonstration:
    """
    One demonstration, from the reset pose until the gripper has left the last object.

    :param observations: as the environment gives them, (L+1, 60)
    :param actions: as executed, noise included, or as intended, (L, 9) in [-1, 1]
    :param task: what was demonstrated, in this order
    :param completed_at: env steps after which each subtask was rewarded; fewer than four when it failed
    :param attempts: each try at a subtask
    :param number: what would follow it begins with ``first=number + 1``
    """

    observations: FloatArray
    actions: FloatArray
    task: SubtaskSequence
    completed_at: tuple[int, ...]
    attempts: tuple[Attempt, ...]
    number: int = 0

    @property
    def complete(self) -> bool:
        """Whether all subtasks were completed in order."""
        return len(self.completed_at) == len(self.task.subtasks)


def random_sequence(
    rng: np.random.Generator,
    train_share: float = 0.0,
    exclude: Sequence[SubtaskSequence] = KITCHEN_TASK_SETS["target"],
) -> SubtaskSequence:
    """
    A task to demonstrate.

    :param train_share: probability of one of the published training tasks; else any order of any four subtasks
    :param exclude: orders that are never given, by default the ten target tasks
    """
    choices = [task for task in KITCHEN_TASK_SETS["train"] if task not in exclude]
    if choices and rng.uniform() < train_share:
        return choices[int(rng.integers(len(choices)))]
    while True:
        task = SubtaskSequence(tuple(rng.permutation(len(SUBTASKS))[:SEQUENCE_LENGTH].tolist()))
        if task not in exclude:
            return task


def demonstrate(
    n: int,
    seed: int,
    sequences: Sequence[SubtaskSequence] | None = None,
    train_share: float = 0.0,
    noise: float = 0.1,
    jitter: float = 0.006,
    pushes: float = 0.0,
    intended: bool = False,
    max_attempts: int = 3,
    complete_only: bool = True,
    observation_noise: float = 1.0,
    physics: Physics = "published",
    max_steps: int = 500,
    steady_noise: float = 0.5,
    batch_size: int = 16,
    nthread: int | None = None,
    first: int = 0,
) -> Iterator[KitchenDemonstration]:
    """
    Demonstrations, in the order of their numbers.

    :param n: how many
    :param seed: equal arguments give equal demonstrations, to the bit
    :param sequences: what to demonstrate: number i shows entry i, over and over; None for random sequences, never one
        of the ten target tasks
    :param train_share: see :func:`random_sequence`
    :param noise: standard deviation of the action noise
    :param jitter: half width of the uniform noise on waypoints, m
    :param pushes: probability per env step of being driven off course, see
        :class:`~simpl_envs.kitchen.scripts.ScriptedArm`
    :param intended: record the actions that the demonstrator intended, instead of those executed with noise and pushes:
        noise then shows states off course and how to go on from them, and blurs nothing (DART, Laskey et al., 2017)
    :param max_attempts: at each subtask
    :param complete_only: drop those that do not complete their sequence, and replace them by further numbers
    :param observation_noise: factor on D4RL's, as the environment's ``noise``
    :param physics: as the environment's
    :param max_steps: env steps after which a demonstration is cut off
    :param steady_noise: factor on the noise while an object is grasped or moved
    :param batch_size: kitchens at once; changes the speed and the order of work, not the result
    :param nthread: threads, all cores by default
    :param first: number of the first demonstration; those that are dropped have numbers, too
    :raises DemonstrationError: for bad arguments, at once; during iteration, when fewer than one in ten is complete
    """
    if min(n, noise, jitter, steady_noise) < 0 or min(max_attempts, max_steps, batch_size) < 1:
        raise DemonstrationError(
            "Expected n, noise, jitter, steady_noise >= 0 and max_attempts, max_steps, batch_size >= 1, "
            f"got {n}, {noise}, {jitter}, {steady_noise}, {max_attempts}, {max_steps}, {batch_size}"
        )
    if not (0 <= train_share <= 1 and 0 <= pushes <= 1):
        raise DemonstrationError(f"Expected train_share and pushes in [0, 1], got {train_share} and {pushes}")
    if sequences is not None and not sequences:
        raise DemonstrationError("Expected at least one sequence to demonstrate, or None for random ones")
    simulations = [KitchenSimulation(physics, observation_noise) for _ in range(min(batch_size, n))]
    settings = _Settings(
        seed,
        sequences,
        train_share,
        noise,
        jitter,
        pushes,
        intended,
        max_attempts,
        complete_only,
        max_steps,
        steady_noise,
    )
    return _in_order(_Demonstrator(n, settings, KitchenPool(simulations, nthread), first), n, first)


def _in_order(demonstrator: "_Demonstrator", n: int, number: int) -> Iterator[KitchenDemonstration]:
    """The n demonstrations that are kept, from this number on."""
    ended: dict[int, KitchenDemonstration | None] = {}
    first, dropped, kept = number, 0, 0
    try:
        while n > 0:
            while number not in ended:
                ended.update(demonstrator.step())
            demonstration = ended.pop(number)
            number += 1
            if demonstration is not None:
                n, kept = n - 1, kept + 1
                yield demonstration
            elif (dropped := dropped + 1) >= MAX_DROPPED + 9 * kept:
                asked = demonstrator.settings
                raise DemonstrationError(
                    f"Only {kept} of {number - first} demonstrations are complete with noise {asked.noise:g}, jitter "
                    f"{asked.jitter:g}, pushes {asked.pushes:g} and max_steps {asked.max_steps}: give less noise (the "
                    "default is 0.1) or more steps, or complete_only=False to keep all."
                )
    finally:
        demonstrator.pool.close()


@dataclass(frozen=True)
class _Settings:
    """Those of :func:`demonstrate` that decide the result."""

    seed: int
    sequences: Sequence[SubtaskSequence] | None
    train_share: float
    noise: float
    jitter: float
    pushes: float
    intended: bool
    max_attempts: int
    complete_only: bool
    max_steps: int
    steady_noise: float


class _Run:
    """A demonstration under way."""

    def __init__(self, number: int, settings: _Settings, simulation: KitchenSimulation) -> None:
        self.number, self.settings = number, settings
        tasks, motions, noise = (np.random.default_rng([settings.seed, number, stream]) for stream in range(3))
        given = settings.sequences
        self.task = given[number % len(given)] if given else random_sequence(tasks, settings.train_share)
        self.arm = ScriptedArm(
            self.task.subtasks,
            motions,
            settings.noise,
            settings.jitter,
            settings.pushes,
            settings.max_attempts,
            settings.steady_noise,
        )
        self.observations = [simulation.reset(noise).astype(np.float32)]
        self.actions: list[FloatArray] = []  # executed
        self.intended: list[FloatArray] = []

    def act(self) -> FloatArray | None:
        """The next action; None at the end."""
        return self.arm.act(self.observations[-1]) if len(self.actions) < self.settings.max_steps else None

    def record(self, action: FloatArray, positions: npt.NDArray[np.float64]) -> None:
        """Keep what was done and seen."""
        self.actions.append(action)
        self.intended.append(self.arm.intended)
        self.observations.append(positions.astype(np.float32))

    def result(self) -> KitchenDemonstration:
        """What has been recorded."""
        positions = np.stack(self.observations)
        observations = np.concatenate([positions, np.tile(GOAL_HALF, (len(positions), 1))], axis=1)
        recorded = self.intended if self.settings.intended else self.actions
        actions = np.stack(recorded) if recorded else np.zeros((0, N_ROBOT), dtype=np.float32)
        rewarded = self.task.count_rewarded(completed_subtasks(observations[1:]))
        completed_at = tuple(int(np.argmax(rewarded > k)) + 1 for k in range(int(rewarded.max(initial=0))))
        attempts = tuple(self.arm.attempts)
        return KitchenDemonstration(observations, actions, self.task, completed_at, attempts, self.number)


class _Demonstrator:
    """
    Kitchens under way. One whose demonstration has ended starts on the next number, until as many as wanted are kept or
    under way.
    """

    def __init__(self, n: int, settings: _Settings, pool: KitchenPool, first: int) -> None:
        self.settings, self.pool = settings, pool
        self.next_number = first
        self.missing = n  # neither kept nor under way
        self.runs: dict[int, _Run] = {}  # by kitchen
        for kitchen in range(len(pool.simulations)):
            self._begin(kitchen)

    def _begin(self, kitchen: int) -> None:
        self.runs[kitchen] = _Run(self.next_number, self.settings, self.pool.simulations[kitchen])
        self.next_number += 1
        self.missing -= 1

    def step(self) -> dict[int, KitchenDemonstration | None]:
        """
        One env step in every kitchen that is in use.

        :return: the demonstrations that ended, by number; None for one that is not kept
        """
        actions = {kitchen: run.act() for kitchen, run in self.runs.items()}
        moving = {kitchen: action for kitchen, action in actions.items() if action is not None}
        if moving:
            after = self.pool.step(list(moving), np.stack(list(moving.values())))
            for (kitchen, action), positions in zip(moving.items(), after, strict=True):
                self.runs[kitchen].record(action, positions)
        return dict(self._end(kitchen) for kitchen, action in actions.items() if action is None)

    def _end(self, kitchen: int) -> tuple[int, KitchenDemonstration | None]:
        """Number and demonstration of a kitchen, if it is kept; the kitchen goes on with another or is out of use."""
        run = self.runs.pop(kitchen)
        result = run.result()
        kept = result.complete or not self.settings.complete_only
        self.missing += not kept
        if self.missing > 0:
            self._begin(kitchen)
        return run.number, result if kept else None
