"""Samples of tasks that reward one visited state each, and meta-training on them."""

import numpy as np
import pytest
import torch as th
from envs_for_tests import SKILL_DIM, numbered_episode
from pearl_for_tests import iterations, make

from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.experience.buffer import TaskReplayBuffer

GAMMA = 0.9


def filled(lengths: tuple[int, ...] = (4, 6, 5), capacity: int = 40) -> TaskReplayBuffer:
    """One ring of numbered episodes, which their own task rewards at every row, and ends."""
    buffer = TaskReplayBuffer(1, capacity, observation_dim=2, skill_dim=SKILL_DIM, seed=0)
    first = 0
    for length in lengths:
        buffer.add_episode(0, numbered_episode(first, length, terminated=True, skill_steps=2))
        first += length
    return buffer


@pytest.mark.parametrize("ends", [0.0, 1.0])
@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("capacity", [40, 9])
def test_one_state_is_rewarded_and_nothing_else(ends: float, n_steps: int, capacity: int) -> None:
    """Worked out one skill at a time; half of the sample lies on the way there."""
    buffer = filled(capacity=capacity)
    last_rows = {3, 9, 14}
    goals = set()
    for _ in range(60):
        batch, rows = buffer.sample_towards([0], 20, GAMMA, n_steps, False, (2.0, ends))
        goal = int(rows[0, 0])
        goals.add(goal)
        begin = max(first for first in (0, 4, 10, 15 - capacity) if first <= goal)
        numbers = batch.observations[0, :, 0].int().tolist()
        assert all(begin <= number <= goal for number in numbers[:10])
        for b, number in enumerate(numbers):
            span = [number]
            while len(span) < n_steps and span[-1] not in last_rows | {goal}:
                span.append(span[-1] + 1)
            reached = span[-1] == goal
            assert batch.rewards[0, b].item() == pytest.approx(2.0 * GAMMA ** (len(span) - 1) if reached else 0.0)
            assert batch.discounts[0, b].item() == pytest.approx(GAMMA ** len(span))
            assert batch.terminated[0, b].item() == (ends if reached else 0.0)
            assert batch.next_observations[0, b, 0].item() == span[-1] + 1
    assert goals == set(range(max(0, 15 - capacity), 15))


def test_a_time_limit_is_an_end_where_it_is_one() -> None:
    buffer = TaskReplayBuffer(1, 20, 2, SKILL_DIM, seed=0, handle_timeout_termination=False)
    buffer.add_episode(0, numbered_episode(0, 5, truncated=True))
    batch, _ = buffer.sample_towards([0], 200, GAMMA, 1, False, (1.0, 0.0))
    assert th.equal(batch.terminated[0], (batch.next_observations[0, :, 0] == 5).float())


# ---------------------------------------------------------------- meta-training


@pytest.fixture(scope="module")
def model() -> SkillPriorPEARL:
    """Which has seen a reward."""
    model = make(imagined_task_share=0.5)
    iterations(model, 8)
    assert model.policy.imagined.known
    return model


def test_so_many_tasks_of_an_update_are_imagined(model: SkillPriorPEARL, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of the posterior-sized group; their contexts show one reward, at the state that is rewarded."""
    assert model._n_imagined == 2
    given = []
    monkeypatch.setattr(model.learner, "update_tasks", lambda *args: given.append(args) or {})
    model.train(1, 6)
    ((tasks, batch, few, many),) = given
    assert (len(tasks), len(few), len(many)) == (4, 1, 3)
    assert batch.rewards.shape == (1, 4 * 6)
    outcome = model.policy.imagined.outcome
    for context in many[1:]:
        assert th.equal(context[0, outcome], model.policy.imagined.reward)
        assert not context[1:, outcome].any()


def test_none_is_imagined_before_a_reward_was_seen_and_never_all() -> None:
    model = make(imagined_task_share=0.9)
    assert model._n_imagined == 0
    model.policy.imagined.rows += 1.0
    assert model._n_imagined == 2  # of three


def test_meta_training_with_them_is_finite_and_seeded() -> None:
    first, second = (make(imagined_task_share=0.5).learn(200) for _ in range(2))
    for one, other in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        assert th.equal(one, other)
        assert bool(th.isfinite(one).all())
    assert np.isfinite(first.learner.budgets["skill_kl"].multiplier().numpy()).all()
