"""
Episode rows: what every evaluation writes and every report reads, as a CSV with its settings as JSON beside it.

An *agent* is one task with one seed; its episodes are counted from 1, those that explore included. What "at episode N"
means, and how its interval is made, stands in ``estimates``.
"""

import csv
import dataclasses
import io
import itertools
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np

from simpl_sb3.errors import SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.results.estimates import AgentEpisodes, Estimate, ResultsError, estimate
from simpl_sb3.results.provenance import command_line, git_revision, machine, package_versions, plain

__all__ = [
    "COLUMNS",
    "METHODS",
    "EpisodeRow",
    "ResultFile",
    "ResultsError",
    "agent_episodes",
    "read_results",
    "return_at",
    "success_at",
    "write_results",
]

COLUMNS = ("method", "preset", "env", "task_set", "task", "seed", "episode", "env_steps", "return", "success")
METHODS = ("simpl", "spirl", "sac", "pearl", "pearl-ft", "mtrl", "bc-pearl", "bc-maml", "rl2")
SCHEMA_VERSION = 1
KIND = "simpl-sb3/results"
FOREIGN_FILES = frozenset({"progress.csv"})
"""CSV files that lie in run folders and hold no rows: Stable-Baselines3's log."""


@dataclasses.dataclass(frozen=True, slots=True)
class EpisodeRow:
    """
    One episode of one agent. Checks its own values.

    :param method: one of ``METHODS``
    :param preset: name of the settings
    :param env: id of the environment, such as ``SimplMaze-v0``
    :param task_set: name of the tasks evaluated on
    :param task: name of the task, without commas: ``12-7``, ``5021``
    :param seed: of the meta-training or, without one, of the agent
    :param episode: from 1, those that explore included
    :param env_steps: of this agent up to the end of this episode, env steps
    :param episode_return: of this episode, by the acting (stochastic) policy; the CSV's column ``return``
    :param success: 0 or 1
    :raises ResultsError: for any other value
    """

    method: str
    preset: str
    env: str
    task_set: str
    task: str
    seed: int
    episode: int
    env_steps: int
    episode_return: float
    success: int

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ResultsError(f"method is {self.method!r}; expected one of {', '.join(METHODS)}")
        for name in ("preset", "env", "task_set", "task"):
            text = getattr(self, name)
            if not (isinstance(text, str) and text.strip() and not set(text) & set(',"\r\n')):
                raise ResultsError(f"{name} is {text!r}; expected text without commas, quotes and line ends")
        for name, least in (("seed", 0), ("episode", 1), ("env_steps", 1)):
            number = getattr(self, name)
            if not isinstance(number, Integral) or isinstance(number, bool) or number < least:
                raise ResultsError(f"{name} is {number!r}; expected a whole number from {least} on")
            object.__setattr__(self, name, int(number))
        if not isinstance(self.episode_return, Real) or not math.isfinite(self.episode_return):
            raise ResultsError(f"return is {self.episode_return!r}; expected a finite number")
        object.__setattr__(self, "episode_return", float(self.episode_return))
        if self.success not in (0, 1):
            raise ResultsError(f"success is {self.success!r}; expected 0 or 1")
        object.__setattr__(self, "success", int(self.success))

    @classmethod
    def from_cells(cls, cells: Sequence[str]) -> Self:
        """
        :param cells: texts in the order of ``COLUMNS``
        :raises ResultsError: when they are not such a row
        """
        if len(cells) != len(COLUMNS):
            raise ResultsError(f"{len(cells)} values; expected {len(COLUMNS)}: {', '.join(COLUMNS)}")
        numbers: list[float] = []
        for name, kind, cell in zip(COLUMNS[5:], (int, int, int, float, int), cells[5:], strict=True):
            try:
                numbers.append(kind(cell))
            except ValueError:
                raise ResultsError(f"{name} is {cell!r}; expected a{' whole' * (kind is int)} number") from None
        return cls(*cells[:5], *numbers)  # type: ignore[arg-type]

    @property
    def agent(self) -> tuple[str, ...]:
        """What tells this row's agent from every other in its file."""
        return (self.method, self.preset, self.env, self.task_set, self.task, str(self.seed))


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


