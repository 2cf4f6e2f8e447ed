"""Our values beside the paper's: as Markdown, as text, and as HTML."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from simpl_sb3.errors import SettingsError
from simpl_sb3.report.groups import Column, Group, Last, Line, group_results, read_all
from simpl_sb3.report.methods import label_of
from simpl_sb3.results.estimates import Estimate
from simpl_sb3.results.facts import Facts, PublishedCurve

__all__ = ["headlines", "html_seeds", "html_table", "last_line", "results_table", "tables_as_text"]

MAX_NAMED = 10
"""Tasks that a note names."""
STYLES = ("markdown", "text")
DEFINITION = (
    "At episode N: the mean of episodes N−4 to N+5, at 20 of 21 to 30, by the acting (stochastic) policy. "
    "In brackets a 95 % interval: bootstrap over agents (task × seed), stratified by task."
)
LAST = "Last: the mean of each agent's last episodes; of short runs only."
BOLD = "Bold: at least the paper's value."


@dataclass(frozen=True)
class Cell:
    """
    A value of a table.

    :param value: the number as text; empty where there is none
    :param interval: its interval as text, or empty
    :param reached: whether it is at least the paper's
    :param alike: whether all agents of each task agree, so that the interval has no width
    """

    value: str = ""
    interval: str = ""
    reached: bool = False
    alike: bool = False

    def text(self) -> str:
        """``.91 [.85, .97]``, marked † where agents are alike."""
        return f"{self.value} {self.interval}{'†' * self.alike}".strip() or "–"


@dataclass(frozen=True)
class Row:
    """A line of a table; ``published`` where the paper's own numbers stand."""

    label: str
    agents: str
    cells: tuple[Cell, ...]
    published: bool = False


def number(value: float) -> str:
    """Two decimals, no leading zero: ``.43``, ``1.00``, ``2.71``."""
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


def results_table(results: Sequence[Path], style: str = "markdown", facts: Mapping[str, Facts] | None = None) -> str:
    """
    Tables of all results, one per environment and target task set, each line above the paper's.

    :param results: CSV files, or folders of them
    :param style: ``markdown`` or ``text``
    :param facts: by environment id, what the rows do not say themselves, and what was published;
        :func:`simpl_sb3.experiments.reporting.known_facts` gives those of all domains
    :raises SettingsError: another style
    :raises ResultsError: missing or malformed results
    """
    if style not in STYLES:
        raise SettingsError(f"style is {style!r}; expected one of {', '.join(STYLES)}")
    return tables_as_text(group_results(read_all(results), facts), style)


def tables_as_text(groups: Sequence[Group], style: str) -> str:
    """What :func:`results_table` gives, of groups that have been read."""
    render = _markdown if style == "markdown" else _text
    return "\n\n".join(_section(group, render, style) for group in groups) + "\n"


def headlines(group: Group) -> list[str]:
    """What each line says at its last reported episode, or in its last episodes."""
    sentences = []
    for line in group.lines:
        column = [column for column in group.columns() if line.values_at(column) is not None]
        if not column:
            column = [Last(min(5, line.episodes.values.shape[1]))]
        cell = _cell(line.at(column[-1]), line.published, column[-1])
        published = _published_value(line.published, column[-1])
        beside = "" if published is None else f"; published {number(published)}"
        sentences.append(f"{line.label} {_words(column[-1])}: {cell.value} {cell.interval}".rstrip() + f"{beside}.")
    return sentences


def overlaps(group: Group) -> list[str]:
    """A sentence per line that was trained on some of its target tasks."""
    sentences = []
    for line in group.lines:
        if line.seen:
            text = f"{len(line.seen)} of {len(set(line.episodes.tasks))} target tasks are training tasks as well"
            names = ", ".join((*line.seen[:MAX_NAMED], *["..."] * (len(line.seen) > MAX_NAMED)))
            sentences.append(f"Not unseen: of {line.label}, {text} ({names}).")
    return sentences


def last_line(group: Group) -> list[str]:
    """Of a short run, a sentence per line on its last five episodes; of others none."""
    if not any(isinstance(column, Last) for column in group.columns()):
        return []
    column = Last(min(5, group.last_episode))
    values = [(line.label, line.at(column)) for line in group.lines]
    return [f"{label}: {group.measure.label} in the {column} episodes: {number(v.mean)}" for label, v in values if v]


# ------------------------------------------------------------ content


def _words(column: Column) -> str:
    return f"in the {column} episodes" if isinstance(column, Last) else f"at episode {column}"


def _published_value(curve: PublishedCurve | None, column: Column) -> float | None:
    return None if curve is None or isinstance(column, Last) else curve.values.get(column)


def _rows(group: Group) -> list[Row]:
    """Ours, each above its published line, then what was published alone."""
    columns = group.columns()
    rows = []
    for line in group.lines:
        cells = tuple(_cell(line.at(column), line.published, column) for column in columns)
        rows.append(Row(line.label, _agents(line), cells))
        if line.published is not None:
            rows.append(_published(line.published, group, columns))
    rows += [_published(curve, group, columns) for curve in group.published]
    return [row for row in rows if any(cell.value for cell in row.cells) or not row.published]


