"""``TaskReplayBuffer`` filled with its own numbers, so that a leak across tasks or episodes shows; and hindsight."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import SKILL_DIM, LineTask, numbered_episode
from hypothesis import given, settings
from hypothesis import strategies as st

from simpl_sb3.experience.batch import TaskBatch
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.episode import ROW_FIELDS, SkillEpisode

GAMMA = 0.9
ROW = 2 + SKILL_DIM + 1 + 1 + 2
REWARD = 2 + SKILL_DIM


def make(n_tasks: int = 3, capacity: int = 12, seed: int = 0, **settings: Any) -> TaskReplayBuffer:
    return TaskReplayBuffer(n_tasks, capacity, observation_dim=2, skill_dim=SKILL_DIM, seed=seed, **settings)


def assert_equal_batches(one: TaskBatch, other: TaskBatch) -> None:
    for name, value in vars(one).items():
        assert th.equal(value, getattr(other, name)), name


def expected(
    rows: list[tuple[int, bool, float, float]], start: int, n_steps: int, per_env_step: bool
) -> tuple[float, ...]:
    """
    What a transition from this row on is, worked out one skill at a time.

    :param rows: number, whether its episode's last, whether terminated, and env steps of each row held, in order
    :return: reward, discount, terminated, number of the state after it
    """
    total, discount, span = 0.0, 1.0, []
    for number, last, terminated, skill_steps in rows[start : start + n_steps]:
        total += discount * number
        discount *= GAMMA**skill_steps if per_env_step else GAMMA
        span.append((terminated, number + 1))
        if last:
            break
    return total, discount, *span[-1]


# ---------------------------------------------------------------- reinforcement-learning samples


Episodes = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 9), st.booleans(), st.integers(1, 4)), min_size=1, max_size=12
)


@settings(max_examples=60)
@given(
    episodes=Episodes,
    capacity=st.integers(1, 15),
    n_steps=st.integers(1, 6),
    per_env_step=st.booleans(),
    cut=st.booleans(),
)
def test_samples_are_those_of_the_rows_held(
    episodes: list[tuple[int, int, bool, int]], capacity: int, n_steps: int, per_env_step: bool, cut: bool
) -> None:
    """
    Against the rows held, one at a time: never across an episode's end, the newest row, or into
    another task; each can be drawn.

    ``cut`` leaves the last episode unfinished, as a buffer that is written a skill at a time has it.
    """
    buffer, held = make(3, capacity), {0: [], 1: [], 2: []}  # type: ignore[var-annotated]
    number = 1
    for k, (task, length, terminated, skill_steps) in enumerate(episodes):
        episode = numbered_episode(number, length, terminated, skill_steps)
        unfinished = cut and k == len(episodes) - 1
        if unfinished:
            for i in range(length):
                rows = {name: getattr(episode, name)[i : i + 1] for name in ROW_FIELDS}
                buffer.add(np.array([task]), rows | {"terminated": np.zeros(1)}, np.array([False]))
        else:
            buffer.add_episode(task, episode)
        for i in range(length):
            last = i == length - 1 and not unfinished
            held[task].append((number + i, last, float(last and terminated), skill_steps))
        number += length
    tasks = [task for task in held if held[task]]
    assert buffer.sizes.tolist() == [min(len(held[task]), capacity) for task in range(3)]

    batch = buffer.sample(tasks, 200, GAMMA, n_steps, per_env_step)
    for t, task in enumerate(tasks):
        rows = held[task][-capacity:]
        starts = {row[0]: start for start, row in enumerate(rows)}
        numbers = batch.observations[t, :, 0].int().tolist()
        assert set(numbers) <= starts.keys()
        assert len(set(numbers)) == len(rows)  # 200 draws of at most 15
        for b, drawn in enumerate(numbers):
            assert (batch.actions[t, b] == drawn).all()
            total, discount, terminated, after = expected(rows, starts[drawn], n_steps, per_env_step)
            assert batch.rewards[t, b].item() == pytest.approx(total, rel=1e-4)
            assert batch.discounts[t, b].item() == pytest.approx(discount, rel=1e-4)
            assert batch.terminated[t, b].item() == terminated
            assert (batch.next_observations[t, b] == after).all()


@pytest.mark.parametrize("handled", [True, False])
def test_what_follows_a_time_limit_counts_only_where_timeouts_are_handled(handled: bool) -> None:
    buffer = make(4, handle_timeout_termination=handled)
    buffer.add_episode(0, numbered_episode(0, 3, truncated=True))
    buffer.add_episode(1, numbered_episode(0, 3, terminated=True))
    for i in range(3):
        rows = {name: getattr(numbered_episode(0, 3, truncated=True), name)[i : i + 1] for name in ROW_FIELDS}
        buffer.add(np.array([2]), rows, np.array([i == 2]))
    copy = make(4, handle_timeout_termination=handled)
    for task in range(3):
        copy.copy_ring(task, buffer, task)
    for one in (buffer, copy):
        for n_steps in (1, 2):
            batch = one.sample([0, 1, 2], 100, GAMMA, n_steps)
            last = (batch.next_observations[..., 0] == 3).float()
            assert 0 < last.mean() < 1
            assert th.equal(batch.terminated[1], last[1])
            for task in (0, 2):
                assert th.equal(batch.terminated[task], th.zeros(100) if handled else last[task])
    assert buffer.whole_context(0)[..., -3].sum() == 0  # a context row tells a termination, not a time limit


def test_shapes_and_order_of_a_sample() -> None:
    buffer = make()
    for task in range(3):
        buffer.add_episode(task, numbered_episode(1000 * task, 5))
    batch = buffer.sample([2, 0, 2], 7, GAMMA)
    assert batch.observations.shape == batch.next_observations.shape == (3, 7, 2)
    assert batch.actions.shape == (3, 7, SKILL_DIM)
    assert batch.rewards.shape == batch.discounts.shape == batch.terminated.shape == (3, 7)
    assert all(value.dtype == th.float32 for value in vars(batch).values())
    assert (batch.observations[:, :, 0] // 1000 == th.tensor([[2], [0], [2]])).all()


def test_samples_are_uniform() -> None:
    buffer = make(1, 10)
    buffer.add_episode(0, numbered_episode(0, 14))  # holds 4 .. 13
    counts = np.bincount(buffer.sample([0], 20_000, GAMMA, 3).observations[0, :, 0].int(), minlength=14)
    assert counts[:4].tolist() == [0] * 4
    assert np.abs(counts[4:] - 2000).max() < 250


def test_a_skill_at_a_time_is_the_same_as_an_episode_at_a_time() -> None:
    whole, stepwise = make(), make()  # of 12 rows
    for first in (0, 9):
        episodes = [numbered_episode(1000 * task + first, 9, terminated=task == 1) for task in range(3)]
        for task, episode in enumerate(episodes):
            whole.add_episode(task, episode)
        order = np.array([2, 0, 1])
        for i in range(9):
            rows = {name: np.stack([getattr(episodes[task], name)[i] for task in order]) for name in ROW_FIELDS}
            stepwise.add(order, rows, np.full(3, i == 8))
    for name in ("rows", "skill_steps", "ends", "written"):
        assert np.array_equal(getattr(whole, name), getattr(stepwise, name)), name


def test_rows_of_some_tasks_leave_the_others_alone() -> None:
    buffer = make()
    buffer.add_episode(1, numbered_episode(5, 3))
    before = buffer.rows.copy()
    rows = {name: getattr(numbered_episode(9, 2), name) for name in ROW_FIELDS}
    buffer.add(np.array([0, 2]), rows, np.array([False, True]))
    assert buffer.sizes.tolist() == [1, 3, 1]
    assert np.array_equal(buffer.rows[12:24], before[12:24])
    assert buffer.rows[0, 0] == 9
    assert buffer.rows[24, 0] == 10


def test_the_ring_forgets_the_oldest() -> None:
    buffer = make(1, 6)
    for first in (0, 4, 8):
        buffer.add_episode(0, numbered_episode(first, 4))
    assert sorted(buffer.whole_context(0)[0, :, 0].tolist()) == [6, 7, 8, 9, 10, 11]


def test_seeded_samples_are_equal_to_the_bit() -> None:
    batches = []
    for seed in (4, 4, 5):
        buffer = make(seed=seed)
        buffer.add_episode(0, numbered_episode(0, 12))
        batches.append(buffer.sample([0, 0], 9, GAMMA, 2))
    assert_equal_batches(batches[0], batches[1])
    assert not th.equal(batches[0].observations, batches[2].observations)


def test_a_copied_ring_is_a_copy() -> None:
    one, other = make(), make()
    one.add_episode(1, numbered_episode(3, 20, terminated=True))
    other.copy_ring(1, one, 1)
    assert_equal_batches(one.sample([1], 30, GAMMA, 4), other.sample([1], 30, GAMMA, 4))
    one.add_episode(1, numbered_episode(500, 4))
    assert other.sample([1], 100, GAMMA).observations.max() < 100


# ---------------------------------------------------------------- contexts


def test_a_context_row_is_state_skill_reward_done_next_state() -> None:
    buffer = make()
    buffer.add_episode(1, numbered_episode(7, 1, terminated=True))
    assert buffer.context_dim == ROW
    rows = buffer.sample_context([1, 1], 3)
    assert rows.shape == (2, 3, ROW)
    assert (rows == th.tensor([7.0, 7.0, *[7.0] * SKILL_DIM, 7.0, 1.0, 8.0, 8.0])).all()


@pytest.mark.parametrize("reward_rows", [0, 2])
def test_contexts_do_not_mix_tasks(reward_rows: int) -> None:
    buffer = make(4, 30)
    for task in (0, 1, 3):
        for first in range(0, 60, 15):
            buffer.add_episode(task, numbered_episode(1000 * task + first, 15))
    context = buffer.sample_context([3, 0, 1, 3], 25, reward_rows)
    assert context.shape == (4, 25, ROW)
    assert (context[:, :, 0] // 1000 == th.tensor([[3], [0], [1], [3]])).all()
    assert (context[:, :, 0] % 1000 >= 30).all()  # the ring has forgotten the rest


def paid(first: int, length: int, at: list[int]) -> SkillEpisode:
    """A numbered episode that is paid 1 at some of its rows, and 0 at the others."""
    return replace(numbered_episode(first, length), rewards=np.isin(np.arange(length), at).astype(np.float32))


@settings(max_examples=50)
@given(size=st.integers(1, 30), n_paid=st.integers(0, 30), n_rows=st.integers(1, 20), reward_rows=st.integers(1, 25))
def test_a_balanced_context_holds_few_paid_rows_twice(size: int, n_paid: int, n_rows: int, reward_rows: int) -> None:
    """Of any sizes: as many rows as asked for, all of them held."""
    buffer = make(1, 40)
    buffer.add_episode(0, paid(100, size, list(range(min(n_paid, size)))))
    for _ in range(5):
        context = buffer.sample_context([0], n_rows, reward_rows)
        assert context.shape == (1, n_rows, ROW)
        assert set(context[0, :, 0].int().tolist()) <= set(range(100, 100 + size))


def test_a_balanced_context_shows_a_rare_reward() -> None:
    """Of 1,000 rows one is paid: a uniform context of 20 rows has it in 2 %, a balanced draw from the whole always."""
    buffer = make(1, 1000)
    buffer.add_episode(0, paid(0, 1000, [600]))
    uniform = [buffer.sample_context([0], 20)[..., REWARD].any().item() for _ in range(200)]
    assert np.mean(uniform) < 0.1
    assert all(buffer.whole_context(0, 20, 3)[..., REWARD].any() for _ in range(50))


def test_a_balanced_context_is_a_stretch_of_consecutive_rows() -> None:
    """Of random length, short ones among them; over the ring's seam as well."""
    buffer = make(1, 100)
    buffer.add_episode(0, paid(0, 250, []))
    drawn = [buffer.sample_context([0], 8, 4)[0, :, 0] for _ in range(300)]
    widths = np.array([(rows.max() - rows.min()).item() + 1 for rows in drawn])
    assert min(rows.min().item() for rows in drawn) >= 150
    assert (widths <= 16).mean() > 0.15
    assert (widths > 60).mean() > 0.05


