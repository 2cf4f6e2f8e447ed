"""How sure a comparison is: means and interquartile means over all levels, differences, probabilities, costs."""

import csv
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from simpl_sb3.report.chart import Series, svg_chart
from simpl_sb3.report.costs import Cost, costs_of, duration
from simpl_sb3.report.groups import Column, Group, Last, Line
from simpl_sb3.report.methods import line_colours, shortened
from simpl_sb3.report.tables import number
from simpl_sb3.results.estimates import Estimate
from simpl_sb3.results.levels import (
    LEVELS,
    improvement,
    interquartile_mean,
    level_counts,
    mean_over_levels,
    paired_difference,
    performance_profile,
    skill_spread,
)

__all__ = ["Statistic", "html_statistics", "profile_chart", "statistics", "statistics_as_csv", "statistics_as_markdown"]

MEAN, IQM, SPREAD = "mean", "interquartile mean", "spread of skill models"
DIFFERENCE, BETTER = "difference", "probability of improvement"
MAX_COMPARED = 4
"""Lines of a group that are compared with one another; of more, each is compared with the first."""
POINTS = 41
"""Of a performance profile."""
NOTES = (
    "In brackets 95 % intervals of a bootstrap that resamples data and skills, meta-training, tasks and agents: wider "
    "than the table above, whose intervals hold for these very tasks and models.",
    "Interquartile mean: of the middle half of all agents. Spread: the standard deviation of the skill models' means. "
    "Difference: on the tasks that both have, resampled together. P(A > B): the chance that an agent of A does better "
    "than one of B on the same task, ties counted half; .50 is no difference.",
)


@dataclass(frozen=True)
class Statistic:
    """
    A row: one quantity at several columns.

    :param label: of the line, or of both
    :param quantity: what it is
    :param found: column -> value with its interval; NaN for no interval
    """

    label: str
    quantity: str
    found: dict[str, Estimate]


def statistics(group: Group) -> list[Statistic]:
    """All rows of a group; none where it has a single agent."""
    columns = _columns(group)
    rows = [row for line in group.lines if len(line.episodes.tasks) > 1 for row in _of_line(line, columns)]
    return rows + [row for first, second in _pairs(group.lines) for row in _of_pair(first, second, columns)]


def _columns(group: Group) -> list[Column]:
    columns = group.columns()
    return [column for column in columns if not isinstance(column, Last)] or columns


def _pairs(lines: Sequence[Line]) -> list[tuple[Line, Line]]:
    if len(lines) <= MAX_COMPARED:
        return list(itertools.combinations(lines, 2))
    return [(lines[0], other) for other in lines[1:]]


def _of_line(line: Line, columns: Sequence[Column]) -> list[Statistic]:
    means, middles, spreads = {}, {}, {}
    for column in columns:
        if (values := line.values_at(column)) is None:
            continue
        means[str(column)] = mean_over_levels(line.episodes, values, line.label)
        middles[str(column)] = interquartile_mean(line.episodes, values, line.label)
        spread = skill_spread(line.episodes, values)
        if len(spread.means) > 1:
            spreads[str(column)] = Estimate(spread.deviation, math.nan, math.nan, len(spread.means))
    found = ((MEAN, means), (IQM, middles), (SPREAD, spreads))
    return [Statistic(line.label, quantity, values) for quantity, values in found if values]


def _of_pair(first: Line, second: Line, columns: Sequence[Column]) -> list[Statistic]:
    differences, chances = {}, {}
    for column in columns:
        x, y = first.values_at(column), second.values_at(column)
        if x is None or y is None:
            continue
        sides = (first.episodes, x, first.label), (second.episodes, y, second.label)
        difference, chance = paired_difference(*sides), improvement(*sides)
        if difference is not None and chance is not None:
            differences[str(column)], chances[str(column)] = difference, chance
    found = (
        (f"{first.label} − {second.label}", DIFFERENCE, differences),
        (f"{first.label} > {second.label}", BETTER, chances),
    )
    return [Statistic(*row) for row in found if row[2]]


def levels_text(line: Line) -> str:
    """``SiMPL: 3 skill models, 9 meta-trainings, 10 tasks, up to 3 agents each``."""
    counts = level_counts(line.episodes)
    names = ("skill model", "meta-training", "task")
    parts = [f"{counts[level]} {name}{'s' * (counts[level] > 1)}" for level, name in zip(LEVELS, names, strict=False)]
    if set(line.episodes.trainings) == {""}:
        parts.pop(1)
    agents = counts["agent"]
    return f"{line.label}: {', '.join(parts)}, {agents} agent{'s' * (agents > 1)} of each"


def _notes(group: Group) -> list[str]:
    notes = [*NOTES, f"{'; '.join(levels_text(line) for line in group.lines)}."]
    if any(len(set(line.episodes.skills)) == 1 for line in group.lines):
        notes.append("Where all agents of a line share one skill model, what another would do is not in its interval.")
    return notes


# ------------------------------------------------------------ forms


def cell_text(found: Estimate | None) -> str:
    """``.91 [.85, .97]``."""
    if found is None:
        return "–"
    if math.isnan(found.low):
        return number(found.mean)
    return f"{number(found.mean)} [{number(found.low)}, {number(found.high)}]"


