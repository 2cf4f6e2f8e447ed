"""The charts of the page that are about episodes: adaptation, meta-training, and episodes of conditioning."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simpl_sb3.files import MOST_TEXT, read_regular
from simpl_sb3.report.chart import Series, svg_chart
from simpl_sb3.report.groups import Group, Line
from simpl_sb3.report.methods import GREY, PALETTE, has_meta_training, label_of, line_colours, shortened
from simpl_sb3.results.estimates import learning_curve
from simpl_sb3.results.facts import Facts, PublishedCurve
from simpl_sb3.results.levels import mean_over_levels
from simpl_sb3.results.reading import read_log

__all__ = ["Training", "conditioning_chart", "curve_chart", "read_training", "training_charts"]

FloatArray = npt.NDArray[np.float64]
EXPLORING = 20.5
"""Up to where the ground of a chart is shaded: episodes that meta-trained agents explore in."""
AFTER = 10
"""Episodes after conditioning that are counted."""
POINTS = 200
"""Of a curve over several meta-trainings."""


# ------------------------------------------------------------ adaptation


def curve_chart(group: Group) -> str:
    """Values over episodes with their bands, and what was published; empty where no line has ten episodes in a row."""
    colours = line_colours(line.method for line in group.lines)
    series, last = [], group.last_episode
    for line, colour in zip(group.lines, colours, strict=True):
        curve = learning_curve(line.episodes)
        if len(curve.episodes):
            gaps = tuple(k + 1 for k, (a, b) in enumerate(pairwise(curve.episodes)) if b - a > 1 and a < 20)
            x = curve.episodes.astype(float)
            series.append(Series(line.label, colour, x, curve.mean, curve.low, curve.high, breaks=gaps))
    if not series:
        return ""
    shown: dict[int, None] = {}
    for line, colour in zip(group.lines, colours, strict=True):
        if line.published is not None and id(line.published) not in shown:
            shown[id(line.published)] = None
            series += _published(line.published, colour, last)
    free = [colour for colour in (*PALETTE, GREY) if colour not in colours] or [GREY]
    for number, curve_alone in enumerate(group.published):
        series += _published(curve_alone, free[number % len(free)], last)
    meta = any(has_meta_training(line.method) for line in group.lines)
    caption = (
        f"{group.measure.label.capitalize()} over episodes: mean of ten episodes over all agents, band: 95 % interval"
    )
    caption += "; shaded: meta-trained agents explore" * meta + ". Dashed: the paper's."
    return svg_chart(
        series,
        "episode on the target task",
        shortened(group.measure.label, 40),
        caption if any(line.dashed for line in series) else caption.removesuffix(" Dashed: the paper's."),
        top=group.measure.maximum,
        shaded=EXPLORING if meta else None,
    )


def _published(curve: PublishedCurve, colour: str, last: float) -> list[Series]:
    values = {n: value for n, value in curve.values.items() if n <= last + 10}
    if not values:
        return []
    label = f"paper: {label_of(curve.method, {curve.method: curve.label})}"
    return [Series(label, colour, np.array(list(values), float), np.array(list(values.values())), dashed=True)]


# ------------------------------------------------------------ meta-training


@dataclass(frozen=True, eq=False)
class Training:
    """
    The log of one meta-training.

    :param method: its name
    :param tasks: name of the training task set
    :param episodes: lived so far, (N,)
    :param values: on the training tasks, (N,), NaN for no value
    """

    method: str
    tasks: str
    episodes: FloatArray
    values: FloatArray


def read_training(log: Path, column: str) -> Training | None:
    """
    :param log: a ``progress.csv`` with ``run.json`` (or ``provenance.json``) beside it
    :param column: of the measure, ``success`` or ``return``
    :return: what it says; None where it counts no episodes, or no such value
    :raises ResultsError: for a file that is no log
    """
    names = [f"rollout/{column}_posterior", f"rollout/{column}_exploration", f"rollout/{_plain_name(column)}"]
    found = read_log(log, ["time/episodes", *names])
    episodes = found.pop("time/episodes", np.zeros(0))
    for values in found.values() if len(episodes) else ():
        known = np.isfinite(values) & np.isfinite(episodes)
        if known.any():
            settings = _settings(log.parent)
            method, tasks = str(settings.get("method") or "simpl"), str(settings.get("train_tasks") or "")
            return Training(method, tasks, episodes[known], values[known])
    return None


def _plain_name(column: str) -> str:
    """What Stable-Baselines3's own algorithms log."""
    return "success_rate" if column == "success" else "ep_rew_mean"