def test_the_paid_rows_of_a_balanced_context_are_as_many_as_allowed() -> None:
    """Beyond them, the rows that fill up are drawn from the same stretch, paid or not."""
    buffer = make(1, 200)
    buffer.add_episode(0, paid(0, 200, [50, 100, 150]))
    context = buffer.whole_context(0, 30, 2)
    assert context.shape == (1, 30, ROW)
    assert context[0, :2, REWARD].tolist() == [1.0, 1.0]
    assert context[0, 0, 0] != context[0, 1, 0]
    assert context[0, :, REWARD].sum() <= 5


@pytest.mark.parametrize("n_rows", [None, 8, 100])
def test_the_whole_context_is_every_row_once(n_rows: int | None) -> None:
    buffer = make(2, 8)
    buffer.add_episode(1, numbered_episode(0, 13))
    context = buffer.whole_context(1, n_rows, 2)
    assert sorted(context[0, :, 0].tolist()) == list(range(5, 13))


# ---------------------------------------------------------------- episodes and hindsight


def lived_through(x: list[float], skill_lengths: list[int], task: Any, limit: bool = False) -> SkillEpisode:
    """
    The episode that these positions after each env step would have been under a task, one env step at a time.

    :param limit: a time limit ends it, where the task has not
    """
    positions = np.array([[value, 0.0] for value in x], np.float32)
    rewards, terminated = task.rewards(positions)
    fields: dict[str, list[Any]] = {name: [] for name in ROW_FIELDS}
    before, step = np.zeros(2, np.float32), 0
    for number, length in enumerate(skill_lengths):
        total, count, ended = 0.0, 0, False
        while count < length and not ended:
            total, ended = total + rewards[step], bool(terminated[step])
            count, step = count + 1, step + 1
        truncated = float(limit and not ended and number == len(skill_lengths) - 1)
        row = (before, np.full(SKILL_DIM, number), total, float(ended), positions[step - 1], count, truncated)
        for name, value in zip(ROW_FIELDS, row, strict=True):
            fields[name].append(value)
        before = positions[step - 1]
        if ended:
            break
    arrays = {name: np.array(column, np.float32) for name, column in fields.items()}
    return SkillEpisode(**arrays, env_observations=positions[:step])


