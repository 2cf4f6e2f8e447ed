"""The grid of an adaptation: cells turn green, and it never outgrows its terminal."""

import io
import sys

import pytest
from rich.console import Console

from simpl_sb3 import bars
from simpl_sb3.bars import EpisodeBar
from simpl_sb3.cells import CellGrid, on_terminal


def grid(total: int, names: list[str], width: int = 80, height: int = 20) -> tuple[CellGrid, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, height=height, color_system="standard")
    return CellGrid(total, names, console), out


def lines(cells: CellGrid) -> list[str]:
    return cells.drawn().plain.splitlines()


def test_a_line_per_agent_and_a_cell_per_episode_which_turns_green() -> None:
    cells, out = grid(6, ["a", "b"])
    cells.update(0, 1, False)
    cells.update(0, 2, True)
    cells.update(1, 1, True)
    assert lines(cells)[1:3] == ["a □■· 0.50", "b ■·· 1.00"]
    assert lines(cells)[0].startswith("episodes 1 to 3")
    assert lines(cells)[-1].startswith("3/6 episodes, success of the last 5 of each: 0.67")
    cells.close()
    green = [str(span.style) for span in cells.drawn().spans if cells.drawn().plain[span.start] == "■"]
    assert set(green) == {"bold bright_green"}
    assert "\x1b[1;92m■" in out.getvalue()


def test_agents_of_one_task_have_numbers() -> None:
    cells, _ = grid(4, ["a", "a"])
    cells.update(1, 1, True)
    assert lines(cells)[1:3] == ["a #1 ··     ", "a #2 ■· 1.00"]
    cells.close()


@pytest.mark.parametrize(("n_tasks", "per_task"), [(3, 1), (5, 6), (60, 1), (40, 5)])
@pytest.mark.parametrize(("width", "height"), [(40, 8), (80, 24), (200, 50)])
@pytest.mark.parametrize("n_episodes", [1, 30, 205])
def test_it_never_outgrows_its_terminal(n_tasks: int, per_task: int, width: int, height: int, n_episodes: int) -> None:
    names = [f"a task with a long name {task}" for task in range(n_tasks) for _ in range(per_task)]
    cells, _ = grid(len(names) * n_episodes, names, width, height)
    for agent in range(len(names)):
        cells.update(agent, n_episodes, agent % 2 == 0)
    shown = lines(cells)
    assert len(shown) < height
    assert max(map(len, shown[1:-1])) < width
    assert f"to {n_episodes} " in shown[0]
    cells.close()


def test_many_agents_are_grouped_by_task_and_many_tasks_in_the_last_line() -> None:
    cells, _ = grid(24, [name for name in "abc" for _ in range(4)], height=8)
    cells.update(0, 1, True)
    cells.update(1, 1, False)
    assert lines(cells)[1:4] == ["a ▣· 0.50", "b ··     ", "c ··     "]
    cells.close()
    cells, _ = grid(20, [f"t{number}" for number in range(20)], height=8)
    for agent in range(20):
        cells.update(agent, 1, True)
    assert [line.split("■")[0].strip() for line in lines(cells)[1:5]] == ["t0", "t1", "t2", "17 more tasks"]
    cells.close()


def test_an_agent_may_live_more_episodes_than_were_asked_for() -> None:
    cells, _ = grid(2, ["a"])
    cells.update(0, 5, True)
    assert lines(cells)[1] == "a ····■ 1.00"
    cells.close()


def test_elsewhere_than_on_a_terminal_there_is_no_grid(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not on_terminal()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert not on_terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    assert on_terminal()
    bar = EpisodeBar(2, ["a"])
    bar.update(0, 1, True)
    sys.stdout.write("goes into a file\n")
    bar.close()
    said = capsys.readouterr()
    assert said.out == "goes into a file\n"
    assert "\x1b[1;92m■" in said.err
    monkeypatch.setenv("LINES", "4")
    assert not on_terminal()


# ------------------------------------------------------------ the line of learn


def test_the_time_to_go_counts_pauses_and_a_limit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 0.0)
    limit: list[float | None] = [None]
    with bars.line(total=100, unit="skill", seconds_left=lambda: limit[0]) as bar:
        bar.update(25)
        bar.start_t -= 60.0  # a minute of updates, in which nothing was lived
        assert bar.format_dict["left"] in ("03:00", "03:01")
        limit[0] = 30.0
        assert bar.format_dict["left"] == "00:30"
        limit[0] = -5.0
        bar.set_postfix_str("exploring 0.25", refresh=False)
        bar.refresh()
    text = capsys.readouterr().err.splitlines()
    assert text[0].startswith("0%|")
    assert "25/100 skills 01:00<00:00, exploring 0.25" in text[-1]