def _cell(found: Estimate | None, published: PublishedCurve | None, column: Column) -> Cell:
    if found is None:
        return Cell()
    value = _published_value(published, column)
    reached = value is not None and round(found.mean, 2) >= value
    if math.isnan(found.low):
        return Cell(number(found.mean), reached=reached)
    interval = f"[{number(found.low)}, {number(found.high)}]"
    return Cell(number(found.mean), interval, reached, alike=found.low == found.high)


def _published(curve: PublishedCurve, group: Group, columns: Sequence[Column]) -> Row:
    several = len({line.training_task_set for line in group.lines if line.method == curve.method}) > 1
    training = f", {curve.training_task_set}" * several
    bound = Cell() if curve.at_most is None else Cell(f"≤ {number(curve.at_most)}")
    values = [_published_value(curve, column) for column in columns]
    cells = tuple(bound if value is None else Cell(number(value)) for value in values)
    label = label_of(curve.method, {curve.method: curve.label})
    return Row(f"paper: {label}{training}", curve.agents, cells, published=True)


def _agents(line: Line) -> str:
    """Tasks × seeds, or the number of agents where not every task has every seed."""
    tasks, seeds = len(set(line.episodes.tasks)), len(set(line.episodes.seeds))
    n = len(line.episodes.tasks)
    return f"{tasks} × {seeds}" if n == tasks * seeds else str(n)


def _seed_rows(group: Group) -> list[Row]:
    """The mean of each seed: what agents that share a meta-training have in common."""
    rows = []
    for line in group.lines:
        seeds = np.array(line.episodes.seeds)
        for seed in sorted(set(line.episodes.seeds)):
            mine = seeds == seed
            values = [line.values_at(column) for column in group.columns()]
            cells = tuple(Cell() if found is None else Cell(number(found[mine].mean())) for found in values)
            rows.append(Row(f"{line.label}, seed {seed}", str(int(mine.sum())), cells))
    return rows


def _notes(group: Group) -> list[str]:
    """What stands below a table."""
    notes = [DEFINITION]
    if any(isinstance(column, Last) for column in group.columns()):
        notes.append(LAST)
    notes += overlaps(group)
    cells = [cell for row in _rows(group) for cell in row.cells]
    if any(cell.reached for cell in cells):
        notes.append(BOLD)
    if any(cell.alike for cell in cells):
        most = max(len(line.episodes.tasks) for line in group.lines)
        notes.append(
            "† All agents of each task agree, so the interval has no width; "
            f"{most} agents alike still leave room for a share of {number(min(1.0, 3 / most))} that are not."
        )
    return notes


# ------------------------------------------------------------ form


def _section(group: Group, render: Callable[[Group, Sequence[Row]], str], style: str) -> str:
    heading = f"{'### ' * (style == 'markdown')}{group.title}: {group.measure.label}"
    notes = "\n".join(note for note in _notes(group) if style == "markdown" or note != BOLD)
    seeds = render(group, _seed_rows(group))
    last = "".join(f"\n\n{sentence}" for sentence in last_line(group))
    return f"{heading}\n\n{render(group, _rows(group))}\n\n{notes}\n\nMean of each seed:\n\n{seeds}{last}"


def _markdown(group: Group, rows: Sequence[Row]) -> str:
    columns = group.columns()
    lines = ["| at episode | agents | " + " | ".join(map(str, columns)) + " |", "|---|---|" + "---|" * len(columns)]
    for row in rows:
        cells = (
            cell.text().replace(cell.value, f"**{cell.value}**", 1) if cell.reached else cell.text()
            for cell in row.cells
        )
        text = row.label.replace("|", "\\|")
        label = f"*{text}*" if row.published else text
        lines.append(f"| {label} | {row.agents} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _text(group: Group, rows: Sequence[Row]) -> str:
    table = [["at episode", "agents", *map(str, group.columns())]]
    table += [[row.label, row.agents, *(cell.text() for cell in row.cells)] for row in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def html_table(group: Group) -> str:
    """The table with its notes; intervals stand below their values, so that it fits on narrow screens."""
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in _notes(group))
    return _html(group, _rows(group)) + notes


def html_seeds(group: Group) -> str:
    """The table of each seed's mean."""
    return _html(group, _seed_rows(group))


def _html(group: Group, rows: Sequence[Row]) -> str:
    header = "".join(f"<th scope=col>{column}</th>" for column in group.columns())
    body = []
    for row in rows:
        cells = "".join(f"<td>{_html_cell(cell)}</td>" for cell in row.cells)
        kind = " class=paper" if row.published else ""
        label = f"{escape(row.label)}<small>{escape(row.agents)} agents</small>"
        body.append(f"<tr{kind}><th scope=row>{label}</th>{cells}</tr>")
    head = f"<tr><th scope=col>at episode</th>{header}</tr>"
    return f"<div class=wide><table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table></div>"


def _html_cell(cell: Cell) -> str:
    value = f"<b>{cell.value}</b>" if cell.reached else cell.value or "–"
    return f"{value}{'†' * cell.alike}" + (f"<small>{cell.interval}</small>" if cell.interval else "")
