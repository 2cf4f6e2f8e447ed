"""The order in which agents completed subtasks, against the order asked."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simpl_sb3.report.figures import BLUE, GREY, INK, ORANGE
from simpl_sb3.results.traces import Completions

__all__ = ["draw_orders"]

PAID, EARLY, UNASKED, TRACK = BLUE, "#A6CEE3", ORANGE, "#EDEDED"
CELL, GAP = 0.88, 0.5
"""Width of a window's full bar, and the space above the subtasks that were not asked for, rows."""


def draw_orders(completions: Sequence[Completions], subtasks: Sequence[str], title: str) -> Figure:
    """
    A panel per task. Its rows: the subtasks in the order asked, then the others. Its columns: episodes 1 to 20, 21 to
    30, and the last ten. A full bar is every episode: dark, paid in its turn; light, complete at some time but not
    paid; orange, complete without being asked for.

    :param completions: of one line of agents
    :param subtasks: names of all subtasks
    :param title: of the figure
    """
    tasks = list(dict.fromkeys(one.task for one in completions))
    windows = _windows(max(one.episode for one in completions))
    columns = min(2, len(tasks))
    panel_rows = -(-len(tasks) // columns)
    height = 0.85 + panel_rows * (0.95 + 0.165 * len(subtasks))
    figure = Figure(figsize=(8.2 if columns > 1 else 5.0, height), layout="constrained")
    grid = figure.subplots(panel_rows, columns, squeeze=False)
    for task, axes in zip(tasks, grid.flat, strict=False):
        _draw_task(axes, [one for one in completions if one.task == task], subtasks, windows)
    for axes in grid.flat[len(tasks) :]:
        axes.set_axis_off()
    kinds = ((PAID, "completed and paid in its turn"), (EARLY, "completed, never paid"), (UNASKED, "not asked for"))
    handles = [Patch(color=colour, label=label) for colour, label in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns > 1 else 1, fontsize=9.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def _windows(last: int) -> list[range]:
    """Exploring, right after it, and the last ten episodes, as far as there are so many."""
    windows = [range(1, 21), range(21, 31), range(max(31, last - 9), last + 1)]
    return [range(window.start, min(window.stop, last + 1)) for window in windows if window.start <= last]


def _draw_task(axes: Axes, episodes: Sequence[Completions], subtasks: Sequence[str], windows: Sequence[range]) -> None:
    asked = episodes[0].asked
    others = [subtask for subtask in range(len(subtasks)) if subtask not in asked]
    rows = [*range(len(asked)), *(len(asked) + GAP + k for k in range(len(others)))]
    heads = []
    for column, window in enumerate(windows):
        shown = [one for one in episodes if one.episode in window]
        paid = np.array([one.paid > 0 for one in shown]).mean(axis=0)  # (P,)
        done = np.array([one.completed > 0 for one in shown]).mean(axis=0)  # (S,)
        style: dict[str, Any] = {"left": column, "height": 0.72, "lw": 0}
        axes.barh(rows, CELL, color=TRACK, **style)
        axes.barh(rows, CELL * done[[*asked, *others]], color=[EARLY] * len(asked) + [UNASKED] * len(others), **style)
        axes.barh(rows[: len(asked)], CELL * paid, color=PAID, **style)
        episode = "episodes " if column == 0 else ""
        heads.append(f"{episode}{window.start}–{window[-1]}\n{paid.sum():.1f} of {len(asked)}")
    names = [f"{turn}  {subtasks[subtask]}" for turn, subtask in enumerate(asked, start=1)]
    axes.set_yticks(rows, [*names, *(subtasks[subtask] for subtask in others)], fontsize=9)
    for label in axes.get_yticklabels()[len(asked) :]:
        label.set_color(GREY)
    axes.set_xticks([column + CELL / 2 for column in range(len(windows))], heads, fontsize=8.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xlim(-0.03, len(windows) - 1 + CELL)
    axes.set_ylim(rows[-1] + 0.5, -0.5)
    axes.set_title(f"Task {episodes[0].task}", loc="left", fontsize=10.5, fontweight="bold", color=INK)
    axes.set_xlabel(_most_often(shown, subtasks), fontsize=8, color=GREY, loc="left")


def _most_often(episodes: Sequence[Completions], subtasks: Sequence[str]) -> str:
    """The order in which subtasks were completed in most of these episodes."""
    (order, count), *_ = Counter(one.order for one in episodes).most_common(1)
    text = " › ".join(subtasks[subtask] for subtask in order) or "nothing"
    first, last = min(one.episode for one in episodes), max(one.episode for one in episodes)
    return textwrap.fill(f"{first}–{last} mostly ({count} of {len(episodes)}): {text}", 50)
