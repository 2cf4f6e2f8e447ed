"""Demonstrations that are kept on their way into a dataset."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simpl_sb3.demonstrations.kept import KeptEpisodes
from simpl_sb3.demonstrations.windows import Episode


def numbered(first: int, n: int) -> Iterator[Episode]:
    """Episodes of different lengths that hold their own number."""
    for number in range(first, first + n):
        yield Episode(np.full((number + 2, 3), number), np.full((number + 1, 2), number), 10 * number)


def numbers(episodes: list[Episode]) -> list[tuple[int | None, int, float, float]]:
    return [(one.number, len(one), one.observations.mean(), one.actions.mean()) for one in episodes]


def test_they_pass_and_are_kept_in_several_files(tmp_path: Path) -> None:
    kept = KeptEpisodes(tmp_path / "kept", seconds=0.0)
    assert kept.read() == []
    assert numbers(list(kept.passing(numbered(0, 4)))) == numbers(list(numbered(0, 4)))
    again = KeptEpisodes(tmp_path / "kept", seconds=1e6)
    assert numbers(again.read()) == numbers(list(numbered(0, 4)))
    list(again.passing(numbered(4, 3)))
    assert again.n_kept == 4  # none is due
    again.write()
    assert again.n_kept == 7
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        f"episodes_{first:08d}.npz" for first in (0, 1, 2, 3, 4)
    ]
    third = KeptEpisodes(tmp_path / "kept")
    assert numbers(third.read()) == numbers(list(numbered(0, 7)))
    third.remove()
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_and_those_after_it_are_made_again(tmp_path: Path) -> None:
    kept = KeptEpisodes(tmp_path, seconds=0.0)
    list(kept.passing(numbered(0, 4)))
    (tmp_path / "episodes_00000002.npz").write_bytes(b"nothing")
    again = KeptEpisodes(tmp_path, seconds=0.0)
    assert len(again.read()) == again.n_kept == 2
    list(again.passing(numbered(2, 2)))
    assert numbers(KeptEpisodes(tmp_path).read()) == numbers(list(numbered(0, 4)))


def test_files_that_do_not_follow_one_another_are_left_out(tmp_path: Path) -> None:
    """As two processes that collect the same leave them."""
    for first, n in ((0, 3), (2, 2)):
        kept = KeptEpisodes(tmp_path, seconds=1e6)
        kept.n_kept = first
        list(kept.passing(numbered(first, n)))
        kept.write()
    assert numbers(KeptEpisodes(tmp_path).read()) == numbers(list(numbered(0, 3)))
