"""
Demonstrations: one :class:`Episode`, and many as flat arrays, in memory or on disk, from which windows of H steps are
drawn.

::

    observations  |s0 s1 s2 .. sL|s0 s1 .. sL'|...        (steps + episodes, O)
    actions       |a0 a1 .. aL-1 |a0 .. aL'-1 |...        (steps, A)
    offsets       0              L            L + L'      (episodes + 1,): where each episode's actions begin

Episode i's observations begin at ``offsets[i] + i``.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from simpl_sb3.demonstrations.flat import BLOCK, Rows, blocks
from simpl_sb3.errors import DatasetError

__all__ = ["DemonstrationDataset", "Episode", "WindowBatch", "check_actions", "check_space"]

LARGEST_NUMBER = 1e30  # squares of larger ones leave float32
LARGEST_ACTION = 2.0  # with the action space mapped to [-1, 1]
BEYOND_SHARE = 0.01  # of actions outside of it that noise may explain


@dataclass(frozen=True, eq=False)
class Episode:
    """
    One demonstration. Checks its own shapes, and that every number is finite and at most 1e30.

    :param observations: (L + 1, O) float32
    :param actions: (L, A) float32, L >= 1
    :param number: of a demonstrator that counts its episodes, so that what would follow begins with the next number
    :raises DatasetError: for other shapes, or NaN, infinite or larger numbers
    """

    observations: np.ndarray
    actions: np.ndarray
    number: int | None = None

    def __repr__(self) -> str:
        return f"<Episode: {len(self)} env steps, observations {self.observations.shape[1:]}>"

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
            observations = np.asarray(self.observations, dtype=np.float32)
            actions = np.asarray(self.actions, dtype=np.float32)
        if observations.ndim != 2 or actions.ndim != 2 or len(actions) < 1 or len(observations) != len(actions) + 1:
            raise DatasetError(
                f"an episode has observations {observations.shape} and actions {actions.shape}, "
                "expected (L + 1, O) and (L, A) with L >= 1"
            )
        for name, array in (("observations", observations), ("actions", actions)):
            if not np.isfinite(array).all():
                row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
                raise DatasetError(f"an episode's {name} hold NaN or infinity, first at step {row}; expected numbers")
            if np.abs(array).max() > LARGEST_NUMBER:
                raise DatasetError(f"an episode's {name} hold numbers above {LARGEST_NUMBER:g}; expected smaller ones")
        object.__setattr__(self, "observations", observations)
        object.__setattr__(self, "actions", actions)

    def __len__(self) -> int:
        """:return: length in env steps"""
        return len(self.actions)


class WindowBatch(NamedTuple):
    """Windows of H env steps: observations (B, H + 1, O) and actions (B, H, A), float32."""

    observations: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True, eq=False)
class DemonstrationDataset:
    """
    Demonstrations as flat arrays, laid out as drawn at the top of this file. Checks that they fit together.

    :param observations: (steps + episodes, O) float32
    :param actions: (steps, A) float32
    :param offsets: where each episode's actions begin, and the number of steps last, (episodes + 1,) int64
    :param observation_space: of the environment they come from (of the chosen key, if it is a Dict)
    :param action_space: of the environment they come from
    :param id: the Minari id
    :param n_skipped: episodes left out because they are shorter than a skill
    :param observation_key: the key that was read from Dict observations, else None
    :param env_id: id of the environment they come from, where known
    :param folder: where the arrays are, as files without a name that go with the dataset; None for memory
    """

    observations: np.ndarray
    actions: np.ndarray
    offsets: np.ndarray
    observation_space: gym.spaces.Box
    action_space: gym.spaces.Box
    id: str
    n_skipped: int = 0
    observation_key: str | None = None
    env_id: str | None = None
    folder: Path | None = None
    _before: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        steps, episodes = len(self.actions), len(self.offsets) - 1
        if self.offsets[0] != 0 or self.offsets[-1] != steps or len(self.observations) != steps + episodes:
            raise DatasetError(
                f"{self.id}: {len(self.observations)} observations, {steps} actions and {episodes} episodes "
                "do not fit; expected as many observations as actions and episodes together"
            )
        shapes = (self.observations.shape[1:], self.actions.shape[1:])
        if shapes != (self.observation_space.shape, self.action_space.shape):
            raise DatasetError(
                f"{self.id}: observations and actions of shapes {shapes}, "
                f"expected {self.observation_space.shape} and {self.action_space.shape} as in its spaces"
            )
        check_actions(self.id, self.actions, self.action_space)

    def __repr__(self) -> str:
        skipped = f", {self.n_skipped} too short" if self.n_skipped else ""
        where = "" if self.folder is None else ", on disk"
        return (
            f"<DemonstrationDataset {self.id}: {len(self.offsets) - 1:,} episodes{skipped}, {len(self.actions):,} env "
            f"steps, observations {self.observations.shape[1:]}, actions {self.actions.shape[1:]}{where}>"
        )

    @classmethod
    def from_episodes(
        cls,
        episodes: Iterable[Episode],
        observation_space: gym.spaces.Box,
        action_space: gym.spaces.Box,
        *,
        horizon: int = 1,
        id: str = "episodes",
        observation_key: str | None = None,
        env_id: str | None = None,
        folder: str | Path | None = None,
    ) -> "DemonstrationDataset":
        """
        Builds a dataset from episodes, which are taken one after another.

        :param episodes: demonstrations; those shorter than ``horizon`` are skipped and counted
        :param observation_space: one-dimensional Box
        :param action_space: one-dimensional bounded Box
        :param horizon: H, env steps
        :param id: name for messages
        :param observation_key: see the class
        :param env_id: see the class
        :param folder: keeps the arrays in files there, which have no name and end with the dataset; None keeps them in
            memory
        :raises DatasetError: when no episode is long enough, or spaces do not fit
        """
        check_space(id, "observation", observation_space)
        check_space(id, "action", action_space)
        observations, actions = (Rows(space.shape[0], folder) for space in (observation_space, action_space))
        lengths, longest, n_skipped = list[int](), 0, 0
        for episode in episodes:
            longest = max(longest, len(episode))
            if len(episode) < horizon:
                n_skipped += 1
                continue
            observations.add(episode.observations)
            actions.add(episode.actions)
            lengths.append(len(episode))
        if not lengths:
            raise DatasetError(
                f"{id}: none of {n_skipped} episodes is as long as a skill "
                f"(the longest has {longest} env steps, expected at least the horizon, {horizon})"
            )
        return cls(
            observations=observations.together(),
            actions=actions.together(),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            observation_space=observation_space,
            action_space=action_space,
            id=id,
            n_skipped=n_skipped,
            observation_key=observation_key,
            env_id=env_id,
            folder=None if folder is None else Path(folder),
        )

    @property
    def n_episodes(self) -> int:
        """Number of episodes."""
        return len(self.offsets) - 1

    @property
    def n_steps(self) -> int:
        """Number of env steps."""
        return len(self.actions)

    def episode(self, index: int) -> Episode:
        """
        :param index: 0 to ``n_episodes - 1``
        :return: one demonstration, as views
        """
        first, last = self.offsets[index], self.offsets[index + 1]
        return Episode(self.observations[first + index : last + index + 1], self.actions[first:last])

    def some_actions(self, at_most: int = 1_000_000) -> np.ndarray:
        """
        :param at_most: rows
        :return: evenly spaced actions, all where they are so many, (N, A)
        """
        return np.asarray(self.actions[:: -(-self.n_steps // at_most)])

    def split(
        self, validation_fraction: float, seed: int | None = None
    ) -> tuple["DemonstrationDataset", "DemonstrationDataset"]:
        """
        Splits by episode, so that no window of one part overlaps the other; each part keeps at least one episode.

        :param validation_fraction: share of episodes in the second part, above 0 and below 1
        :param seed: of the choice of episodes
        :return: training and validation part
        :raises DatasetError: with fewer than two episodes
        """
        if not 0.0 < validation_fraction < 1.0:
            raise DatasetError(f"validation_fraction is {validation_fraction}, expected above 0 and below 1")
        if self.n_episodes < 2:
            raise DatasetError(f"{self.id}: one episode cannot be split, expected at least two")
        n_validation = min(max(1, round(self.n_episodes * validation_fraction)), self.n_episodes - 1)
        order = np.random.default_rng(seed).permutation(self.n_episodes)
        return self._subset(np.sort(order[n_validation:])), self._subset(np.sort(order[:n_validation]))

    def _subset(self, indices: np.ndarray, n_skipped: int = 0) -> "DemonstrationDataset":
        if not len(indices):
            raise DatasetError(f"{self.id}: no episode is left, expected at least one")
        episodes = (self.episode(int(index)) for index in indices)
        subset = DemonstrationDataset.from_episodes(
            episodes, self.observation_space, self.action_space, id=self.id, folder=self.folder
        )
        return replace(subset, n_skipped=n_skipped, observation_key=self.observation_key, env_id=self.env_id)

    def at_least(self, horizon: int) -> "DemonstrationDataset":
        """
        :param horizon: H, env steps
        :return: the episodes as long as a skill; this very dataset if all are
        :raises DatasetError: when there is none
        """
        lengths = np.diff(self.offsets)
        if lengths.min() >= horizon:
            return self
        long_enough = lengths >= horizon
        return self._subset(np.flatnonzero(long_enough), self.n_skipped + int((~long_enough).sum()))

    def n_windows(self, horizon: int) -> int:
        """
        :param horizon: H, env steps
        :return: number of different windows
        """
        return int(self._windows_before(horizon)[-1])

    def sample_windows(self, batch: int, horizon: int, rng: np.random.Generator) -> WindowBatch:
        """
        Windows drawn uniformly (with replacement) from all that lie within one episode.

        :param batch: B
        :param horizon: H, env steps
        :param rng: source of randomness
        :return: observations (B, H + 1, O) and actions (B, H, A)
        """
        before = self._windows_before(horizon)
        chosen = rng.integers(before[-1], size=batch)
        episodes = np.searchsorted(before, chosen, side="right") - 1
        starts = self.offsets[episodes] + chosen - before[episodes]
        steps = np.arange(horizon + 1)
        return WindowBatch(
            self.observations.take((starts + episodes)[:, None] + steps, axis=0),
            self.actions.take(starts[:, None] + steps[:-1], axis=0),
        )

    def _windows_before(self, horizon: int) -> np.ndarray:
        """How many windows begin in earlier episodes, and in all, (episodes + 1,)."""
        if horizon not in self._before:
            lengths = np.diff(self.offsets)
            before = np.concatenate([[0], np.cumsum(np.maximum(lengths - horizon + 1, 0))])
            if not before[-1]:
                raise DatasetError(
                    f"{self.id}: no episode has {horizon} env steps (the longest has {lengths.max()}), "
                    "expected at least one as long as the horizon"
                )
            self._before[horizon] = before
        return self._before[horizon]


def check_space(dataset_id: str, name: str, space: gym.Space[Any]) -> gym.spaces.Box:
    """
    :param dataset_id: for the message
    :param name: "observation" or "action"
    :param space: the space to check: a one-dimensional Box is expected, bounded if it is of actions
    :return: the same space
    :raises DatasetError: when it is not
    """
    if not isinstance(space, gym.spaces.Box) or space.shape is None or len(space.shape) != 1 or not space.shape[0]:
        raise DatasetError(f"{dataset_id}: its {name} space is {space}, expected a one-dimensional Box")
    if name == "action" and not (space.is_bounded() and (space.low < space.high).all()):
        raise DatasetError(
            f"{dataset_id}: its action space is {space}, expected finite bounds, the lower below the upper"
        )
    return space


def check_actions(dataset_id: str, actions: np.ndarray, space: gym.spaces.Box) -> None:
    """
    :param dataset_id: for the message
    :param actions: (steps, A)
    :param space: the environment's
    :raises DatasetError: for actions outside the space by more than half of its width; what noise adds to an action at
        the space's border is less
    """
    centre, scale = (space.low + space.high) / 2.0, (space.high - space.low) / 2.0
    n_beyond = 0
    for number, block in enumerate(blocks(actions)):
        distance = np.abs(block - centre)
        outside = distance > LARGEST_ACTION * scale
        if outside.any():
            step, index = (int(place) for place in np.argwhere(outside)[0])
            raise DatasetError(
                f"{dataset_id}: action {index} is {block[step, index]:g} at step {number * BLOCK + step}, far outside "
                f"the action space {space}; expected the actions that the environment took"
            )
        n_beyond += int((distance > 1.01 * scale).any(axis=1).sum())
    if n_beyond > BEYOND_SHARE * len(actions):
        warnings.warn(
            f"{dataset_id}: {n_beyond / len(actions):.0%} of the actions lie outside the action space {space}. Skills "
            "learn them as they are, and what they decode is clipped: expected the actions that the environment took.",
            stacklevel=3,
        )
