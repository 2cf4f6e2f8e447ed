"""What skills do before any learning, as one picture, and what was found as a table."""

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from simpl_sb3.report.figures import styled
from simpl_sb3.report.methods import BLUE, GREY, VERMILION, shortened
from simpl_sb3.results.facts import Walls

__all__ = ["draw_skills", "findings_table"]

Points = npt.NDArray[np.floating]
MAX_PATHS, MAX_TASKS = 60, 60


def draw_skills(
    paths: Sequence[Points], background: Points | None, walls: Walls | None, tasks: Sequence[str], shares: Points
) -> bytes:
    """
    Where episodes of the skill prior go, and how often each task is reached.

    :param paths: of episodes, each (L, 2)
    :param background: where demonstrations went, (K, 2)
    :param walls: what paths are drawn over
    :param tasks: names, T
    :param shares: of episodes that reach each task, (T,)
    :return: PNG
    """
    order = np.argsort(-np.asarray(shares), kind="stable")[:MAX_TASKS]
    with styled():
        figure = Figure(figsize=(9.0, max(4.2, 0.9 + 0.13 * len(order))), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
        if walls is not None:
            x, y = walls.corner
            extent = (x, x + walls.cells.shape[0], y, y + walls.cells.shape[1])
            colours = mpl.colors.ListedColormap(["#F6F6F3", "#404754"])
            left.imshow(walls.cells.T, origin="lower", extent=extent, cmap=colours, vmin=0, vmax=1)
        if background is not None:
            left.scatter(*background.T, s=2, color=GREY, alpha=0.25, lw=0, label="demonstrations")
        for path in paths[:MAX_PATHS]:
            left.plot(*path.T, color=BLUE, lw=0.8, alpha=0.5)
            left.plot(*path[-1], ls="", marker="o", ms=3, color=VERMILION)
        left.set(xticks=[], yticks=[], title=f"{min(len(paths), MAX_PATHS)} episodes of the skill prior alone")
        left.grid(visible=False)
        places = np.arange(len(order))
        right.barh(places, np.asarray(shares)[order], color=BLUE, height=0.75)
        right.set_yticks(places, [shortened(tasks[k], 22) for k in order], fontsize=8 if len(order) <= 25 else 5.5)
        right.invert_yaxis()
        right.set(title="episodes that reach each task", xlim=(0, max(0.05, 1.05 * float(np.max(shares)))))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def findings_table(rows: Sequence[tuple[str, str, str]]) -> str:
    """
    :param rows: name, verdict, text
    :return: aligned text, a row per line
    """
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {verdict:<{widths[1]}}  {text}" for name, verdict, text in rows)
