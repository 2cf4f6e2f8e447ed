"""``TaskReplayBuffer``: transitions over skills, kept apart by task, one row per skill."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch as th

from simpl_sb3.errors import ModelFileError, SettingsError
from simpl_sb3.experience.batch import TaskBatch
from simpl_sb3.experience.episode import ROW_FIELDS, SkillEpisode
from simpl_sb3.experience.rows import ContextRows
from simpl_sb3.functional import n_step_return

COLUMNS = ("rows", "skill_steps", "ends", "truncated")
ARRAYS = (*COLUMNS, "written")


class TaskReplayBuffer:
    """
    A ring of rows for each task. Rows of an episode lie one after the other, so that sampling can make n-step returns.

    Not SB3's ``ReplayBuffer``: that has one write pointer for all environments, and mixes tasks when sampling.

    :param n_tasks: number of rings
    :param capacity: rows (skills) per ring; the oldest go first
    :param observation_dim: O
    :param skill_dim: Z
    :param seed: of the sampling
    :param device: of the samples
    :param handle_timeout_termination: False samples a time limit's end as a termination
    :raises SettingsError: for more memory than there is
    """

    def __init__(
        self,
        n_tasks: int,
        capacity: int,
        observation_dim: int,
        skill_dim: int,
        seed: int | None = None,
        device: Any = "cpu",
        handle_timeout_termination: bool = True,
    ) -> None:
        self.n_tasks, self.capacity, self.device = n_tasks, capacity, th.device(device)
        self.handle_timeout_termination = handle_timeout_termination
        self.layout = ContextRows(observation_dim, skill_dim)
        self._columns, self.context_dim = self.layout.columns, self.layout.dim
        try:
            self.rows = np.zeros((n_tasks * capacity, self.context_dim), np.float32)
            self.skill_steps = np.zeros(n_tasks * capacity, np.float32)
            self.ends = np.zeros(n_tasks * capacity, bool)  # the last row of an episode
            self.truncated = np.zeros(n_tasks * capacity, bool)  # the same, by a time limit
        except (MemoryError, ValueError):
            gigabytes = n_tasks * capacity * (4 * self.context_dim + 6) / 1e9
            raise SettingsError(
                f"A replay buffer of {n_tasks} times {capacity} skills needs {gigabytes:.0f} GB, which this machine "
                "does not give: expected a smaller buffer_size or context_buffer_size."
            ) from None
        self.written = np.zeros(n_tasks, np.int64)  # rows ever written, per task
        self.rng = np.random.default_rng(seed)

    def like(self) -> "TaskReplayBuffer":
        """An empty buffer of the same sizes."""
        sizes = self.n_tasks, self.capacity, self.layout.observation_dim, self.layout.skill_dim
        return TaskReplayBuffer(*sizes, None, self.device, self.handle_timeout_termination)

    @property
    def sizes(self) -> np.ndarray:
        """Rows held, (n_tasks,)."""
        return np.minimum(self.written, self.capacity)

    def add(self, task_indices: np.ndarray, rows: dict[str, np.ndarray], ends: np.ndarray) -> None:
        """
        One row for each of several different tasks.

        :param task_indices: (K,), without repetition
        :param rows: the row fields of ``SkillEpisode``, each (K, ...)
        :param ends: whether the row is its episode's last, by termination or truncation, (K,)
        """
        at = task_indices * self.capacity + self.written[task_indices] % self.capacity
        self._write(at, rows, ends)
        self.written[task_indices] += 1

    def add_episode(self, task_index: int, episode: SkillEpisode) -> None:
        """Append a whole episode to one task's ring; of one longer than the ring, the last rows are kept."""
        rows = {name: getattr(episode, name)[-self.capacity :] for name in ROW_FIELDS}
        length = len(rows["rewards"])
        ends = np.zeros(length, bool)
        ends[-1:] = True
        places = (self.written[task_index] + np.arange(length)) % self.capacity
        self._write(task_index * self.capacity + places, rows, ends)
        self.written[task_index] += length

    def end_episodes(self) -> None:
        """What comes next belongs to other episodes: the environments were reset from outside."""
        self.newest_ends = np.ones(self.n_tasks, bool)

    def _write(self, at: np.ndarray, rows: dict[str, np.ndarray], ends: np.ndarray) -> None:
        for name, columns in self._columns.items():
            self.rows[at, columns] = np.asarray(rows[name], np.float32).reshape(len(at), -1)
        self.skill_steps[at] = rows["skill_steps"]
        self.ends[at] = ends
        self.truncated[at] = rows["truncated"]

    def sample(
        self,
        task_indices: Sequence[int] | np.ndarray,
        batch_size: int,
        gamma: float,
        n_steps: int = 1,
        per_env_step: bool = False,
    ) -> TaskBatch:
        """
        Uniform transitions of each task.

        :param task_indices: (T,); each must hold a row
        :param batch_size: B, transitions per task
        :param gamma: discount of a skill
        :param n_steps: skills that a transition spans at most; it ends earlier at the episode's end and the newest row
        :param per_env_step: ``gamma`` discounts an env step instead: a skill of k env steps counts gamma^k
        :return: tensors (T, B, ...)
        """
        tasks = np.asarray(task_indices)[:, None]
        age = self.rng.integers(0, self.sizes[tasks], (len(tasks), batch_size))  # 0 is the newest row
        return self._transitions(tasks, age, gamma, n_steps, per_env_step)

    def sample_towards(
        self,
        task_indices: Sequence[int] | np.ndarray,
        batch_size: int,
        gamma: float,
        n_steps: int,
        per_env_step: bool,
        outcome: tuple[float, float],
    ) -> tuple[TaskBatch, th.Tensor]:
        """
        Transitions as of tasks that reward one visited state each, and nothing else: half of them from the episode that
        got there, up to it.

        :param task_indices: whose rows, (T,); each must hold one
        :param outcome: what the state is rewarded with, and whether it ends the episode, 0 or 1
        :return: tensors (T, B, ...), and the rows that end in these states, (T, context_dim)
        """
        tasks = np.asarray(task_indices)[:, None]
        goals = self.rng.integers(0, self.sizes[tasks], tasks.shape)  # ages, (T, 1)
        age = self.rng.integers(0, self.sizes[tasks], (len(tasks), batch_size))
        half = batch_size // 2
        for k, (task, goal) in enumerate(zip(tasks[:, 0].tolist(), goals[:, 0].tolist(), strict=True)):
            ends = self.ends[self._of_age(task, np.arange(goal, self.sizes[task]))]  # the goal's episode, and before it
            length = next(iter(np.flatnonzero(ends[1:])), len(ends) - 1) + 1
            age[k, :half] = goal + self.rng.integers(0, length, half)
        batch = self._transitions(tasks, age, gamma, n_steps, per_env_step, goals, outcome)
        return batch, self._tensor(self.rows[self._of_age(tasks, goals)[:, 0]])

    def _transitions(
        self,
        tasks: np.ndarray,
        age: np.ndarray,
        gamma: float,
        n_steps: int,
        per_env_step: bool,
        goals: np.ndarray | None = None,
        outcome: tuple[float, float] = (0.0, 0.0),
    ) -> TaskBatch:
        """
        :param tasks: (T, 1)
        :param age: of the first row, 0 for the newest, (T, B)
        :param goals: ages of the only rows with a reward, (T, 1); None takes the rows' own rewards
        :param outcome: of the goals
        """
        steps = np.arange(n_steps)
        span = self._of_age(tasks[..., None], age[..., None] - steps)  # (T, B, n)
        ends, paid = self.ends[span], self.rows[span, self._columns["rewards"].start]
        if goals is not None:
            at_goal = age[..., None] - steps == goals[..., None]
            ends, paid = ends | at_goal, np.where(at_goal, outcome[0], 0.0)
        ended = np.cumsum(ends, axis=-1) - ends  # episode ends before each step
        used = (ended == 0) & (steps <= age[..., None])
        last = np.take_along_axis(span, used.sum(-1, keepdims=True) - 1, -1)[..., 0]  # (T, B)
        discounts = np.where(used, gamma ** self.skill_steps[span] if per_env_step else gamma, 1.0)
        rewards = np.where(used, paid, 0.0)
        total, discount = n_step_return(self._tensor(rewards), self._tensor(discounts))
        first, final = self.rows[span[..., 0]], self.rows[last]
        terminated = final[..., self._columns["terminated"].start]
        if goals is not None:
            terminated = np.where(age - used.sum(-1) + 1 == goals, outcome[1], 0.0)
        if not self.handle_timeout_termination:
            terminated = np.maximum(terminated, self.truncated[last])
        return TaskBatch(
            observations=self._tensor(first[..., self._columns["observations"]]),
            actions=self._tensor(first[..., self._columns["actions"]]),
            rewards=total,
            discounts=discount,
            terminated=self._tensor(terminated),
            next_observations=self._tensor(final[..., self._columns["next_observations"]]),
        )

    def sample_context(self, task_indices: Sequence[int] | np.ndarray, n_rows: int, reward_rows: int = 0) -> th.Tensor:
        """
        Context rows of each task, drawn with replacement.

        Uniform as published, or with ``reward_rows`` balanced: a random stretch of at least N consecutive rows (so that
        the context may hold few episodes or many), of it up to ``reward_rows`` of the rewarded rows, and others to
        fill up.

        :param task_indices: (T,); each must hold a row
        :param n_rows: N
        :param reward_rows: at most so many rows with a reward; 0 for a uniform draw
        :return: (T, N, context_dim)
        """
        if reward_rows == 0:
            tasks = np.asarray(task_indices)[:, None]
            at = tasks * self.capacity + self.rng.integers(0, self.sizes[tasks], (len(tasks), n_rows))
        else:
            at = np.stack([self._balanced(int(task), n_rows, reward_rows) for task in task_indices])
        return self._tensor(self.rows[at])

    def whole_context(self, task_index: int, n_rows: int | None = None, reward_rows: int = 0) -> th.Tensor:
        """
        Everything that one task's ring holds, or a balanced draw from all of it.

        :param n_rows: N; None for every row
        :param reward_rows: at most so many rows with a reward
        :return: (1, N, context_dim)
        """
        size = int(self.sizes[task_index])
        if n_rows is None or n_rows >= size:
            at = self._held(task_index)
        else:
            at = self._balanced(task_index, n_rows, reward_rows, whole=True)
        return self._tensor(self.rows[at])[None]

    def newest(self, task_indices: np.ndarray) -> th.Tensor:
        """The newest context row of each of these tasks, which hold one, (K, context_dim)."""
        return self._tensor(self.rows[self._newest_places[task_indices]])

    def evenly_spaced(self, n_rows: int) -> tuple[th.Tensor, th.Tensor]:
        """
        At most so many rows of all tasks, as evenly spaced as can be, and which of them say where a reward is.

        :return: (N, context_dim) and (N,) bool
        """
        rings = [self._held(task) for task in range(self.n_tasks)]
        at, rewarded = np.concatenate(rings), np.concatenate([self._rewarded(ring) for ring in rings])
        chosen = np.linspace(0, len(at) - 1, min(n_rows, len(at))).astype(int)
        return self._tensor(self.rows[at[chosen]]), th.as_tensor(rewarded[chosen], device=self.device)

    def rewarded(self, task_index: int) -> bool:
        """Whether one task's ring holds a reward that says more than the others do."""
        return bool(self._rewarded(self._held(task_index)).any())

    def _held(self, task_index: int) -> np.ndarray:
        """Where the rows of one task's ring lie, as they lie there."""
        return task_index * self.capacity + np.arange(int(self.sizes[task_index]))

    def _rewarded(self, at: np.ndarray) -> np.ndarray:
        """
        Which of these rows say where the reward is: those above 0 or, where none is (each step costs something), those
        above the median.
        """
        rewards = self.rows[at, self._columns["rewards"].start]
        return rewards > 0 if (rewards > 0).any() or not len(rewards) else rewards > np.median(rewards)

    def copy_ring(self, task_index: int, other: "TaskReplayBuffer", other_index: int) -> None:
        """Begin one task's ring with a copy of a ring of another buffer of the same capacity."""
        for name in ARRAYS:
            own, theirs = getattr(self, name), getattr(other, name)
            own.reshape(self.n_tasks, -1)[task_index] = theirs.reshape(other.n_tasks, -1)[other_index]

    # ------------------------------------------------------------ state on disk

    def rows_since(self, written: np.ndarray) -> dict[str, np.ndarray]:
        """
        What was added since ``written`` had these values, as far as the rings still hold it: for :meth:`append`.

        :param written: (n_tasks,)
        """
        first = np.maximum(written, self.written - self.capacity)
        at = self._places(first, self.written)
        return {"first": first, "written": self.written.copy()} | {name: getattr(self, name)[at] for name in COLUMNS}

    def append(self, added: Mapping[str, np.ndarray]) -> None:
        """
        Add what :meth:`rows_since` gave; all is checked before anything is taken.

        :raises ModelFileError: for rows of another buffer, or numbers that are not finite
        """
        first, written = (added.get(name, np.zeros(0)) for name in ("first", "written"))
        shape = (self.n_tasks,)
        fits = first.shape == written.shape == shape and first.dtype == written.dtype == self.written.dtype
        counts = written - first if fits else np.zeros(1, int)
        if not fits or (counts < 0).any() or (counts > self.capacity).any() or (first < 0).any():
            raise ModelFileError(f"Rows of {len(first)} rings do not fit a buffer of {self.n_tasks}.")
        n_rows = int(counts.sum())
        for name in COLUMNS:
            own, given = getattr(self, name), added.get(name)
            kind = None if given is None else (given.shape, given.dtype)
            if given is None or kind != ((n_rows, *own.shape[1:]), own.dtype) or not np.isfinite(given).all():
                raise ModelFileError(f"The rows' {name} are {kind}: expected {n_rows} finite ones of {own.shape[1:]}.")
        at = self._places(first, written)
        for name in COLUMNS:
            getattr(self, name)[at] = added[name]
        self.written[:] = written

    def _of_age(self, tasks: Any, age: np.ndarray | int) -> np.ndarray:
        """Where the rows of these tasks lie that have so many newer ones, as broadcast."""
        return tasks * self.capacity + (self.written[tasks] - 1 - age) % self.capacity

    def _places(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Where the rows with these numbers lie, ring after ring."""
        rings = [
            task * self.capacity + np.arange(begin, end) % self.capacity
            for task, (begin, end) in enumerate(zip(first, last, strict=True))
        ]
        return np.concatenate(rings)

    @property
    def newest_ends(self) -> np.ndarray:
        """Whether the newest row of each ring ends an episode, (n_tasks,) bool; False for an empty ring."""
        return self.ends[self._newest_places] & (self.written > 0)

    @newest_ends.setter
    def newest_ends(self, ends: np.ndarray) -> None:
        held = np.flatnonzero(self.written)
        self.ends[self._newest_places[held]] = ends[held]

    @property
    def _newest_places(self) -> np.ndarray:
        """Where the newest row of each ring lies, (n_tasks,); of an empty ring, where its last row will."""
        return self._of_age(np.arange(self.n_tasks), 0)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays and the generator's state, from which :meth:`take_state` continues."""
        generator = np.array(json.dumps(self.rng.bit_generator.state))
        return {name: getattr(self, name) for name in ARRAYS} | {"generator": generator}

    def take_state(self, state: Mapping[str, np.ndarray]) -> None:
        """
        Continue from :meth:`state` of a buffer of the same sizes; all is checked before anything is taken.

        :raises ModelFileError: for arrays of another name, shape or kind, or numbers that are not finite
        """
        if set(state) != {*ARRAYS, "generator"}:
            raise ModelFileError(f"A replay buffer holds {', '.join(ARRAYS)}: found {', '.join(sorted(state))}.")
        for name in ARRAYS:
            own, given = getattr(self, name), state[name]
            if given.shape != own.shape or given.dtype != own.dtype:
                raise ModelFileError(
                    f"The replay buffer's {name} is {given.shape} {given.dtype}: expected {own.shape} {own.dtype}."
                )
            if not np.isfinite(given).all() or (name == "written" and (given < 0).any()):
                raise ModelFileError(f"The replay buffer's {name} holds numbers out of range.")
        generator = np.random.default_rng()
        generator.bit_generator.state = json.loads(str(state["generator"]))
        for name in ARRAYS:
            getattr(self, name)[:] = state[name]
        self.rng = generator

    def _balanced(self, task: int, n_rows: int, reward_rows: int, whole: bool = False) -> np.ndarray:
        """Indices (n_rows,) of a balanced context; ``whole`` takes the whole ring as the stretch."""
        size = int(self.sizes[task])
        length = size if whole else int(np.exp(self.rng.uniform(np.log(min(n_rows, size)), np.log(size)))) + 1
        start = 0 if whole else int(self.rng.integers(0, max(1, size - length + 1)))
        ages = np.arange(start, min(start + length, size))
        stretch = self._of_age(task, ages)
        rewarded = stretch[self._rewarded(stretch)]
        if len(rewarded) > min(reward_rows, n_rows):
            rewarded = self.rng.choice(rewarded, min(reward_rows, n_rows), replace=False)
        rest = self.rng.choice(stretch, n_rows - len(rewarded))
        return np.concatenate([rewarded, rest])

    def _tensor(self, array: np.ndarray) -> th.Tensor:
        return th.as_tensor(array, dtype=th.float32, device=self.device)
