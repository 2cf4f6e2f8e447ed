"""Rows of many files -> lines that belong into one figure and one table."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simpl_sb3.report.paper import KITCHEN, PAPER, PaperCurve, paper_curve, reported_episodes
from simpl_sb3.results.estimates import AgentEpisodes, Estimate, estimate
from simpl_sb3.results.rows import METHODS, EpisodeRow, ResultFile, ResultsError, agent_episodes, read_results

__all__ = ["METHOD_NAMES", "Group", "Line", "group_results", "read_all"]

METHOD_NAMES = {
    "simpl": "SiMPL",
    "spirl": "SPiRL",
    "sac": "SAC",
    "pearl": "PEARL",
    "pearl-ft": "PEARL-ft",
    "mtrl": "MTRL",
    "bc-pearl": "BC+PEARL",
    "bc-maml": "BC+MAML",
    "rl2": "RL²",
}
Kind = tuple[str, str, str | None, str]
"""What tells lines of a group apart: method, preset, training task set, variant."""
WITHOUT_META_TRAINING = frozenset({"spirl", "sac"})


@dataclass(frozen=True, eq=False)
class Line:
    """
    Agents that differ in task and seed only: one line of a figure, one row of a table.

    :param label: short, told apart from the other lines of its group
    :param paper: the published line beside it, if any
    :param episodes: one number per agent and episode
    :param files: the CSVs that its rows stand in
    """

    method: str
    preset: str
    training_task_set: str | None
    variant: str
    label: str
    paper: PaperCurve | None
    episodes: AgentEpisodes
    files: tuple[Path, ...] = ()

    def at(self, episode: int) -> Estimate | None:
        """The value at an episode; None where an agent lacks its ten episodes."""
        if not self.episodes.has(episode):
            return None
        return estimate(self.episodes.at(episode), self.episodes.tasks)


@dataclass(frozen=True, eq=False)
class Group:
    """
    Lines on the same target tasks.

    :param env: id of the environment
    :param task_set: name of the target tasks
    :param column: what is shown, ``success`` or ``return``
    :param lines: ours, in the order of ``METHODS``, then of ``PAPER``
    """

    env: str
    task_set: str
    column: str
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """Environment and target tasks, as a heading."""
        return f"{self.env}, {self.task_set} tasks"

    @property
    def measure(self) -> str:
        """What the numbers are, as an axis is labelled."""
        if self.column == "success":
            return "success rate"
        return "subtasks completed (of 4)" if self.env == KITCHEN else "return per episode"

    @property
    def top(self) -> float | None:
        """The largest possible value, where it is known."""
        return 1.0 if self.column == "success" else 4.0 if self.env == KITCHEN else None

    def episodes(self) -> list[int]:
        """The published episodes at which at least one line has a value."""
        return [n for n in reported_episodes(self.env) if any(line.episodes.has(n) for line in self.lines)]


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


def group_results(files: Sequence[ResultFile]) -> list[Group]:
    """
    :param files: their rows may lie apart in any way: by seed, by task, by method
    :return: one group per environment and target task set, in the order of the files
    :raises ResultsError: an episode of an agent stands in two files, or one line's files have different settings
    """
    parts: dict[tuple[str, str], dict[Kind, dict[Path, list[EpisodeRow]]]] = {}
    for file in files:
        training, variant = file.metadata.get("training_task_set"), str(file.metadata.get("variant") or "")
        for row in file.rows:
            own = None if row.method in WITHOUT_META_TRAINING else training
            lines = parts.setdefault((row.env, row.task_set), defaultdict(lambda: defaultdict(list)))
            lines[row.method, row.preset, own, variant][file.path].append(row)
    by_path = {file.path: file for file in files}
    for lines_of_group in parts.values():
        for by_file in lines_of_group.values():
            _check_settings([by_path[path] for path in by_file])
    return [_group(env, task_set, lines) for (env, task_set), lines in parts.items()]


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


def _group(env: str, task_set: str, parts: Mapping[Kind, Mapping[Path, Sequence[EpisodeRow]]]) -> Group:
    column = "return" if env == KITCHEN else "success"
    lines = [
        Line(
            method=method,
            preset=preset,
            training_task_set=training,
            variant=variant,
            label=METHOD_NAMES[method],
            paper=paper_curve(env, task_set, method, training),
            episodes=agent_episodes(itertools.chain(*by_file.values()), column),
            files=tuple(by_file),
        )
        for (method, preset, training, variant), by_file in parts.items()
    ]
    published = [line.paper for line in lines if line.paper is not None]
    published.sort(key=PAPER.index)
    lines.sort(key=lambda line: (METHODS.index(line.method), published.index(line.paper) if line.paper else len(lines)))
    return Group(env, task_set, column, tuple(replace(line, label=_label(line, lines)) for line in lines))


def _label(line: Line, lines: Sequence[Line]) -> str:
    """The method's name, and whatever else is needed to tell the line from the others of its method."""
    twins = [other for other in lines if other.method == line.method]
    parts = [METHOD_NAMES[line.method]]
    if len({twin.training_task_set for twin in twins}) > 1:
        parts.append(line.training_task_set or "no training tasks")
    if len({twin.preset for twin in twins}) > 1:
        parts.append(line.preset)
    if line.variant:
        parts.append(line.variant)
    return ", ".join(parts)
