"""
Episode rows: what every evaluation writes and every report reads, as a CSV with its settings as JSON beside it.

An *agent* is one task with one seed; its episodes are counted from 1, those that explore included. What "at episode N"
means, and how its interval is made, stands in ``estimates``.
"""

import csv
import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from simpl_sb3.errors import ResultsError, SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.results.estimates import AgentEpisodes, Estimate, estimate
from simpl_sb3.results.facts import Measure
from simpl_sb3.results.metadata import KIND, SCHEMA_VERSION, read_metadata
from simpl_sb3.results.provenance import command_line, git_revision, machine, package_versions, plain
from simpl_sb3.results.reading import read_bytes
from simpl_sb3.results.row import COLUMNS, MAX_EPISODE, EpisodeRow, check_method, check_rows, check_text
from simpl_sb3.seals import BLANK, KEY, seal

__all__ = [
    "COLUMNS",
    "MAX_EPISODE",
    "EpisodeRow",
    "ResultFile",
    "ResultsError",
    "agent_episodes",
    "check_method",
    "check_rows",
    "read_results",
    "return_at",
    "success_at",
    "write_results",
]

MAX_AGENTS, MAX_VALUES, MAX_ROWS = 2_000, 20_000_000, 2_000_000
"""Of one line: agents, and agents times episodes."""
FOREIGN_FILES = frozenset({"progress.csv"})
"""CSV files that lie in run folders and hold no rows: Stable-Baselines3's log."""


@dataclasses.dataclass(frozen=True)
class ResultFile:
    """
    What one CSV and its JSON hold.

    :param path: of the CSV
    :param rows: in the file's order
    :param metadata: the JSON: ``command``, ``settings``, ``training_task_set``, ``variant``, ``machine``,
        ``wall_time_s``, and what else :func:`write_results` puts there
    """

    path: Path
    rows: tuple[EpisodeRow, ...]
    metadata: Mapping[str, Any]

    @property
    def measure(self) -> Measure | None:
        """What the rows say that they measure; None in files of older versions."""
        given = self.metadata.get("measure")
        return None if given is None else Measure.of(given)


def write_results(
    path: str | os.PathLike[str],
    rows: Iterable[EpisodeRow],
    settings: Mapping[str, Any],
    *,
    training_task_set: str | None = None,
    training_tasks: Sequence[str] = (),
    lineage: Sequence[Mapping[str, Any]] = (),
    variant: str = "",
    measure: Measure | None = None,
    method_label: str | None = None,
    command: Sequence[str] | None = None,
    wall_time_s: float | Mapping[str, float] | None = None,
    overwrite: bool = False,
) -> Path:
    """
    Write rows as CSV and, under the same name, what made them as JSON: each file whole or not at all.

    The JSON holds neither host names nor absolute paths (:func:`simpl_sb3.results.provenance.plain`).

    :param path: of the CSV; missing folders are made
    :param rows: of one or several agents; no episode twice
    :param settings: everything that was set, seeds included
    :param training_task_set: name of the tasks of the meta-training; None without one
    :param training_tasks: their names one by one
    :param lineage: the runs that the agents come from, the oldest first: stage, key, seed, wall_time_s, env_steps
    :param variant: what is special about this run, in a word or two
    :param measure: what figures and tables show of these rows; None leaves it to the reader
    :param method_label: the method's name in figures, where the library does not know the method
    :param command: program and arguments; None for this process's own
    :param wall_time_s: seconds in all, or by stage
    :param overwrite: replace existing files
    :return: path of the CSV
    :raises SettingsError: the files exist, the name does not end in ``.csv``, or the settings are not plain data
    :raises ResultsError: no rows, or rows that contradict each other
    """
    path = Path(path)
    if path.suffix != ".csv" or path.name in FOREIGN_FILES:
        raise SettingsError(f"results go to {path}; expected a name ending in .csv, other than progress.csv")
    existing = [file for file in (path, path.with_suffix(".json")) if file.exists()]
    if existing and not overwrite:
        raise SettingsError(f"{existing[0]} exists; expected a new name, or overwrite=True to replace it")
    rows = tuple(rows)
    check_rows(rows)
    for name, text in (("training_task_set", training_task_set), ("variant", variant), ("method_label", method_label)):
        if text:
            check_text(name, text)
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(dataclasses.astuple(row) for row in rows)
    content = table.getvalue().encode()
    times = dict(wall_time_s) if isinstance(wall_time_s, Mapping) else {"total": wall_time_s} if wall_time_s else {}
    metadata = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(command),
        "training_task_set": training_task_set,
        "training_tasks": list(training_tasks),
        "lineage": plain(list(lineage), "lineage"),
        "evaluation_task_sets": sorted({row.task_set for row in rows}),
        "variant": variant,
        "methods": sorted({row.method for row in rows}),
        "presets": sorted({row.preset for row in rows}),
        "envs": sorted({row.env for row in rows}),
        "tasks": sorted({row.task for row in rows}),
        "seeds": sorted({row.seed for row in rows}),
        "measure": None if measure is None else dataclasses.asdict(measure),
        "method_label": method_label,
        "n_rows": len(rows),
        "csv_sha256": hashlib.sha256(content).hexdigest(),
        "wall_time_s": plain(times, "wall_time_s"),
        "settings": plain(settings),
        "revision": git_revision(),
        "versions": package_versions(),
        "machine": machine(),
        KEY: BLANK,
    }
    # the CSV comes last: without it there is no result
    description = json.dumps(metadata, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path.with_suffix(".json"), seal(description.encode()))
    write_atomically(path, content)
    return path