def _names(row: Statistic) -> str:
    return f"P({row.label})" if row.quantity == BETTER else f"{row.label}, {row.quantity}"


def statistics_as_markdown(groups: Sequence[Group]) -> str:
    """A section per group: statistics, then costs."""
    sections = []
    for group in groups:
        rows, costs = statistics(group), costs_of(group)
        if rows:
            columns = list(dict.fromkeys(column for row in rows for column in row.found))
            table = [["at episode", *columns]]
            table += [[_names(row), *(cell_text(row.found.get(column)) for column in columns)] for row in rows]
            notes = "\n".join(_notes(group))
            sections.append(f"### {group.title}: {group.measure.label}\n\n{_markdown(table)}\n\n{notes}")
        if costs:
            sections.append(f"### {group.title}: costs\n\n{_markdown(_cost_table(costs))}")
    return "\n\n".join(sections) + "\n"


def _markdown(table: Sequence[Sequence[str]]) -> str:
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in table]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def statistics_as_csv(groups: Sequence[Group]) -> str:
    """Every number with its interval, one per line, for other programs."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("env", "task_set", "measure", "line", "quantity", "at", "value", "low", "high", "n"))
    for group in groups:
        head = (group.env, group.task_set, group.measure.label)
        for row in statistics(group):
            for column, found in row.found.items():
                ends = ["" if math.isnan(end) else round(end, 6) for end in (found.low, found.high)]
                writer.writerow((*head, row.label, row.quantity, column, round(found.mean, 6), *ends, found.n_agents))
        for cost in costs_of(group):
            for quantity, value in cost.numbers().items():
                writer.writerow((*head, cost.label, quantity, "", round(value, 3), "", "", cost.n_agents))
    return table.getvalue()


def html_statistics(group: Group) -> str:
    """Folded tables of statistics, and of costs; empty where there are none."""
    rows, costs, parts = statistics(group), costs_of(group), []
    if rows:
        columns = list(dict.fromkeys(column for row in rows for column in row.found))
        head = "".join(f"<th scope=col>{escape(column)}</th>" for column in columns)
        body = "".join(_html_row(row, columns) for row in rows)
        notes = "".join(f"<p class=note>{escape(note)}</p>" for note in _notes(group))
        table = f"<thead><tr><th scope=col>at episode</th>{head}</tr></thead><tbody>{body}</tbody>"
        parts.append(f"<h3>How sure this is</h3><div class=wide><table>{table}</table></div>{notes}")
    if costs:
        titles, *lines = _cost_table(costs)
        top = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in titles)
        body = "".join(
            f"<tr><th scope=row>{escape(first)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in others)}</tr>"
            for first, *others in lines
        )
        table = f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
        parts.append(f"<h3>What it costs</h3><div class=wide><table>{table}</table></div>{COST_NOTE}")
    return "".join(parts)


COST_NOTE = (
    "<p class=note>Per agent in adaptation; of one meta-training and one extraction of skills, where their runs say "
    "so. Times are wall-clock, on the machine and with the load that the provenance below names.</p>"
)


def _html_row(row: Statistic, columns: Sequence[str]) -> str:
    cells = []
    for column in columns:
        value, _, interval = cell_text(row.found.get(column)).partition(" ")
        small = f"<small>{interval}</small>" if interval else ""
        cells.append(f"<td>{value}{small}</td>")
    if row.quantity == BETTER:
        label = f"P({escape(row.label)})"
    else:
        label = f"{escape(row.label)}<small>{escape(row.quantity)}</small>"
    return f"<tr><th scope=row>{label}</th>{''.join(cells)}</tr>"


def _cost_table(costs: Sequence[Cost]) -> list[list[str]]:
    """A row per quantity, a column per line."""
    found = [cost.numbers() for cost in costs]
    names = list(dict.fromkeys(name for numbers in found for name in numbers))
    rows = [[name.removesuffix(", s"), *(_cost_cell(name, numbers.get(name)) for numbers in found)] for name in names]
    return [["", *(cost.label for cost in costs)], *rows]


def _cost_cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    return duration(value) if name.endswith(", s") else f"{value:,.0f}"


# ------------------------------------------------------------ performance profiles


def profile_chart(group: Group) -> str:
    """Shares of agents that reach each value, at the last column that several lines have; empty where none has."""
    for column in reversed(_columns(group)):
        known = [(line, values) for line in group.lines if (values := line.values_at(column)) is not None]
        if sum(len(values) for _, values in known) > 1 and (len(known) > 1 or len(group.lines) == 1):
            break
    else:
        return ""
    top = group.measure.maximum or max(float(values.max()) for _, values in known) or 1.0
    at = np.linspace(0.0, top, POINTS)
    colours = dict(zip(map(id, group.lines), line_colours(line.method for line in group.lines), strict=True))
    series = []
    for line, values in known:
        profile = performance_profile(line.episodes, values, line.label, at)
        series.append(Series(line.label, colours[id(line)], at, profile.share, profile.low, profile.high))
    where = f"in the {column} episodes" if isinstance(column, Last) else f"at episode {column}"
    caption = (
        f"Performance profile {where}: the share of agents that reach at least so much; bands as in the table above."
    )
    return svg_chart(series, shortened(group.measure.label), "share of agents", caption, top=1.0)
