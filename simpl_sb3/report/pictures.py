"""Which pictures a report has, and what they are called."""

import csv
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from simpl_sb3.report.figures import draw_curves, draw_meta_training, draw_tasks
from simpl_sb3.report.groups import Group
from simpl_sb3.report.orders import draw_orders
from simpl_sb3.report.paths import draw_trajectories
from simpl_sb3.results.facts import SUCCESS, Facts, Measure, Walls
from simpl_sb3.results.reading import read_log
from simpl_sb3.results.rows import ResultFile, ResultsError
from simpl_sb3.results.traces import Completions, Trace, Trajectory, read_trajectories

__all__ = [
    "Picture",
    "check_traces",
    "find_logs",
    "group_pictures",
    "order_pictures",
    "progress_pictures",
    "shown_logs",
    "trajectory_pictures",
]

MAX_TRAJECTORY_TASKS = 6
MAX_NAME = 120


@dataclass(frozen=True)
class Picture:
    """A drawn figure: file name without ending, PNG, and what it shows."""

    name: str
    png: bytes
    caption: str


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _file_name(*parts: str) -> str:
    """``curves-own-v0-target``: lower case, digits and dashes; of a long text the beginning and a checksum."""
    text = "-".join(parts).lower()
    name = re.sub(r"[^a-z0-9.]+", "-", text).strip("-.")
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}-{zlib.crc32(text.encode()):08x}"


def group_pictures(group: Group) -> list[Picture]:
    """Curves and bars of a group, as far as there is something to show."""
    name = _file_name(group.env, group.task_set)
    label = group.measure.label.capitalize()
    pictures = []
    if (curves := draw_curves(group)) is not None:
        caption = f"{label} over episodes: mean of ten episodes over all agents, band: 95 % interval."
        if any(line.published for line in group.lines):
            caption += " Dots: what the table reads. Dashed: the paper's."
        pictures.append(Picture(f"curves-{name}", _png(curves), caption))
    caption = "Each target task: bars are means over seeds, dots single seeds (each the mean of some episodes)."
    pictures.append(Picture(f"tasks-{name}", _png(draw_tasks(group)), caption))
    return pictures


def order_pictures(
    group: Group, completions: Mapping[Path, tuple[list[Completions], tuple[str, ...]]]
) -> list[Picture]:
    """
    The order achieved against the order asked, a figure per line that has such files.

    :param completions: by the file's resolved path
    """
    pictures = []
    for line in group.lines:
        found = [
            completions[path] for file in line.files if (path := file.path.with_suffix(".npz").resolve()) in completions
        ]
        tasks = set(line.episodes.tasks)
        own = [kept for entries, _ in found for kept in entries if kept.method == line.method and kept.task in tasks]
        if not own:
            continue
        if len({names for _, names in found}) > 1:
            raise ResultsError(f"the completions of {line.label} name different subtasks; expected one list for all")
        figure = draw_orders(own, found[0][1], f"{line.label}: the order achieved against the order asked")
        caption = (
            f"{line.label}: per task, the subtasks in the order asked (numbered), then the others. A full bar is every "
            "episode of the column. A subtask is rewarded once it is complete and all before it were rewarded; one "
            "completed too early is rewarded when its turn comes, if it is still complete. Above: mean number "
            "rewarded. Below: the order in which subtasks were completed most often, asked for or not."
        )
        pictures.append(Picture(_file_name("order", group.env, group.task_set, line.label), _png(figure), caption))
    return pictures


def check_traces(path: Path, traces: Sequence[Trace], files: Sequence[ResultFile]) -> None:
    """
    :param path: of the ``.npz`` that holds the traces
    :param files: the rows
    :raises ResultsError: for a trace of an agent that the CSV of the same name does not have
    """
    for file in files:
        if file.path.with_suffix(".npz").resolve() != path.resolve():
            continue
        agents = {(row.method, row.task, row.seed) for row in file.rows}
        for trace in traces:
            if (trace.method, trace.task, trace.seed) not in agents:
                raise ResultsError(
                    f"{path} holds task {trace.task} seed {trace.seed}, which {file.path.name} does not; "
                    "expected both from one run"
                )


