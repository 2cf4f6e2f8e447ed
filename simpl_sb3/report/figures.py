"""Figures of a report. Nothing here opens a window or changes matplotlib's state for others."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from simpl_sb3.report.groups import Column, Group, Last, Line
from simpl_sb3.report.methods import BLUE, GREY, INK, has_meta_training, line_colours, shortened
from simpl_sb3.results.estimates import learning_curve
from simpl_sb3.results.facts import SUCCESS, Measure

__all__ = ["draw_curves", "draw_meta_training", "draw_tasks", "styled"]

MARKERS = "osD^vPX"
MAX_HEIGHT, MAX_TASKS, MAX_PANELS = 60.0, 100, 6
"""Of a figure: inches, tasks that it lists, and panels."""
STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 180,
    "font.size": 11.0,
    "axes.titlesize": 11.5,
    "axes.labelsize": 11.0,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "text.parse_math": False,  # names may hold dollar signs
}


@contextmanager
def styled() -> Iterator[None]:
    """Within it, figures are drawn and saved in the report's style."""
    defaults: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
    with mpl.rc_context({**defaults, **STYLE}):
        yield


# ------------------------------------------------------------ learning curves


def draw_curves(group: Group) -> Figure | None:
    """
    Values over episodes with their 95 % bands: ours as lines, with dots where the table reads them; published ones
    dashed with hollow markers.

    :return: None where no line has ten episodes in a row
    """
    if not any(len(learning_curve(line.episodes).episodes) for line in group.lines):
        return None
    figure = Figure(figsize=(6.6, 4.5 + 0.22 * len(group.lines)), layout="constrained")
    axes = figure.add_subplot()
    ours, published = [], []
    last = group.last_episode
    for index, (line, colour) in enumerate(zip(group.lines, _colours(group), strict=True)):
        marker = MARKERS[index % len(MARKERS)]
        _plot_line(axes, line, group.columns(), colour, marker)
        ours.append(Line2D([], [], color=colour, lw=2.2, marker=marker, ms=5.5, label=shortened(line.label)))
        style: dict[str, Any] = {"color": colour, "lw": 1.3, "ls": (0, (4, 2.5)), "marker": marker, "ms": 6.5}
        style["mfc"] = "white"
        values = {n: value for n, value in line.published.values.items() if n <= last + 10} if line.published else {}
        axes.plot(list(values), list(values.values()), alpha=0.9, zorder=3, **style)
        published.append(Line2D([], [], label="the paper's", **style) if values else Line2D([], [], ls="", label=" "))
    text = "episode on the target task"
    if any(has_meta_training(line.method) for line in group.lines):
        axes.axvspan(0, 20.5, color="#F1F1F1", lw=0, zorder=0)
        text += " (shaded: meta-trained agents explore)"
    top = group.measure.maximum
    if top is not None:
        axes.set_ylim(-0.02 * top, 1.04 * top)
    axes.set_xlim(0, max(last, 30) + 1)
    axes.xaxis.set_major_locator(MultipleLocator(_tick_step(last)))
    axes.set_xlabel(text)
    axes.set_ylabel(shortened(group.measure.label))
    axes.set_title(shortened(group.title), loc="left")
    figure.legend(handles=[*ours, *published], loc="outside lower center", ncols=2, handlelength=3.2)
    return figure


def _colours(group: Group) -> list[str]:
    return line_colours(line.method for line in group.lines)