def _settings(folder: Path) -> Mapping[str, Any]:
    for name in ("run.json", "stage.json"):
        try:
            run = json.loads(read_regular(folder / name, MOST_TEXT))
            found = run.get("settings") or run["stage"]["settings"]
            return found if isinstance(found, dict) else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return {}


def training_charts(trainings: Sequence[Training], groups: Sequence[Group], facts: Mapping[str, Facts]) -> list[str]:
    """A chart per training task set: the mean over meta-trainings, a band from the least to the most, the paper's."""
    charts = []
    for tasks in dict.fromkeys(training.tasks for training in trainings):
        own = [training for training in trainings if training.tasks == tasks]
        env = next((env for env in dict.fromkeys(g.env for g in groups) if tasks in _known(env, facts).task_sets), None)
        group = next((group for group in groups if env in (None, group.env)), groups[0])
        methods = list(dict.fromkeys(training.method for training in own))
        colours = dict(zip(methods, line_colours(methods), strict=True))
        series = [_mean([run for run in own if run.method == method], colours[method]) for method in methods]
        curves = _known(group.env, facts).published
        published = [c for c in curves if c.axis == "meta-training" and c.training_task_set == tasks]
        free = [colour for colour in (*PALETTE, GREY) if colour not in colours.values()]
        for number, curve in enumerate(published):
            colour = colours.get(curve.method, free[number % len(free)])
            series += _published(curve, colour, np.inf)
        label = group.measure.label
        caption = f"{label.capitalize()} on the training tasks {tasks} during meta-training, as it was logged."
        charts.append(
            svg_chart(series, "episodes of meta-training", shortened(label, 40), caption, top=group.measure.maximum)
        )
    return charts


def _known(env: str, facts: Mapping[str, Facts]) -> Facts:
    return facts.get(env, Facts())


def _mean(runs: Sequence[Training], colour: str) -> Series:
    label = label_of(runs[0].method) + (f" ({len(runs)} runs)" if len(runs) > 1 else "")
    if len(runs) == 1:
        return Series(label, colour, runs[0].episodes, runs[0].values)
    first, last = max(run.episodes[0] for run in runs), max(run.episodes[-1] for run in runs)
    x = np.linspace(first, max(last, first + 1), POINTS)
    values = np.array([np.interp(x, run.episodes, run.values, right=np.nan) for run in runs])
    kept = ~np.isnan(values).all(axis=0)
    values, x = values[:, kept], x[kept]
    return Series(label, colour, x, np.nanmean(values, axis=0), np.nanmin(values, axis=0), np.nanmax(values, axis=0))


# ------------------------------------------------------------ conditioning


def conditioning_chart(group: Group, facts: Mapping[str, Facts]) -> str:
    """
    What agents reach that were only shown some episodes and never updated, over how many episodes these were; empty
    where there is no such line (``gradient_steps`` 0).
    """
    points: dict[str, dict[int, tuple[float, float, float]]] = {}
    for line in group.lines:
        shown = _shown_episodes(line)
        if shown is None or line.episodes.values.shape[1] <= shown:
            continue
        values = np.nanmean(line.episodes.values[:, shown : shown + AFTER], axis=1)
        found = mean_over_levels(line.episodes, values, line.label)
        points.setdefault(line.method, {})[shown] = (found.mean, found.low, found.high)
    if not points:
        return ""
    colours = dict(zip(points, line_colours(points), strict=True))
    series = []
    for method, found_at in points.items():
        x = sorted(found_at)
        mean, low, high = (np.array([found_at[n][k] for n in x]) for k in range(3))
        known = not np.isnan(low).any()
        series.append(
            Series(
                label_of(method),
                colours[method],
                np.array(x, float),
                mean,
                low if known else None,
                high if known else None,
            )
        )
    for curve in _known(group.env, facts).published:
        if curve.axis == "conditioning" and curve.task_set == group.task_set:
            series += _published(curve, colours.get(curve.method, GREY), np.inf)
    caption = (
        f"{group.measure.label.capitalize()} in the {AFTER} episodes after so many that the agent was conditioned on, "
        "without any update; band: 95 % interval over all levels."
    )
    label = shortened(group.measure.label, 40)
    return svg_chart(series, "episodes of conditioning", label, caption, top=group.measure.maximum)


def _shown_episodes(line: Line) -> int | None:
    """How many episodes a line's agents were conditioned on, where they never learned; else None."""
    numbers = set()
    for file in line.files:
        settings = file.metadata.get("settings") or {}
        numbers.add(settings.get("n_exploration_episodes") if settings.get("gradient_steps") == 0 else None)
    (number,) = numbers if len(numbers) == 1 else (None,)
    return number if isinstance(number, int) and number > 0 else None
