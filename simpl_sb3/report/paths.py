"""Paths in a plane over its walls, a column per stage of learning, as in the paper's Fig. 5."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from simpl_sb3.report.methods import GREEN, INK, label_of, line_colours, place_of, shortened
from simpl_sb3.results.facts import Walls
from simpl_sb3.results.traces import Trajectory

__all__ = ["draw_trajectories"]

FLOOR, WALL = "#F6F6F3", "#404754"
WINDOWS = (range(1, 11), range(21, 31), range(96, 106))
"""Episodes of the columns of the paper's Fig. 5, as far as some were recorded."""
SIDE = 2.4
"""Of a panel, inches."""
MAX_RATIO = 3.0


def draw_trajectories(
    trajectories: Sequence[Trajectory], walls: Walls | None = None, labels: Mapping[str, str] | None = None
) -> Figure:
    """
    One task's paths: a row per method, a column per stage of learning; x to the right, y up.

    :param trajectories: of one task
    :param walls: what they are drawn over; None for nothing
    :param labels: of methods that the library does not know
    """
    methods = sorted({path.method for path in trajectories}, key=place_of)
    windows = _windows({path.episode for path in trajectories})
    ratio = 1.0 if walls is None else min(MAX_RATIO, len(walls.rows[0]) / len(walls.rows))
    size = (max(5.0, len(windows) * SIDE + 0.5), len(methods) * (SIDE * ratio + 0.3) + 0.85)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(methods), len(windows), squeeze=False)
    limits = _limits(trajectories)
    for method, colour, line in zip(methods, line_colours(methods), grid, strict=True):
        for window, axes in zip(windows, line, strict=True):
            shown = [path for path in trajectories if path.method == method and path.episode in window]
            _draw_ground(axes, walls, trajectories[0], limits)
            _plot(axes, shown, colour)
            reached = f"{sum(path.success for path in shown)} of {len(shown)} reach it" if shown else "none recorded"
            axes.set_xlabel(reached, fontsize=10)
            axes.set_title(_title(window) if axes in grid[0] else "", fontsize=11.5)
        line[0].set_ylabel(shortened(label_of(method, labels), 20), fontsize=12)
    handles = [
        Line2D([], [], ls="", marker="o", ms=11, mfc=(*mpl.colors.to_rgb(GREEN), 0.25), mec=GREEN, label="goal"),
        Line2D([], [], ls="", marker="o", ms=5, mfc="white", mec=INK, label="start"),
        Line2D([], [], ls="", marker="s", ms=5, color=INK, label="end of an episode that reaches the goal"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if len(windows) > 1 else 1, fontsize=10)
    figure.suptitle(f"Target task {shortened(trajectories[0].task, 30)}", x=0.01, ha="left", fontsize=12)
    return figure


def _windows(episodes: Iterable[int]) -> list[list[int]]:
    """The recorded episodes by column: those of ``WINDOWS``, and the last ones where no window holds them."""
    recorded = sorted(set(episodes))
    windows = [[n for n in recorded if n in window] for window in WINDOWS]
    later = [n for n in recorded if n > 10 and not any(n in window for window in WINDOWS)]
    return sorted(window for window in (*windows, later[-10:]) if window)


def _title(window: Sequence[int]) -> str:
    return f"episode {window[0]}" if len(window) == 1 else f"episodes {window[0]} to {window[-1]}"


def _limits(trajectories: Sequence[Trajectory]) -> tuple[float, float, float, float]:
    """Smallest and largest x and y of all paths and goals, with a margin."""
    goals = np.array([path.goal for path in trajectories])
    radii = np.array([[path.radius] for path in trajectories])
    points = np.concatenate([*(path.positions for path in trajectories), goals - radii, goals + radii])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.04 * max(high - low)
    return low[0] - margin, high[0] + margin, low[1] - margin, high[1] + margin


def _draw_ground(axes: Axes, walls: Walls | None, task: Trajectory, limits: tuple[float, float, float, float]) -> None:
    """Walls and goal, in observed coordinates."""
    axes.grid(visible=False)
    if walls is None:
        axes.set_facecolor(FLOOR)
        axes.set_xlim(limits[:2])
        axes.set_ylim(limits[2:])
        axes.set_aspect("equal")
    else:
        cells, (left, bottom) = walls.cells, walls.corner
        extent = (left, left + len(cells), bottom, bottom + cells.shape[1])
        colours = mpl.colors.ListedColormap([FLOOR, WALL])
        axes.imshow(cells.T, origin="lower", extent=extent, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    ground = (*mpl.colors.to_rgb(GREEN), 0.25)
    axes.add_patch(Circle(task.goal, task.radius, facecolor=ground, edgecolor=GREEN, lw=1.6, zorder=2))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _plot(axes: Axes, trajectories: Sequence[Trajectory], colour: str) -> None:
    alpha = 0.75 if len(trajectories) <= 6 else 0.45
    for path in trajectories:
        x, y = path.positions.T
        axes.plot(x, y, color=colour, lw=1.3, alpha=alpha, solid_capstyle="round", zorder=3)
        axes.plot(x[0], y[0], ls="", marker="o", ms=4, mfc="white", mec=INK, mew=0.8, zorder=5)
        if path.success:
            axes.plot(x[-1], y[-1], ls="", marker="s", ms=4, color=INK, mec="white", mew=0.6, zorder=6)