def _tick_step(last: int) -> int:
    """Between the ticks of an axis of episodes, so that there are at most 15."""
    return next((step for step in (20, 50, 100) if last <= 13 * step), last // 10)


def _plot_line(axes: Axes, line: Line, marks: Sequence[Column], colour: str, marker: str) -> None:
    curve = learning_curve(line.episodes)
    gaps = [k + 1 for k, (a, b) in enumerate(pairwise(curve.episodes)) if b - a > 1 and a < 20]
    for piece in np.split(np.arange(len(curve.episodes)), gaps):  # before and after exploring
        axes.fill_between(curve.episodes[piece], curve.low[piece], curve.high[piece], color=colour, alpha=0.16, lw=0)
        axes.plot(curve.episodes[piece], curve.mean[piece], color=colour, lw=2.2, zorder=4)
    dots = [(n, found.mean) for n in marks if isinstance(n, int) and (found := line.at(n)) is not None]
    if dots:
        axes.plot(*zip(*dots, strict=True), ls="", marker=marker, ms=5.5, color=colour, zorder=5)


# ------------------------------------------------------------ one task at a time


def draw_tasks(group: Group) -> Figure:
    """Each task's mean as a bar, its seeds as dots, a panel per column; what the first line does best comes first."""
    every = group.columns()
    shown = np.linspace(0, len(every) - 1, min(MAX_PANELS, len(every))).round().astype(int)
    columns = [every[k] for k in shown]
    ranked = _ranked_tasks(group, columns)
    tasks = ranked[:MAX_TASKS]
    count = f" of the first {MAX_TASKS} of {len(ranked)}" if len(ranked) > MAX_TASKS else ""
    width = min(2, len(columns))
    panel_rows = -(-len(columns) // width)
    height = 0.9 + panel_rows * (0.6 + len(tasks) * (0.1 + 0.085 * len(group.lines)))
    figure = Figure(figsize=(6.6, min(height, MAX_HEIGHT)), layout="constrained")
    grid = figure.subplots(panel_rows, width, squeeze=False, sharey=True)
    colours = _colours(group)
    for column, axes in zip(columns, grid.flat, strict=False):
        for index, (line, colour) in enumerate(zip(group.lines, colours, strict=True)):
            _plot_tasks(axes, line, column, tasks, (index, len(group.lines)), colour)
        axes.set_title(f"{column} episodes" if isinstance(column, Last) else f"at episode {column}", loc="left")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_yticks(range(len(tasks)), [shortened(task, 24) for task in tasks])
        axes.set_ylim(len(tasks) - 0.4, -0.6)
        if (top := group.measure.maximum) is not None:
            axes.set_xlim(-0.02 * top, 1.03 * top)
            axes.xaxis.set_major_locator(MultipleLocator(0.25 * top))
    handles: list[Any] = [
        Patch(color=c, label=shortened(line.label)) for line, c in zip(group.lines, colours, strict=True)
    ]
    handles.append(Line2D([], [], ls="", marker="o", ms=4, mfc="white", mec=INK, label="one seed"))
    if spare := list(grid.flat[len(columns) :]):
        spare[0].set_axis_off()
        spare[0].legend(handles=handles, loc="center")
    else:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    figure.suptitle(
        shortened(f"{group.title}: {group.measure.label} on each{count}", 80), x=0.01, ha="left", fontsize=12
    )
    return figure


def _ranked_tasks(group: Group, columns: Sequence[Column]) -> list[str]:
    """All tasks of the group, those that its first line does best first."""
    line = group.lines[0]
    values = [found for column in columns if (found := line.values_at(column)) is not None]
    means = np.mean(values or [np.zeros(len(line.episodes.tasks))], axis=0)
    scores: dict[str, list[float]] = {task: [] for other in group.lines for task in other.episodes.tasks}
    for task, mean in zip(line.episodes.tasks, means, strict=True):
        scores[task].append(float(mean))
    return sorted(scores, key=lambda task: (-float(np.mean(scores[task] or [-1.0])), task))


def _plot_tasks(
    axes: Axes, line: Line, column: Column, tasks: Sequence[str], place: tuple[int, int], colour: str
) -> None:
    """Bars of one line in one panel; ``place``: its index and the number of lines."""
    index, n_lines = place
    height = 0.8 / n_lines
    values, own = line.values_at(column), np.array(line.episodes.tasks)
    if values is None:
        return
    for row, task in enumerate(tasks):
        seeds = values[own == task]
        if len(seeds):
            y = row - 0.4 + (index + 0.5) * height
            axes.barh(y, seeds.mean(), height=0.86 * height, color=colour, alpha=0.75, lw=0)
            axes.plot(seeds, np.full(len(seeds), y), ls="", marker="o", ms=3, mfc="white", mec=INK, mew=0.7)


# ------------------------------------------------------------ meta-training


def draw_meta_training(runs: Mapping[str, Mapping[str, npt.NDArray[np.float64]]], measure: Measure = SUCCESS) -> Figure:
    """
    Success, or whatever counts, on the training tasks over the env steps of meta-training, a line per run.

    :param runs: name of the run -> columns ``env_steps``, ``exploration``, ``posterior``, each (N,); NaN for no value
    :param measure: what the last two hold
    """
    figure = Figure(figsize=(6.6, 3.9), layout="constrained")
    axes = figure.add_subplot()
    kinds = (("posterior", BLUE, "task inferred"), ("exploration", GREY, "exploring"))
    for kind, colour, label in kinds:
        for index, columns in enumerate(runs.values()):
            known = ~np.isnan(columns[kind])
            style: dict[str, Any] = {"color": colour, "lw": 1.8, "alpha": 0.9 if len(runs) == 1 else 0.6}
            steps = columns["env_steps"][known] / 1e6
            axes.plot(steps, columns[kind][known], label=label if index == 0 else None, **style)
    if (top := measure.maximum) is not None:
        axes.set_ylim(-0.02 * top, 1.04 * top)
    axes.set_xlim(left=0)
    axes.set_xlabel("env steps, millions")
    axes.set_ylabel(f"{measure.label}, training tasks")
    seeds = f" ({len(runs)} runs)" if len(runs) > 1 else ""
    axes.set_title(f"Meta-training{seeds}", loc="left")
    axes.legend(loc="best")
    return figure