@dataclass(frozen=True)
class Collect:
    """Pays 1 at every env step beyond a place, and never ends."""

    beyond: float

    def rewards(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (observations[:, 0] > self.beyond).astype(np.float32), np.zeros(len(observations), bool)


NEVER = LineTask(1e6)
Walk = st.lists(
    st.tuples(st.integers(1, 5), st.lists(st.integers(-6, 6), min_size=5, max_size=5)), min_size=1, max_size=6
)


@settings(max_examples=150)
@given(
    walk=Walk, task=st.one_of(st.integers(-6, 6).map(LineTask), st.integers(-6, 6).map(Collect)), limit=st.booleans()
)
def test_relabelled_is_what_would_have_been_lived_through(
    walk: list[tuple[int, list[int]]], task: Any, limit: bool
) -> None:
    lengths = [length for length, _ in walk]
    x = [float(value) for length, values in walk for value in values[:length]]
    lived = lived_through(x, lengths, task, limit)
    relabelled = lived_through(x, lengths, NEVER, limit).relabelled(task)
    if lived.rewards.sum() == 0:
        assert relabelled is None
        return
    assert relabelled is not None
    for name in (*ROW_FIELDS, "env_observations"):
        assert np.array_equal(getattr(relabelled, name), getattr(lived, name)), name
    assert relabelled.env_steps == lived.env_steps == len(lived.env_observations)  # type: ignore[arg-type]
    assert relabelled.total_reward == lived.total_reward


def test_relabelled_by_hand_where_the_goal_is_hit_inside_a_skill() -> None:
    episode = lived_through([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3, 3], NEVER)
    cut = episode.relabelled(LineTask(6.0))  # |5 - 6| <= 1 in the fifth env step, the second of the second skill
    assert cut is not None
    assert len(cut) == 2
    assert cut.rewards.tolist() == [0.0, 1.0]
    assert cut.terminated.tolist() == [0.0, 1.0]
    assert cut.skill_steps.tolist() == [3.0, 2.0]
    assert cut.next_observations[:, 0].tolist() == [3.0, 5.0]
    assert cut.env_steps == 5


def test_relabelling_leaves_the_episode_alone() -> None:
    episode = lived_through([1, 2, 3, 4, 5, 6], [3, 3], NEVER)
    before = [np.array(getattr(episode, name)) for name in (*ROW_FIELDS, "env_observations")]
    assert episode.relabelled(LineTask(3.0)) is not None
    for name, array in zip((*ROW_FIELDS, "env_observations"), before, strict=True):
        assert np.array_equal(getattr(episode, name), array)


def test_an_episode_that_terminated_for_its_own_task_does_not_for_another() -> None:
    episode = lived_through([1, 2, 3], [2, 2], LineTask(4.0))
    assert episode.terminated.tolist() == [0.0, 1.0]
    other = episode.relabelled(Collect(1.5))
    assert other is not None
    assert other.terminated.tolist() == [0.0, 0.0]
    assert other.rewards.tolist() == [1.0, 1.0]


def test_nothing_is_relabelled_without_a_reward_or_without_env_observations() -> None:
    episode = lived_through([1, 2, 3], [3], NEVER)
    assert episode.relabelled(LineTask(9.0)) is None
    assert numbered_episode(0, 3).relabelled(LineTask(1.0)) is None


def test_rewards_after_the_end_have_no_meaning() -> None:
    """As the tasks' contract says; here a task that ends in a pit without pay, and would pay later."""

    class Pit:
        def rewards(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return (observations[:, 0] >= 3).astype(np.float32), observations[:, 0] == 2

    assert lived_through([1, 2, 3], [3], NEVER).relabelled(Pit()) is None
