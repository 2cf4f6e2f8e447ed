"""Tasks that reward a state which meta-training visited: what is kept of it, and what the task encoder makes of it."""

import pytest
import torch as th

from simpl_sb3.algorithms.imagined_tasks import N_IMAGINED, N_UNREWARDED, ImaginedTasks, far_apart

OBSERVATION, SKILL = 2, 3
ROW = 2 * OBSERVATION + SKILL + 2
REWARD, END = OBSERVATION + SKILL, OBSERVATION + SKILL + 1


def rows(n: int) -> th.Tensor:
    """Rows (s, z, r, done, s') numbered by their first state, every tenth rewarded with 2 or 4 and ended."""
    table = th.randn(n, ROW, generator=th.Generator().manual_seed(0))
    table[:, 0] = th.arange(n)
    table[:, [REWARD, END]] = 0.0
    table[::10, END], table[::10, REWARD] = 1.0, 2.0
    table[::20, REWARD] = 4.0
    return table


def by_number(asked: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """A task latent of one number, that of the row."""
    return asked[:, :1], th.full((len(asked), 1), 0.5)


def remembering(table: th.Tensor) -> ImaginedTasks:
    imagined = ImaginedTasks(ROW, slice(REWARD, END + 1))
    imagined.remember(table, table[:, REWARD] > 0, by_number)
    return imagined


def test_kept_are_rows_far_apart_rewarded_as_training_tasks_do() -> None:
    imagined = remembering(rows(10 * N_IMAGINED))
    assert imagined.known
    gaps = imagined.rows[:, 0].sort().values.diff()
    assert len(imagined.rows) == N_IMAGINED
    assert gaps.min() >= 5.0
    assert gaps.max() <= 20.0
    assert (imagined.unrewarded[:, REWARD] == 0).all()
    assert len(imagined.unrewarded[:, 0].unique()) == N_UNREWARDED
    assert imagined.reward.tolist() == [2.0, 1.0]


def test_of_fewer_rows_each_is_kept() -> None:
    assert set(remembering(rows(40)).rows[:, 0].tolist()) == set(range(40))


def test_far_apart() -> None:
    points = th.tensor([[0.0], [1.0], [10.0], [4.0], [9.5]])
    assert far_apart(points, 3).tolist() == [0, 2, 3]


@pytest.mark.parametrize("rewarded", [False, True])
def test_where_no_reward_stands_out_nothing_is_remembered(rewarded: bool) -> None:
    imagined = ImaginedTasks(ROW, slice(REWARD, END + 1))
    imagined.remember(rows(50), th.full((50,), rewarded), by_number)
    assert not imagined.known


def test_each_row_is_shown_with_the_reward_among_unrewarded_ones() -> None:
    imagined = remembering(rows(1_000))
    shown: list[th.Tensor] = []

    def infer(sets: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        shown.append(sets)
        return sets[:, 0, :1], sets[:, 0, :2]

    asked = rows(300)[1:] * 1.0  # more than one part
    mean, std = imagined.infer(asked, lambda context: 2.0 * context, infer)
    sets = th.cat(shown) / 2.0
    assert sets.shape == (299, 1 + N_UNREWARDED, ROW)
    assert th.equal(sets[:, 0, :REWARD], asked[:, :REWARD])
    assert th.equal(sets[:, 0, END + 1 :], asked[:, END + 1 :])
    assert sets[:, 0, REWARD].unique().tolist() == [2.0]
    assert sets[:, 0, END].unique().tolist() == [1.0]
    assert th.equal(sets[7, 1:], imagined.unrewarded)
    assert mean.shape == (299, 1)
    assert std.shape == (299, 2)
    assert th.equal(mean[:, 0], 2.0 * asked[:, 0])
