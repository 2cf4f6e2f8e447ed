"""Pictures of a meta-training that runs, drawn fast: a panel is an offset in one pair of axes, not axes of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.transforms import Bbox

from simpl_sb3.report.figures import styled
from simpl_sb3.report.methods import BLUE, GREEN, GREY, INK, shortened
from simpl_sb3.results.facts import Measure, Walls
from simpl_sb3.results.traces import Trajectory

__all__ = ["draw_latents", "draw_latest_paths", "draw_success", "raster"]

Picture = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.floating]
DPI = 90
MAX_PANELS, MAX_TASKS, MAX_POINTS = 40, 60, 200
"""Of a picture: panels, named tasks, and points of a path."""
GREENS = "#8FD3BC", GREEN, "#00523B"
SIDES = (
    *((4, 0, 4, 0), (-4, 1, 4, 0), (4, 0, -4, 1), (-4, 1, -4, 1)),
    *((6, 0, 0, 0.5), (-6, 1, 0, 0.5), (0, 0.5, 6, 0), (0, 0.5, -6, 1)),
)
"""Of a point where its name may stand: typographic points to the right, and the share of the text's width that goes
back to the left; then the same upwards. The first with most room is taken."""
GAP, HEAD = 0.08, 0.14
"""Between panels and above one, shares of its width."""


@dataclass(frozen=True)
class LatestPath:
    """
    A path, and whether its task was inferred when it was lived.

    :param path: the path
    :param informed: False for one that explored
    """

    path: Trajectory
    informed: bool


def raster(figure: Figure) -> Picture:
    """A figure as pixels, (height, width, 3); no window, and no pyplot."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_latest_paths(paths: Mapping[str, Sequence[LatestPath]], walls: Walls | None, title: str) -> Picture:
    """
    A panel per task, those of the first ``MAX_PANELS`` tasks: grey paths explored, blue ones knew the task.

    :param paths: of each task
    :param walls: what they are drawn over; None for nothing
    :param title: of the picture
    """
    shown = dict(list(paths.items())[:MAX_PANELS])
    low, high = _corners(shown, walls)
    size = float(max(high - low))
    columns = min(len(shown), max(4, round(np.sqrt(1.6 * len(shown)))))
    rows = -(-len(shown) // columns)
    step = np.array([1.0 + GAP, 1.0 + HEAD + GAP])
    with styled():
        figure = Figure(figsize=(1.35 * columns + 0.2, 1.5 * rows + 0.7), dpi=DPI)
        axes = figure.add_axes((0.01, 0.01, 0.98, 1.0 - 0.45 / (1.5 * rows + 0.7)))
        lines: dict[bool, list[Numbers]] = {False: [], True: []}
        goals, ends = [], []
        for place, (name, own) in enumerate(shown.items()):
            origin = np.array([place % columns, -(place // columns) - 1]) * step
            if walls is not None:
                _draw_walls(axes, walls, origin, low, size)
            for one in own:
                points = one.path.positions[:: max(1, len(one.path.positions) // MAX_POINTS)]
                placed = origin + (np.concatenate([points, one.path.positions[-1:]]) - low) / size
                lines[one.informed].append(placed)
                if one.path.success:
                    ends.append(placed[-1])
            centre = origin + (np.asarray(own[0].path.goal) - low) / size
            goals.append(Circle((float(centre[0]), float(centre[1])), own[0].path.radius / size))
            reached = sum(one.path.success for one in own)
            text = f"{shortened(name, 14)}  {reached}/{len(own)}"
            axes.text(
                float(origin[0]),
                float(origin[1]) + 1.03,
                text,
                fontsize=7.5,
                color=GREEN if reached else INK,
                va="bottom",
            )
        axes.add_collection(PatchCollection(goals, facecolor=(*mpl.colors.to_rgb(GREEN), 0.35), edgecolor=GREEN))
        for informed, colour in ((False, GREY), (True, BLUE)):
            axes.add_collection(LineCollection(lines[informed], colors=colour, linewidths=1.1, alpha=0.85))
        if ends:
            axes.plot(*np.array(ends).T, ls="", marker="s", ms=3, color=INK, mec="white", mew=0.4)
        axes.set(xlim=(-GAP, columns * step[0]), ylim=(-rows * step[1] - GAP, 0.02), xticks=[], yticks=[])
        axes.set_aspect("equal", anchor="NW")
        axes.set_axis_off()
        figure.text(0.01, 0.99, title, va="top", fontsize=10.5)
        figure.text(
            0.99, 0.985, "grey: exploring   blue: task inferred   square: success", va="top", ha="right", size=8
        )
        return raster(figure)


def _corners(paths: Mapping[str, Sequence[LatestPath]], walls: Walls | None) -> tuple[Numbers, Numbers]:
    """Lowest and highest x and y of what is drawn, each (2,)."""
    if walls is not None:
        low = np.array(walls.corner, float)
        return low, low + walls.cells.shape
    every = [one.path for own in paths.values() for one in own]
    points = np.concatenate([*(path.positions for path in every), np.array([path.goal for path in every])])
    return points.min(axis=0), points.max(axis=0)


def _draw_walls(axes: mpl.axes.Axes, walls: Walls, origin: Numbers, low: Numbers, size: float) -> None:
    corner = origin + (np.array(walls.corner) - low) / size
    width, height = np.array(walls.cells.shape) / size
    colours = mpl.colors.ListedColormap(["#F6F6F3", "#404754"])
    extent = (corner[0], corner[0] + width, corner[1], corner[1] + height)
    axes.imshow(walls.cells.T, origin="lower", extent=extent, cmap=colours, vmin=0, vmax=1, interpolation="nearest")


def draw_success(tasks: Sequence[str], skills: Sequence[int], values: Numbers, measure: Measure, title: str) -> Picture:
    """
    A row per task, a column per meta-iteration, green by what was reached; white where nothing was lived.

    :param tasks: names, T
    :param skills: lived at the end of each meta-iteration, (N,)
    :param values: (T, N); NaN where the task was not lived
    :param measure: what the values are
    :param title: of the picture
    """
    latest = np.array([row[~np.isnan(row)][-5:].mean() if (~np.isnan(row)).any() else -1.0 for row in values])
    order = np.argsort(-latest, kind="stable")[:MAX_TASKS]
    with styled():
        figure = Figure(figsize=(7.6, 1.3 + 0.155 * max(8, len(order))), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        colours = mpl.colors.LinearSegmentedColormap.from_list("success", ["#F1F1EE", *GREENS]).with_extremes(
            bad="white"
        )
        top = measure.maximum or max(1e-6, float(np.nanmax(values, initial=0.0)))
        shown = np.ma.masked_invalid(values[order])
        image = axes.imshow(shown, cmap=colours, vmin=0.0, vmax=top, aspect="auto", interpolation="nearest")
        axes.set_yticks(range(len(order)), [shortened(tasks[k], 20) for k in order], fontsize=7)
        ticks = np.unique(np.linspace(0, len(skills) - 1, min(6, len(skills))).round().astype(int))
        axes.set_xticks(ticks, [f"{skills[k]:,}" for k in ticks])
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.set_xlabel("skills lived; a column is a meta-iteration, white where the task was not lived")
        axes.set_title(title, loc="left")
        figure.colorbar(image, ax=axes, shrink=0.6, pad=0.01).set_label(shortened(measure.label, 30))
        return raster(figure)


def draw_latents(places: Numbers, names: Sequence[str], values: Numbers, measure: Measure, title: str) -> Picture:
    """
    Task latents along their two widest directions.

    :param places: (T, 2)
    :param names: of the tasks, T
    :param values: what was reached lately, (T,); NaN where nothing was lived
    :param measure: what the values are
    :param title: of the picture
    """
    with styled():
        figure = Figure(figsize=(6.6, 5.2), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        colours = mpl.colors.LinearSegmentedColormap.from_list("success", ["#D9D9D6", *GREENS])
        top = measure.maximum or max(1e-6, float(np.nanmax(values, initial=0.0)))
        dots = axes.scatter(
            places[:, 0], places[:, 1], c=np.nan_to_num(values), cmap=colours, vmin=0.0, vmax=top, s=46, ec=INK, lw=0.5
        )
        axes.margins(0.1)
        axes.set(xlabel="widest direction of the latents", ylabel="second widest", title=title)
        axes.title.set_horizontalalignment("center")
        figure.colorbar(dots, ax=axes, shrink=0.7).set_label(shortened(f"{measure.label}, lately", 40))
        _name_points(axes, places[:MAX_TASKS], [shortened(name, 14) for name in names[:MAX_TASKS]])
        return raster(figure)


def _name_points(axes: mpl.axes.Axes, places: Numbers, names: Sequence[str]) -> None:
    """Write a name beside each point, on the side where it covers the fewest points and names."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    FigureCanvasAgg(figure)  # measures text
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # all stays where it was measured
    point = figure.dpi / 72
    dots = axes.transData.transform(places)
    taken = [Bbox([dot - 4 * point, dot + 4 * point]) for dot in dots]
    for place, dot, name in zip(places, dots, names, strict=True):
        written = axes.annotate(
            name, (float(place[0]), float(place[1])), (0, 0), textcoords="offset points", fontsize=7.5
        )
        size = written.get_window_extent().size
        starts = [np.array([right, up]) * point - size * np.array([left, down]) for right, left, up, down in SIDES]
        boxes = [Bbox([dot + start, dot + start + size]) for start in starts]
        best = min(range(len(SIDES)), key=lambda side: boxes[side].count_overlaps(taken))
        written.xyann = tuple(starts[best] / point)
        taken.append(boxes[best])
