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
from matplotlib.patches import Circle, Patch
from matplotlib.ticker import MultipleLocator

from simpl_envs.maze.layout import BODY_ORIGIN, PUBLISHED_LAYOUT
from simpl_sb3.report.groups import METHOD_NAMES, Group, Line
from simpl_sb3.results.estimates import learning_curve
from simpl_sb3.results.rows import METHODS
from simpl_sb3.results.traces import Trajectory

__all__ = ["draw_curves", "draw_meta_training", "draw_tasks", "draw_trajectories", "styled"]

# Okabe and Ito's palette: told apart by colour-blind readers as well
BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE, GREY = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#6B6B6B"),
)
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
METHOD_COLOURS = {
    "simpl": BLUE,
    "spirl": VERMILION,
    "mtrl": PURPLE,
    "pearl": GREEN,
    "pearl-ft": SKY,
    "sac": GREY,
    "bc-pearl": ORANGE,
    "bc-maml": "#8C6D00",
    "rl2": "#000000",
}
MARKERS = "osD^vPX"
INK, FLOOR, WALL = "#222222", "#F6F6F3", "#404754"
TASK_EPISODES = (20, 40, 60, 100, 160, 195, 200)
"""Episodes of the per-task figure, as far as they are reported for the environment; one panel each."""
FIG5_EPISODES: dict[int, range] = {0: range(1, 11), 20: range(21, 31), 100: range(96, 106)}
"""Column of the paper's Fig. 5 -> the episodes whose trajectories it shows; all that are in the file."""
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
}


@contextmanager
def styled() -> Iterator[None]:
    """Within it, figures are drawn and saved in the report's style."""
    defaults: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
    with mpl.rc_context({**defaults, **STYLE}):
        yield


def line_colours(lines: Sequence[Line]) -> list[str]:
    """A method has its colour; where a method has several lines, the lines have."""
    methods = [line.method for line in lines]
    if len(set(methods)) == len(methods):
        return [METHOD_COLOURS[method] for method in methods]
    return [PALETTE[index % len(PALETTE)] for index in range(len(lines))]


# ------------------------------------------------------------ learning curves


def draw_curves(group: Group) -> Figure:
    """
    Values over episodes with their 95 % bands: ours as lines, with dots where the table reads them; the paper's dashed
    with hollow markers.
    """
    figure = Figure(figsize=(6.6, 4.5 + 0.22 * len(group.lines)), layout="constrained")
    axes = figure.add_subplot()
    ours, papers = [], []
    last = max(line.episodes.values.shape[1] for line in group.lines)
    for index, (line, colour) in enumerate(zip(group.lines, line_colours(group.lines), strict=True)):
        marker = MARKERS[index % len(MARKERS)]
        _plot_line(axes, line, group.episodes(), colour, marker)
        ours.append(Line2D([], [], color=colour, lw=2.2, marker=marker, ms=5.5, label=line.label))
        paper: dict[str, Any] = {
            "color": colour,
            "lw": 1.3,
            "ls": (0, (4, 2.5)),
            "marker": marker,
            "ms": 6.5,
            "mfc": "white",
        }
        values = {n: value for n, value in line.paper.values.items() if n <= last + 10} if line.paper else {}
        axes.plot(list(values), list(values.values()), alpha=0.9, zorder=3, **paper)
        papers.append(Line2D([], [], label="the paper's", **paper) if values else Line2D([], [], ls="", label=" "))
    axes.axvspan(0, 20.5, color="#F1F1F1", lw=0, zorder=0)
    top = group.top
    if top is not None:
        axes.set_ylim(-0.02 * top, 1.04 * top)
    axes.set_xlim(0, max(last, 30) + 1)
    axes.xaxis.set_major_locator(MultipleLocator(20 if last <= 240 else 50 if last <= 600 else 100))
    axes.set_xlabel("episode on the target task (shaded: the 20 in which SiMPL explores)")
    axes.set_ylabel(group.measure)
    axes.set_title(group.title, loc="left")
    figure.legend(handles=[*ours, *papers], loc="outside lower center", ncols=2, handlelength=3.2)
    return figure


