"""Our values beside the paper's: as Markdown, as text, and as HTML."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from simpl_sb3.errors import SettingsError
from simpl_sb3.report.groups import METHOD_NAMES, Group, Line, group_results, read_all
from simpl_sb3.report.paper import PaperCurve, paper_curves
from simpl_sb3.results.estimates import Estimate

__all__ = ["headlines", "html_seeds", "html_table", "results_table", "tables_as_text"]

STYLES = ("markdown", "text")
DEFINITION = (
    "At episode N: the mean of episodes N−4 to N+5, at 20 of 21 to 30, by the acting (stochastic) policy. "
    "In brackets a 95 % interval: bootstrap over agents (task × seed), stratified by task."
)
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


def results_table(results: Sequence[Path], style: str = "markdown") -> str:
    """
    Tables of all results, one per environment and target task set, each line above the paper's.

    :param results: CSV files, or folders of them
    :param style: ``markdown`` or ``text``
    :raises SettingsError: another style
    :raises ResultsError: missing or malformed results
    """
    if style not in STYLES:
        raise SettingsError(f"style is {style!r}; expected one of {', '.join(STYLES)}")
    return tables_as_text(group_results(read_all(results)), style)


def tables_as_text(groups: Sequence[Group], style: str) -> str:
    """What :func:`results_table` gives, of groups that have been read."""
    render = _markdown if style == "markdown" else _text
    return "\n\n".join(_section(group, render, style) for group in groups) + "\n"


def headlines(group: Group) -> list[str]:
    """What each line says at its last reported episode; none for a line without a whole window of episodes."""
    sentences = []
    for line in group.lines:
        if episodes := [n for n in group.episodes() if line.episodes.has(n)]:
            cell = _cell(line.at(episodes[-1]), line.paper, episodes[-1])
            paper = line.paper.values.get(episodes[-1]) if line.paper else None
            beside = "" if paper is None else f"; paper {number(paper)}"
            sentences.append(f"{line.label} at episode {episodes[-1]}: {cell.value} {cell.interval}{beside}.")
    return sentences


# ------------------------------------------------------------ content


def _rows(group: Group) -> list[Row]:
    """Ours, each above its published line, then what the paper alone has."""
    episodes = group.episodes()
    rows = []
    for line in group.lines:
        cells = tuple(_cell(line.at(n), line.paper, n) for n in episodes)
        rows.append(Row(line.label, _agents(line), cells))
        if line.paper is not None:
            rows.append(_published(line.paper, group, episodes))
    shown = [line.paper for line in group.lines if line.paper is not None]
    trainings = {line.training_task_set for line in group.lines}
    others = [curve for curve in paper_curves(group.env, group.task_set, trainings) if curve not in shown]
    rows += [_published(curve, group, episodes) for curve in others]
    return [row for row in rows if any(cell.value for cell in row.cells) or not row.published]


def _cell(found: Estimate | None, paper: PaperCurve | None, episode: int) -> Cell:
    if found is None:
        return Cell()
    published = paper.values.get(episode) if paper else None
    reached = published is not None and round(found.mean, 2) >= published
    if math.isnan(found.low):
        return Cell(number(found.mean), reached=reached)
    interval = f"[{number(found.low)}, {number(found.high)}]"
    return Cell(number(found.mean), interval, reached, alike=found.low == found.high)


def _published(curve: PaperCurve, group: Group, episodes: Sequence[int]) -> Row:
    several = len({line.training_task_set for line in group.lines if line.method == curve.method}) > 1
    training = f", {curve.training_task_set}" * several
    bound = Cell() if curve.at_most is None else Cell(f"≤ {number(curve.at_most)}")
    cells = tuple(Cell(number(curve.values[n])) if n in curve.values else bound for n in episodes)
    return Row(f"paper: {METHOD_NAMES[curve.method]}{training}", "10 × 3", cells, published=True)


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
            values = [line.episodes.at(n)[mine].mean() if line.episodes.has(n) else None for n in group.episodes()]
            cells = tuple(Cell() if value is None else Cell(number(value)) for value in values)
            rows.append(Row(f"{line.label}, seed {seed}", str(int(mine.sum())), cells))
    return rows


def _notes(group: Group) -> list[str]:
    """What stands below a table."""
    notes = [DEFINITION]
    cells = [cell for row in _rows(group) for cell in row.cells]
    if any(cell.reached for cell in cells):
        notes.append(BOLD)
    if any(cell.alike for cell in cells):
        most = max(len(line.episodes.tasks) for line in group.lines)
        notes.append(
            "† All agents of each task agree, so the interval has no width; "
            f"{most} agents alike still leave room for a share of {number(3 / most)} that are not."
        )
    return notes


# ------------------------------------------------------------ form


def _section(group: Group, render: Callable[[Group, Sequence[Row]], str], style: str) -> str:
    heading = f"### {group.title}: {group.measure}" if style == "markdown" else f"{group.title}: {group.measure}"
    notes = "\n".join(note for note in _notes(group) if style == "markdown" or note != BOLD)
    seeds = render(group, _seed_rows(group))
    return f"{heading}\n\n{render(group, _rows(group))}\n\n{notes}\n\nMean of each seed:\n\n{seeds}"


def _markdown(group: Group, rows: Sequence[Row]) -> str:
    episodes = group.episodes()
    lines = ["| at episode | agents | " + " | ".join(map(str, episodes)) + " |", "|---|---|" + "---|" * len(episodes)]
    for row in rows:
        cells = (
            cell.text().replace(cell.value, f"**{cell.value}**", 1) if cell.reached else cell.text()
            for cell in row.cells
        )
        label = f"*{row.label}*" if row.published else row.label
        lines.append(f"| {label} | {row.agents} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _text(group: Group, rows: Sequence[Row]) -> str:
    table = [["at episode", "agents", *map(str, group.episodes())]]
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
    header = "".join(f"<th scope=col>{n}</th>" for n in group.episodes())
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