def trajectory_pictures(
    paths: Sequence[Path], files: Sequence[ResultFile], facts: Mapping[str, Facts]
) -> list[Picture]:
    """
    Paths of some episodes, a figure per task; at most six per environment.

    :param paths: ``.npz`` files of paths
    :param files: the rows; a file of the same name says of which environment the paths are
    :param facts: by environment id, the walls of files that do not hold them
    """
    envs = {file.path.with_suffix(".npz").resolve(): file.rows[0].env for file in files}
    known = {row.env for file in files for row in file.rows}
    labels = {row.method: label for file in files if (label := file.metadata.get("method_label")) for row in file.rows}
    places: dict[tuple[str, Walls | None], dict[str, list[Trajectory]]] = {}
    for path in paths:
        env = envs.get(path.resolve()) or (next(iter(known)) if len(known) == 1 else "")
        trajectories, walls = read_trajectories(path)
        check_traces(path, trajectories, files)
        if walls is None and env in facts:
            walls = facts[env].walls
        tasks = places.setdefault((env, walls), {})
        for trajectory in trajectories:
            tasks.setdefault(trajectory.task, []).append(trajectory)
    pictures = []
    for number, ((_, walls), tasks) in enumerate(places.items(), start=1):
        for task, trajectories in list(tasks.items())[:MAX_TRAJECTORY_TASKS]:
            place = "" if len(places) == 1 else f"{number}-"
            name = _file_name(f"trajectories-{place}{task}")
            caption = f"Paths towards {task} in the recorded episodes, of all seeds."
            pictures.append(Picture(name, _png(draw_trajectories(trajectories, walls, labels)), caption))
    return pictures


def progress_pictures(paths: Sequence[Path], measures: Sequence[Measure]) -> list[Picture]:
    """
    The curves of meta-trainings.

    :param paths: ``progress.csv`` of each run
    :param measures: of the results beside them; where they differ, successes are counted
    """
    if not paths:
        return []
    measure = _shown_measure(measures)
    runs = {str(path): _read_progress(path, _log_columns(measure)) for path in paths}
    caption = (
        f"{measure.label.capitalize()} on the training tasks during meta-training, as Stable-Baselines3 logged it."
    )
    return [Picture("meta-training", _png(draw_meta_training(runs, measure)), caption)]


def find_logs(places: Sequence[Path], measures: Sequence[Measure]) -> list[Path]:
    """
    The ``progress.csv`` of meta-trainings in folders; hidden ones, and those of other trainings, are passed over.

    :param places: files are passed over
    :param measures: as in :func:`progress_pictures`
    """
    found = [(place, log) for place in places if place.is_dir() for log in sorted(place.rglob("progress.csv"))]
    shown = [log for place, log in found if not any(part.startswith(".") for part in log.relative_to(place).parts)]
    return shown_logs(shown, measures)


def shown_logs(logs: Sequence[Path], measures: Sequence[Measure]) -> list[Path]:
    """Of some logs those that :func:`progress_pictures` can show, each once."""
    needed = set(_log_columns(_shown_measure(measures)).values())
    return [log for log in dict.fromkeys(logs) if needed <= _header(log)]


def _header(log: Path) -> set[str]:
    with log.open(encoding="utf-8", errors="replace") as file:
        return set(next(csv.reader([file.readline(100_000)]), []))


def _shown_measure(measures: Sequence[Measure]) -> Measure:
    return measures[0] if len(set(measures)) == 1 else SUCCESS


def _log_columns(measure: Measure) -> dict[str, str]:
    """The columns of a log that its curve needs."""
    kinds = ("exploration", "posterior")
    return {"env_steps": "time/env_steps"} | {kind: f"rollout/{measure.column}_{kind}" for kind in kinds}


def _read_progress(path: Path, columns: Mapping[str, str]) -> dict[str, npt.NDArray[np.float64]]:
    """Env steps, and a rate while exploring and after it, of a ``progress.csv``; NaN where a cell is empty."""
    read = read_log(path, list(columns.values()))
    if len(read) < len(columns):
        raise ResultsError(f"{path} is no log of a meta-training; expected columns {', '.join(columns.values())}")
    found = {name: read[key] for name, key in columns.items()}
    if not any(np.isfinite(values).any() for values in found.values()):
        raise ResultsError(f"{path} holds no numbers; expected some in the columns {', '.join(columns.values())}")
    return found