def write_results(
    path: str | os.PathLike[str],
    rows: Iterable[EpisodeRow],
    settings: Mapping[str, Any],
    *,
    training_task_set: str | None = None,
    variant: str = "",
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
    :param variant: what is special about this run, in a word or two
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
    times = dict(wall_time_s) if isinstance(wall_time_s, Mapping) else {"total": wall_time_s} if wall_time_s else {}
    metadata = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(command),
        "training_task_set": training_task_set,
        "evaluation_task_sets": sorted({row.task_set for row in rows}),
        "variant": variant,
        "methods": sorted({row.method for row in rows}),
        "presets": sorted({row.preset for row in rows}),
        "envs": sorted({row.env for row in rows}),
        "tasks": sorted({row.task for row in rows}),
        "seeds": sorted({row.seed for row in rows}),
        "n_rows": len(rows),
        "wall_time_s": plain(times, "wall_time_s"),
        "settings": plain(settings),
        "revision": git_revision(),
        "versions": package_versions(),
        "machine": machine(),
    }
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(dataclasses.astuple(row) for row in rows)
    # the CSV comes last: without it there is no result
    description = json.dumps(metadata, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path.with_suffix(".json"), description.encode())
    write_atomically(path, table.getvalue().encode())
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
    metadata = _read_metadata(path.with_suffix(".json")) if path.is_file() else {}
    rows = []
    line = 1
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = tuple(next(reader, ()))
            if header != COLUMNS:
                raise ResultsError(f"columns {', '.join(header) or 'none'}; expected {', '.join(COLUMNS)}")
            for cells in reader:
                line = reader.line_num
                rows.append(EpisodeRow.from_cells(cells))
    except OSError as error:
        raise ResultsError(f"cannot read {path} ({error.strerror}); expected a CSV of results") from error
    except (ResultsError, UnicodeDecodeError, csv.Error) as error:
        raise ResultsError(f"{path}, line {line}: {error}") from error
    try:
        check_rows(rows)
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from error
    if len(rows) != metadata.get("n_rows", len(rows)):
        raise ResultsError(f"{path} holds {len(rows)} rows; expected {metadata['n_rows']} as its JSON says")
    return ResultFile(path, tuple(rows), metadata)


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(
            f"cannot read {path} ({error.strerror}); expected the settings of the CSV beside it"
        ) from error
    except ValueError as error:
        raise ResultsError(f"{path} is no JSON: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("kind") != KIND:
        raise ResultsError(f"{path} does not describe results; expected a JSON object of kind {KIND!r}")
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise ResultsError(
            f"{path} has schema version {metadata.get('schema_version')}; this library reads {SCHEMA_VERSION}"
        )
    for key in ("settings", "wall_time_s", "machine", "revision", "versions"):
        if not isinstance(metadata.get(key, {}), dict):
            raise ResultsError(f"{path}: {key} is {metadata[key]!r}; expected a JSON object")
    if not all(isinstance(seconds, Real) for seconds in metadata.get("wall_time_s", {}).values()):
        raise ResultsError(f"{path}: wall_time_s is {metadata['wall_time_s']}; expected seconds by stage")
    return metadata


def check_rows(rows: Iterable[EpisodeRow]) -> None:
    """
    :param rows: of any number of agents
    :raises ResultsError: there are none, an agent has an episode twice, or its ``env_steps`` do not grow
    """
    agents: dict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
    for row in rows:
        steps = agents[row.agent]
        if row.episode in steps:
            raise ResultsError(f"episode {row.episode} of agent {' '.join(row.agent)} is there twice; expected once")
        steps[row.episode] = row.env_steps
    if not agents:
        raise ResultsError("no rows; expected at least one episode")
    for agent, steps in agents.items():
        counts = [steps[episode] for episode in sorted(steps)]
        if any(later <= earlier for earlier, later in itertools.pairwise(counts)):
            raise ResultsError(
                f"env_steps of agent {' '.join(agent)} do not grow from episode to episode; they are cumulative"
            )


# ------------------------------------------------------------ at episode N


def agent_episodes(rows: Iterable[EpisodeRow], column: str = "success") -> AgentEpisodes:
    """
    :param rows: of one method, preset, environment and task set
    :param column: ``success`` or ``return``
    :raises ResultsError: rows of several methods, or as :func:`check_rows`
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
    values = np.full((len(agents), max(row.episode for row in rows)), np.nan)
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
    """The same for the return; in the kitchen, the number of subtasks completed in order."""
    episodes = agent_episodes(rows, "return")
    return estimate(episodes.at(episode), episodes.tasks)
