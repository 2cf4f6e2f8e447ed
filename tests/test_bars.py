"""Bars: one kind; where the output is no terminal they are a few lines, not thousands."""

import time

import pytest

from simpl_sb3 import bars
from simpl_sb3.bars import EpisodeBar, progress


def test_in_a_file_what_is_done_soon_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(range(2_000), total=2_000, unit="update"):
        pass
    assert capsys.readouterr().err == ""


def test_in_a_file_a_bar_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 0.05)
    for _ in progress(range(40), total=40, unit="update"):
        time.sleep(0.01)
    text = capsys.readouterr().err
    assert "\r" not in text
    assert 2 <= len(text.splitlines()) <= 12
    assert text.splitlines()[-1].startswith("100%")


def test_the_lines_come_at_their_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 0.0)
    with progress(total=30, unit="skill") as bar:
        for _ in range(30):
            bar.update()
    assert len(capsys.readouterr().err.splitlines()) >= 30


def test_on_a_terminal_it_stays_in_one_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for _ in progress([1, 2, 3], total=3, unit="episode"):
        pass
    text = capsys.readouterr().err
    assert text.count("\r") >= 2
    assert text.count("\n") == 1


def test_nothing_is_shown_where_none_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([1, 2], total=2, unit="episode", shown=False)) == [1, 2]
    bar = EpisodeBar(2, ["a"], shown=False)
    bar.update(0, 1, success=True)
    bar.close()
    assert capsys.readouterr().err == ""


def test_an_adaptation_shows_the_success_of_the_last_five_episodes_of_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 0.0)
    bar = EpisodeBar(20, ["a", "b"])
    for number, success in enumerate([False] * 10 + [True] * 5 + [False] * 5):  # of the last ten, five
        bar.update(number % 2, 1 + number // 2, success)
    bar.close()
    assert "success=0.50" in capsys.readouterr().err
