"""Episodes as arrays, and back."""

import numpy as np
import pytest
from envs_for_tests import numbered_episode

from simpl_sb3.experience.episode import ROW_FIELDS, SkillEpisode
from simpl_sb3.experience.episode_arrays import (
    RunningEpisode,
    episodes_of,
    finished_arrays,
    running_arrays,
    running_of,
)


def plain(episode: SkillEpisode) -> list[object]:
    return [None if part is None else part.tolist() for part in vars(episode).values()]


def test_finished_ones() -> None:
    rows = {name: getattr(numbered_episode(7, 2, terminated=True), name) for name in ROW_FIELDS}
    episodes = [numbered_episode(0, 3), SkillEpisode(**rows, env_observations=np.arange(16.0).reshape(8, 2))]
    again = episodes_of(finished_arrays(episodes))
    assert [plain(one) for one in again] == [plain(one) for one in episodes]
    assert episodes_of(finished_arrays([])) == []


def running(first: int, length: int, told: bool | None) -> RunningEpisode:
    one = numbered_episode(first, length)
    seen = [None if told is None else np.full((k + 1, 2), first + k, np.float32) for k in range(length)]
    return [(*(getattr(one, name)[k] for name in ROW_FIELDS), seen[k], told) for k in range(length)]


@pytest.mark.parametrize("lengths", [(2, 0, 3), (0, 0), (1,)])
def test_running_ones(lengths: tuple[int, ...]) -> None:
    told = [None, True, False]
    episodes = [running(10 * i, length, told[i]) for i, length in enumerate(lengths)]
    again = running_of(running_arrays(episodes))
    assert [len(one) for one in again] == list(lengths)
    for mine, theirs in zip(again, episodes, strict=True):
        for skill, other in zip(mine, theirs, strict=True):
            assert skill[-1] is other[-1]
            assert all(np.array_equal(part, its) for part, its in zip(skill[:-1], other[:-1], strict=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [("lengths", [2, 2]), ("lengths", [-1, 4]), ("seen", [4, 4]), ("rewards", [1.0]), ("told", [0])],
)
def test_arrays_that_do_not_belong_together_are_refused(name: str, value: list[float]) -> None:
    arrays = running_arrays([running(0, 1, True), running(0, 2, False)])
    arrays[name] = np.array(value)
    with pytest.raises(ValueError, match=r"Expected|shorter|longer"):
        running_of(arrays)
