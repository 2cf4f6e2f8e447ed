"""Rows of many files -> lines that belong into one figure and one table."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simpl_sb3.report.methods import has_meta_training, label_of, place_of
from simpl_sb3.results.estimates import AgentEpisodes, Estimate, episodes_at, estimate
from simpl_sb3.results.facts import Facts, Measure, PublishedCurve
from simpl_sb3.results.rows import EpisodeRow, ResultFile, ResultsError, agent_episodes, read_results

__all__ = ["Column", "Group", "Last", "Line", "group_results", "read_all"]

Kind = tuple[str, str, str | None, str]
"""What tells lines of a group apart: method, preset, training task set, variant."""
SHORT, FEW = 100, 5
"""A run of fewer than ``SHORT`` episodes has a column for its last ones, if ``FEW`` or more are in no other column."""


@dataclass(frozen=True)
class Last:
    """
    The column of the last episodes.

    :param count: how many
    """

    count: int

    def __str__(self) -> str:
        return f"last {self.count}"


Column = int | Last
"""A column of a table: "at episode N", or the last episodes."""


@dataclass(frozen=True, eq=False)
class Line:
    """
    Agents that differ in task and seed only: one line of a figure, one row of a table.

    :param label: short, told apart from the other lines of its group
    :param published: the published line beside it, if any
    :param episodes: one number per agent and episode
    :param files: the CSVs that its rows stand in
    :param seen: names of the target tasks that meta-training trained on
    """

    method: str
    preset: str
    training_task_set: str | None
    variant: str
    label: str
    published: PublishedCurve | None
    episodes: AgentEpisodes
    files: tuple[ResultFile, ...] = ()
    seen: tuple[str, ...] = ()

    def values_at(self, column: Column) -> npt.NDArray[np.float64] | None:
        """Each agent's value, (agents,); None where an agent lacks its ten episodes."""
        if isinstance(column, Last):
            return self.episodes.last(column.count)
        return self.episodes.at(column) if self.episodes.has(column) else None

    def at(self, column: Column) -> Estimate | None:
        """The mean over agents, with its interval; None where an agent lacks its ten episodes."""
        values = self.values_at(column)
        return None if values is None else estimate(values, self.episodes.tasks)


@dataclass(frozen=True, eq=False)
class Group:
    """
    Lines on the same target tasks.

    :param env: id of the environment
    :param task_set: name of the target tasks
    :param measure: what is shown
    :param lines: ours, in the order of the methods' records, then of the published curves
    :param published: published curves on these tasks that stand beside none of our lines
    :param reported: episodes N of which tables show the values, as far as there are so many
    """

    env: str
    task_set: str
    measure: Measure
    lines: tuple[Line, ...]
    published: tuple[PublishedCurve, ...] = ()
    reported: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """Environment and target tasks, as a heading."""
        return f"{self.env}, {self.task_set} tasks"

    @property
    def last_episode(self) -> int:
        """The highest episode of any agent."""
        return max(line.episodes.values.shape[1] for line in self.lines)

    def columns(self) -> list[Column]:
        """The reported episodes at which at least one line has a value; of a short run its last episodes as well."""
        columns: list[Column] = [n for n in self.reported if any(line.episodes.has(n) for line in self.lines)]
        last = self.last_episode
        ends = [episodes_at(n).stop - 1 for n in columns if isinstance(n, int)]
        if not columns or (last < SHORT and last - max(ends) >= FEW):
            columns.append(Last(min(last, FEW if last < 30 else 10)))
        return columns


OWN_SETTINGS = frozenset({"seed", "source", "n_episodes", "agents_per_task", "torch_threads", "interrupted"})
"""Settings in which files of one line may differ."""


def read_all(paths: Iterable[Path]) -> list[ResultFile]:
    """
    :param paths: CSV files, or folders of them; a file named twice is read once
    :raises ResultsError: as :func:`simpl_sb3.results.rows.read_results`, or no paths
    """
    files = {file.path.resolve(): file for path in paths for file in read_results(path)}
    if not files:
        raise ResultsError("no results to report on; expected CSV files, or folders of them")
    return list(files.values())


def group_results(files: Sequence[ResultFile], facts: Mapping[str, Facts] | None = None) -> list[Group]:
    """
    :param files: their rows may lie apart in any way: by seed, by task, by method
    :param facts: by environment id, what the rows do not say themselves
    :return: one group per environment and target task set, in the order of the files
    :raises ResultsError: an episode of an agent stands in two files, or one line's files have different settings
    """
    parts: dict[tuple[str, str], dict[Kind, dict[Path, list[EpisodeRow]]]] = {}
    for file in files:
        training, variant = file.metadata.get("training_task_set"), str(file.metadata.get("variant") or "")
        for row in file.rows:
            own = training if has_meta_training(row.method) else None
            lines = parts.setdefault((row.env, row.task_set), defaultdict(lambda: defaultdict(list)))
            lines[row.method, row.preset, own, variant][file.path].append(row)
    by_path = {file.path: file for file in files}
    groups = []
    for (env, task_set), lines_of_group in parts.items():
        for by_file in lines_of_group.values():
            _check_settings([by_path[path] for path in by_file])
        used = [by_path[path] for by_file in lines_of_group.values() for path in by_file]
        known = (facts or {}).get(env, Facts())
        said = [file.measure for file in used if file.measure is not None]
        if len(set(said)) > 1:
            raise ResultsError(f"rows of {env} measure {said[0].label} and {said[-1].label}; expected one measure")
        known = replace(known, measure=said[0]) if said else known
        labels = {
            row.method: label for file in used if (label := file.metadata.get("method_label")) for row in file.rows
        }
        parts_of_group = {
            kind: [(by_path[path], rows) for path, rows in by_file.items()] for kind, by_file in lines_of_group.items()
        }
        groups.append(_group(env, task_set, parts_of_group, known, labels))
    return groups


