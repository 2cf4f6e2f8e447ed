"""The order in which agents completed subtasks, against the order asked."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simpl_sb3.report.methods import BLUE, GREY, INK, ORANGE, shortened
from simpl_sb3.results.traces import Completions

__all__ = ["draw_orders"]

REWARDED, EARLY, UNASKED, TRACK = BLUE, "#A6CEE3", ORANGE, "#EDEDED"
MAX_TASKS = 60
CELL, GAP = 0.88, 0.5
"""Width of a window's full bar, and the space above the subtasks that were not asked for, rows."""


def draw_orders(completions: Sequence[Completions], subtasks: Sequence[str], title: str) -> Figure:
    """
    A panel per task. Its rows: the subtasks in the order asked, then the others. Its columns: episodes 1 to 20, 21 to
    30, and the last ten. A full bar is every episode: dark, rewarded in its turn; light, complete at some time but not
    rewarded; orange, complete without being asked for.

    :param completions: of one line of agents
    :param subtasks: names of all subtasks
    :param title: of the figure
    """
    tasks = list(dict.fromkeys(episode.task for episode in completions))[:MAX_TASKS]
    columns = min(2, len(tasks))
    panel_rows = -(-len(tasks) // columns)
    height = 0.85 + panel_rows * (0.95 + 0.165 * len(subtasks))
    figure = Figure(figsize=(8.2 if columns > 1 else 5.0, height), layout="constrained")
    grid = figure.subplots(panel_rows, columns, squeeze=False)
    for task, axes in zip(tasks, grid.flat, strict=False):
        _draw_task(axes, [episode for episode in completions if episode.task == task], subtasks)
    for axes in grid.flat[len(tasks) :]:
        axes.set_axis_off()
    kinds = (
        (REWARDED, "completed and rewarded in its turn"),
        (EARLY, "completed, never rewarded"),
        (UNASKED, "not asked for"),
    )
    handles = [Patch(color=colour, label=label) for colour, label in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns > 1 else 1, fontsize=9.5)
    figure.suptitle(shortened(title, 100), x=0.01, ha="left", fontsize=12)
    return figure


def _windows(recorded: set[int]) -> list[range]:
    """Exploring, right after it, and the last ten episodes, as far as some of them were recorded."""
    last = max(recorded)
    windows = [range(1, 21), range(21, 31), range(max(31, last - 9), last + 1)]
    return [range(window.start, min(window.stop, last + 1)) for window in windows if recorded & set(window)]


def _draw_task(axes: Axes, episodes: Sequence[Completions], subtasks: Sequence[str]) -> None:
    windows = _windows({episode.episode for episode in episodes})
    asked = episodes[0].asked
    others = [subtask for subtask in range(len(subtasks)) if subtask not in asked]
    rows = [*range(len(asked)), *(len(asked) + GAP + k for k in range(len(others)))]
    heads = []
    for column, window in enumerate(windows):
        shown = [episode for episode in episodes if episode.episode in window]
        rewarded = np.array([episode.rewarded > 0 for episode in shown]).mean(axis=0)  # (P,)
        done = np.array([episode.completed > 0 for episode in shown]).mean(axis=0)  # (S,)
        style: dict[str, Any] = {"left": column, "height": 0.72, "lw": 0}
        axes.barh(rows, CELL, color=TRACK, **style)
        axes.barh(rows, CELL * done[[*asked, *others]], color=[EARLY] * len(asked) + [UNASKED] * len(others), **style)
        axes.barh(rows[: len(asked)], CELL * rewarded, color=REWARDED, **style)
        head = "episodes " if column == 0 else ""
        heads.append(f"{head}{window.start}–{window[-1]}\n{rewarded.sum():.1f} of {len(asked)}")
    subtasks = [shortened(name, 24) for name in subtasks]
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
    axes.set_title(f"Task {shortened(episodes[0].task, 30)}", loc="left", fontsize=10.5, fontweight="bold", color=INK)
    axes.set_xlabel(_most_often(shown, subtasks), fontsize=8, color=GREY, loc="left")


def _most_often(episodes: Sequence[Completions], subtasks: Sequence[str]) -> str:
    """The order in which subtasks were completed in most of these episodes."""
    (order, count), *_ = Counter(episode.order for episode in episodes).most_common(1)
    text = " › ".join(subtasks[subtask] for subtask in order) or "nothing"
    first, last = min(done.episode for done in episodes), max(done.episode for done in episodes)
    return textwrap.fill(f"{first}–{last} mostly ({count} of {len(episodes)}): {text}", 50)