def _plot_line(axes: Axes, line: Line, marks: Sequence[int], colour: str, marker: str) -> None:
    curve = learning_curve(line.episodes)
    gaps = [k + 1 for k, (a, b) in enumerate(pairwise(curve.episodes)) if b - a > 1 and a < 20]
    for piece in np.split(np.arange(len(curve.episodes)), gaps):  # before and after exploring
        axes.fill_between(curve.episodes[piece], curve.low[piece], curve.high[piece], color=colour, alpha=0.16, lw=0)
        axes.plot(curve.episodes[piece], curve.mean[piece], color=colour, lw=2.2, zorder=4)
    dots = [(n, found.mean) for n in marks if (found := line.at(n)) is not None]
    if dots:
        axes.plot(*zip(*dots, strict=True), ls="", marker=marker, ms=5.5, color=colour, zorder=5)


# ------------------------------------------------------------ one task at a time


def draw_tasks(group: Group) -> Figure | None:
    """
    Each task's mean as a bar and its seeds as dots, one panel per episode; tasks that the first line does best on top.

    :return: None without a whole window of episodes
    """
    episodes = [n for n in TASK_EPISODES if n in group.episodes()][-6:]
    if not episodes:
        return None
    tasks = _ranked_tasks(group, episodes)
    columns = min(2, len(episodes))
    panel_rows = -(-len(episodes) // columns)
    height = 0.9 + panel_rows * (0.6 + len(tasks) * (0.1 + 0.085 * len(group.lines)))
    figure = Figure(figsize=(6.6, height), layout="constrained")
    grid = figure.subplots(panel_rows, columns, squeeze=False, sharey=True)
    colours = line_colours(group.lines)
    for episode, axes in zip(episodes, grid.flat, strict=False):
        for index, (line, colour) in enumerate(zip(group.lines, colours, strict=True)):
            if line.episodes.has(episode):
                _plot_tasks(axes, line, episode, tasks, (index, len(group.lines)), colour)
        axes.set_title(f"at episode {episode}", loc="left")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_yticks(range(len(tasks)), tasks)
        axes.set_ylim(len(tasks) - 0.4, -0.6)
        if group.top is not None:
            axes.set_xlim(-0.02 * group.top, 1.03 * group.top)
            axes.xaxis.set_major_locator(MultipleLocator(0.25 * group.top))
    handles: list[Any] = [Patch(color=c, label=line.label) for line, c in zip(group.lines, colours, strict=True)]
    handles.append(Line2D([], [], ls="", marker="o", ms=4, mfc="white", mec=INK, label="one seed"))
    if spare := list(grid.flat[len(episodes) :]):
        spare[0].set_axis_off()
        spare[0].legend(handles=handles, loc="center")
    else:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    figure.suptitle(f"{group.title}: {group.measure} on each", x=0.01, ha="left", fontsize=12)
    return figure


def _ranked_tasks(group: Group, episodes: Sequence[int]) -> list[str]:
    """All tasks of the group, those that its first line does best first."""
    line = group.lines[0]
    values = [line.episodes.at(n) for n in episodes if line.episodes.has(n)] or [np.zeros(len(line.episodes.tasks))]
    means = np.mean(values, axis=0)
    scores: dict[str, list[float]] = {task: [] for other in group.lines for task in other.episodes.tasks}
    for task, mean in zip(line.episodes.tasks, means, strict=True):
        scores[task].append(float(mean))
    return sorted(scores, key=lambda task: (-float(np.mean(scores[task] or [-1.0])), task))


def _plot_tasks(
    axes: Axes, line: Line, episode: int, tasks: Sequence[str], place: tuple[int, int], colour: str
) -> None:
    """Bars of one line in one panel; ``place``: its index and the number of lines."""
    index, n_lines = place
    height = 0.8 / n_lines
    values, own = line.episodes.at(episode), np.array(line.episodes.tasks)
    for row, task in enumerate(tasks):
        seeds = values[own == task]
        if len(seeds):
            y = row - 0.4 + (index + 0.5) * height
            axes.barh(y, seeds.mean(), height=0.86 * height, color=colour, alpha=0.75, lw=0)
            axes.plot(seeds, np.full(len(seeds), y), ls="", marker="o", ms=3, mfc="white", mec=INK, mew=0.7)


# ------------------------------------------------------------ the paper's Fig. 5


def draw_trajectories(trajectories: Sequence[Trajectory], layout: Sequence[str] = ()) -> Figure:
    """
    One task's trajectories over the maze: a row per method, a column for each of ``FIG5_EPISODES``; i right, j up.

    :param trajectories: of one task
    :param layout: the maze's map; empty for the published maze
    """
    walls = np.array([[cell == "#" for cell in row] for row in (layout or PUBLISHED_LAYOUT.rows)])
    methods = [method for method in METHODS if any(one.method == method for one in trajectories)]
    rows, columns = walls.shape
    side = 2.4
    figure = Figure(figsize=(3 * side + 0.5, len(methods) * (side * columns / rows + 0.3) + 0.85), layout="constrained")
    grid = figure.subplots(len(methods), len(FIG5_EPISODES), squeeze=False)
    for method, line in zip(methods, grid, strict=True):
        for (episode, window), axes in zip(FIG5_EPISODES.items(), line, strict=True):
            shown = [one for one in trajectories if one.method == method and one.episode in window]
            _draw_maze(axes, walls, trajectories[0])
            _plot_trajectories(axes, shown, METHOD_COLOURS[method])
            reached = f"{sum(one.success for one in shown)} of {len(shown)} reach it" if shown else "none recorded"
            axes.set_xlabel(reached, fontsize=10)
            axes.set_title(f"episode {episode}" if axes in grid[0] else "", fontsize=11.5)
        line[0].set_ylabel(METHOD_NAMES[method], fontsize=12)
    handles = [
        Line2D([], [], ls="", marker="o", ms=11, mfc=(*mpl.colors.to_rgb(GREEN), 0.25), mec=GREEN, label="goal"),
        Line2D([], [], ls="", marker="o", ms=5, mfc="white", mec=INK, label="start"),
        Line2D([], [], ls="", marker="s", ms=5, color=INK, label="end of an episode that reaches the goal"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=10)
    figure.suptitle(f"Target task {trajectories[0].task}", x=0.01, ha="left", fontsize=12)
    return figure


def _draw_maze(axes: Axes, walls: npt.NDArray[np.bool_], task: Trajectory) -> None:
    """Walls and goal in observation coordinates: the centre of cell (i, j) is observed at (i - 0.2, j - 0.2)."""
    left = 0.5 - BODY_ORIGIN
    rows, columns = walls.shape
    colours = mpl.colors.ListedColormap([FLOOR, WALL])
    extent = (left, left + rows, left, left + columns)
    axes.imshow(walls.T, origin="lower", extent=extent, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    disc = Circle(
        task.goal, task.radius, facecolor=(*mpl.colors.to_rgb(GREEN), 0.25), edgecolor=GREEN, lw=1.6, zorder=2
    )
    axes.add_patch(disc)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _plot_trajectories(axes: Axes, trajectories: Sequence[Trajectory], colour: str) -> None:
    alpha = 0.75 if len(trajectories) <= 6 else 0.45
    for one in trajectories:
        x, y = one.positions.T
        axes.plot(x, y, color=colour, lw=1.3, alpha=alpha, solid_capstyle="round", zorder=3)
        axes.plot(x[0], y[0], ls="", marker="o", ms=4, mfc="white", mec=INK, mew=0.8, zorder=5)
        if one.success:
            axes.plot(x[-1], y[-1], ls="", marker="s", ms=4, color=INK, mec="white", mew=0.6, zorder=6)


# ------------------------------------------------------------ meta-training


def draw_meta_training(
    runs: Mapping[str, Mapping[str, npt.NDArray[np.float64]]], measure: str = "success rate", top: float = 1.0
) -> Figure:
    """
    Success, or whatever counts, on the training tasks over the env steps of meta-training, a line per run.

    :param runs: name of the run -> columns ``env_steps``, ``exploration``, ``posterior``, each (N,); NaN for no value
    :param measure: what the last two hold
    :param top: its largest possible value
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
    axes.set_ylim(-0.02 * top, 1.04 * top)
    axes.set_xlim(left=0)
    axes.set_xlabel("env steps, millions")
    axes.set_ylabel(f"{measure}, training tasks")
    seeds = f" ({len(runs)} runs)" if len(runs) > 1 else ""
    axes.set_title(f"Meta-training{seeds}", loc="left")
    axes.legend(loc="best")
    return figure