def _check_settings(files: Sequence[ResultFile]) -> None:
    """
    :raises ResultsError: for files of one line whose settings are not one algorithm's: their mean would mean nothing
    """
    first, *others = files
    for other in others:
        ours, theirs = (file.metadata.get("settings", {}) for file in (first, other))
        for name in sorted((ours.keys() & theirs.keys()) - OWN_SETTINGS):
            if ours[name] != theirs[name]:
                raise ResultsError(
                    f"{other.path} has {name} {theirs[name]}, {first.path} has {ours[name]}; expected equal settings "
                    "under one preset and variant: run one of them again, or give it a --variant of its own"
                )


def _group(
    env: str,
    task_set: str,
    parts: Mapping[Kind, Sequence[tuple[ResultFile, Sequence[EpisodeRow]]]],
    facts: Facts,
    labels: Mapping[str, str],
) -> Group:
    on_these = [curve for curve in facts.published if curve.task_set == task_set and curve.axis == "episode"]
    curves = {(curve.method, curve.training_task_set): curve for curve in on_these}
    lines = [
        Line(
            method=method,
            preset=preset,
            training_task_set=training,
            variant=variant,
            label=label_of(method, labels),
            published=curves.get((method, training)),
            episodes=_episodes(by_file, facts.measure.column),
            files=tuple(file for file, _ in by_file),
            seen=_seen(by_file, facts),
        )
        for (method, preset, training, variant), by_file in parts.items()
    ]
    published = [curve for curve in on_these if any(line.published is curve for line in lines)]
    lines.sort(
        key=lambda line: (
            place_of(line.method),
            next((k for k, curve in enumerate(published) if curve is line.published), len(lines)),
        )
    )
    others = [
        curve
        for curve in _comparable(on_these, {line.training_task_set for line in lines})
        if not any(curve is shown for shown in published)
    ]
    named = tuple(replace(line, label=_label(line, lines)) for line in lines)
    return Group(env, task_set, facts.measure, named, tuple(others), facts.episodes)


def _episodes(parts: Sequence[tuple[ResultFile, Sequence[EpisodeRow]]], column: str) -> AgentEpisodes:
    """The numbers of a line's agents, and where each comes from."""
    episodes = agent_episodes(itertools.chain(*(rows for _, rows in parts)), column)
    origins = {(row.task, row.seed): _origin(file, row) for file, rows in parts for row in rows}
    found = [origins[agent] for agent in zip(episodes.tasks, episodes.seeds, strict=True)]
    return replace(episodes, skills=tuple(skills for skills, _ in found), trainings=tuple(name for _, name in found))


def _origin(file: ResultFile, row: EpisodeRow) -> tuple[str, str]:
    """
    Names of the skill model and of the meta-training that an agent comes from: by the lineage that the rows' JSON
    holds; in a grid's rows without one by the seed, which counts them (``10_000 * skills + 100 * training + agent``);
    else each file is a meta-training of its own, over the same skills.
    """
    keys = {run["stage"]: str(run["key"]) for run in file.metadata.get("lineage") or ()}
    if keys:
        return keys.get("extract", ""), keys.get("meta-train", "")
    trained = has_meta_training(row.method)
    if str((file.metadata.get("settings") or {}).get("source")).startswith("stages/"):
        return f"s{row.seed // 10_000}", f"s{row.seed // 10_000} t{row.seed // 100 % 100}" if trained else ""
    return "", file.path.stem if trained else ""


def _seen(parts: Sequence[tuple[ResultFile, Sequence[EpisodeRow]]], facts: Facts) -> tuple[str, ...]:
    """Target tasks that are training tasks as well, as far as the rows or the facts name these."""
    seen: dict[str, None] = {}
    for file, rows in parts:
        text = str(file.metadata.get("training_task_set") or "")
        listed = file.metadata.get("training_tasks") or facts.task_sets.get(text) or text.split(", ")
        trained = set(listed) if has_meta_training(rows[0].method) else set()
        seen |= {row.task: None for row in rows if row.task in trained}
    return tuple(seen)


def _comparable(curves: Sequence[PublishedCurve], trainings: set[str | None]) -> list[PublishedCurve]:
    """
    Published curves of methods without meta-training, or with one of these training sets; all where none of the sets is
    published.
    """
    if not trainings & {curve.training_task_set for curve in curves if curve.training_task_set}:
        return list(curves)
    return [curve for curve in curves if curve.training_task_set in trainings | {None}]


def _label(line: Line, lines: Sequence[Line]) -> str:
    """The method's name, and whatever else is needed to tell the line from the others of its method."""
    twins = [other for other in lines if other.method == line.method]
    parts = [line.label]
    if len({twin.training_task_set for twin in twins}) > 1:
        parts.append(line.training_task_set or "no training tasks")
    if len({twin.preset for twin in twins}) > 1:
        parts.append(line.preset)
    if line.variant:
        parts.append(line.variant)
    return ", ".join(parts)