def read_results(path: str | os.PathLike[str]) -> list[ResultFile]:
    """
    Read one CSV with its JSON, or all that lie in a folder and the folders below it.

    :param path: a CSV or a folder; a folder's hidden files and ``progress.csv`` (SB3's log) are passed over
    :return: one entry per CSV, by name
    :raises ResultsError: a file is missing or malformed: says which, what it holds, and what was expected
    """
    path = Path(path)
    if not path.is_dir():
        return [_read_file(path)]
    found = [file.relative_to(path) for file in sorted(path.rglob("*.csv")) if file.name not in FOREIGN_FILES]
    files = [path / file for file in found if not any(part.startswith(".") for part in file.parts)]
    if not files:
        raise ResultsError(f"{path} holds no results; expected CSV files with JSON beside them")
    return [_read_file(file) for file in files]


def _read_file(path: Path) -> ResultFile:
    content = read_bytes(path, "a CSV of results")
    metadata = read_metadata(path.with_suffix(".json"))
    rows = []
    line = 1
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
        header = tuple(next(reader, ()))
        if header != COLUMNS:
            raise ResultsError(f"columns {', '.join(header)[:300] or 'none'}; expected {', '.join(COLUMNS)}")
        for cells in reader:
            line = reader.line_num
            rows.append(EpisodeRow.from_cells(cells))
            if len(rows) > MAX_ROWS:
                raise ResultsError(f"more than {MAX_ROWS} rows; expected one per agent and episode")
    except (ResultsError, UnicodeDecodeError, csv.Error) as error:
        raise ResultsError(f"{path}, line {line}: {error}") from error
    try:
        check_rows(rows)
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from error
    if len(rows) != (metadata.get("n_rows") or len(rows)):
        raise ResultsError(f"{path} holds {len(rows)} rows; expected {metadata['n_rows']} as its JSON says")
    if metadata.get("csv_sha256", "") not in ("", None, hashlib.sha256(content).hexdigest()):
        raise ResultsError(
            f"{path} is not the CSV that {path.stem}.json describes; expected both from one run, as they were written "
            f"(after a change on purpose: without csv_sha256 and {KEY} in the JSON)"
        )
    return ResultFile(path, tuple(rows), metadata)


# ------------------------------------------------------------ at episode N


def agent_episodes(rows: Iterable[EpisodeRow], column: str = "success") -> AgentEpisodes:
    """
    :param rows: of one method, preset, environment and task set
    :param column: ``success`` or ``return``
    :raises ResultsError: rows of several methods, or as ``check_rows``
    """
    if column not in ("success", "return"):
        raise ResultsError(f"column is {column!r}; expected 'success' or 'return'")
    rows = tuple(rows)
    check_rows(rows)
    if len(kinds := {row.agent[:4] for row in rows}) > 1:
        listed = "; ".join(" ".join(kind) for kind in sorted(kinds))
        raise ResultsError(
            f"rows of {len(kinds)} kinds ({listed}); expected one method, preset, environment and task set"
        )
    agents = {agent: index for index, agent in enumerate(sorted({(row.task, row.seed) for row in rows}))}
    last = max(row.episode for row in rows)
    if len(agents) > MAX_AGENTS or len(agents) * last > MAX_VALUES:
        raise ResultsError(
            f"{len(agents)} agents and {last} episodes; expected at most {MAX_AGENTS} agents in one line, "
            f"and {MAX_VALUES} agents times episodes"
        )
    values = np.full((len(agents), last), np.nan)
    for row in rows:
        value = row.success if column == "success" else row.episode_return
        values[agents[row.task, row.seed], row.episode - 1] = value
    return AgentEpisodes(tuple(task for task, _ in agents), tuple(seed for _, seed in agents), values)


def success_at(rows: Iterable[EpisodeRow], episode: int) -> Estimate:
    """
    Success rate "at episode N", over agents, with the 95 % interval of
    :func:`simpl_sb3.results.estimates.bootstrap_interval`.

    :param rows: of one method, preset, environment and task set
    :param episode: N
    :raises ResultsError: an agent lacks one of the ten episodes, or rows that do not belong together
    """
    episodes = agent_episodes(rows, "success")
    return estimate(episodes.at(episode), episodes.tasks)


def return_at(rows: Iterable[EpisodeRow], episode: int) -> Estimate:
    """The same for the return."""
    episodes = agent_episodes(rows, "return")
    return estimate(episodes.at(episode), episodes.tasks)
