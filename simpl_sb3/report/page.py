"""One folder with everything: figures, tables, and a page that needs no other file."""

import base64
import csv
import io
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from simpl_sb3.errors import SettingsError
from simpl_sb3.report.figures import draw_curves, draw_meta_training, draw_tasks, draw_trajectories, styled
from simpl_sb3.report.groups import Group, group_results, read_all
from simpl_sb3.report.tables import headlines, html_seeds, html_table, tables_as_text
from simpl_sb3.results import ResultFile, ResultsError
from simpl_sb3.trajectories import read_trajectories

__all__ = ["make_report"]

MAX_TRAJECTORY_TASKS = 6
PROGRESS_COLUMNS = {
    "env_steps": "time/env_steps",
    "exploration": "rollout/success_exploration",
    "posterior": "rollout/success_posterior",
}
STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --faint: #666; --line: #ddd; --page: #fff; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --faint: #a5a5a5; --line: #3a3a3a; --page: #15171a; --band: #1e2226; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: .5rem 0; } h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.lead { font-size: 1.05rem; } .note, figcaption { color: var(--faint); font-size: .875rem; margin: .4rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .55rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--page); }
td small, th small { display: block; color: var(--faint); font-size: .72rem; font-weight: normal; }
thead th, thead th:first-child { background: var(--band); }
tr.paper th, tr.paper td { color: var(--faint); font-weight: normal; font-style: italic; }
figure { margin: 1rem 0; } img { display: block; width: 100%; max-width: 44rem; height: auto; border-radius: 6px;
  background: #fff; }
pre { background: var(--band); padding: .7rem; border-radius: 6px; font-size: .8rem; margin: .3rem 0;
  white-space: pre-wrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .9rem; margin: .5rem 0; }
dt { color: var(--faint); } dd { margin: 0; } summary { cursor: pointer; padding: .3rem 0; }
"""


@dataclass(frozen=True)
class Picture:
    """A drawn figure: file name without ending, PNG, and what it shows."""

    name: str
    png: bytes
    caption: str


def make_report(
    results: Sequence[Path],
    output: Path,
    trajectories: Path | Sequence[Path] = (),
    *,
    progress: Sequence[Path] = (),
    overwrite: bool = False,
) -> Path:
    """
    Write a folder with ``index.html`` (self-contained: images inside, no network), ``table.md``, ``table.txt`` and
    ``figures/*.png``, whole or not at all.

    :param results: CSV files of rows, or folders of them
    :param output: folder to make
    :param trajectories: ``.npz`` files of :mod:`simpl_sb3.trajectories` over one maze, for the paper's Fig. 5
    :param progress: Stable-Baselines3's ``progress.csv`` of meta-trainings, one per run
    :param overwrite: replace a report that stands there; nothing but a report is ever replaced
    :return: the page, ``output/index.html``
    :raises SettingsError: the folder exists
    :raises ResultsError: results are missing or malformed
    """
    output = Path(output)
    if output.exists() and not overwrite:
        raise SettingsError(f"{output} exists; expected a new folder, or overwrite=True to replace the report in it")
    if output.exists() and not ((output / "index.html").is_file() and (output / "table.md").is_file()):
        raise SettingsError(f"{output} holds no report; expected a new folder, or one with a report to replace")
    files = read_all([Path(path) for path in results])
    groups = group_results(files)
    with styled():
        others = [
            *_trajectory_pictures([trajectories] if isinstance(trajectories, Path) else trajectories),
            *_progress_pictures([Path(path) for path in progress]),
        ]
        by_group = [_group_pictures(group) for group in groups]
    page = _page(files, list(zip(groups, by_group, strict=True)), others)
    with _folder_in_place_of(output) as folder:
        (folder / "figures").mkdir()
        for picture in [*(picture for pictures in by_group for picture in pictures), *others]:
            (folder / "figures" / f"{picture.name}.png").write_bytes(picture.png)
        (folder / "table.md").write_text(tables_as_text(groups, "markdown"), encoding="utf-8")
        (folder / "table.txt").write_text(tables_as_text(groups, "text"), encoding="utf-8")
        (folder / "index.html").write_text(page, encoding="utf-8")
    return output / "index.html"


@contextmanager
def _folder_in_place_of(output: Path) -> Iterator[Path]:
    """Gives a hidden folder that takes the place of ``output`` on success, and vanishes on any failure."""
    output.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        (hidden / "new").mkdir()
        yield hidden / "new"
        if output.exists():
            output.rename(hidden / "old")
        (hidden / "new").rename(output)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


# ------------------------------------------------------------ pictures


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _group_pictures(group: Group) -> list[Picture]:
    name = re.sub(r"[^a-z0-9]+", "-", f"{group.env}-{group.task_set}".lower()).strip("-")
    caption = (
        f"{group.measure.capitalize()} over episodes: mean of ten episodes over all agents, band: 95 % interval. "
        "Dots: what the table reads. Dashed: the paper's."
    )
    pictures = [Picture(f"curves-{name}", _png(draw_curves(group)), caption)]
    if (tasks := draw_tasks(group)) is not None:
        caption = "Each target task: bars are means over seeds, dots single seeds (each the mean of ten episodes)."
        pictures.append(Picture(f"tasks-{name}", _png(tasks), caption))
    return pictures


def _trajectory_pictures(paths: Sequence[Path]) -> list[Picture]:
    if not paths:
        return []
    files = [read_trajectories(path) for path in paths]
    trajectories, layout = [one for kept, _ in files for one in kept], files[0][1]
    if any(other != layout for _, other in files):
        raise ResultsError("the trajectories are from different mazes; expected one maze for all")
    tasks = list(dict.fromkeys(one.task for one in trajectories))
    pictures = []
    for task in tasks[:MAX_TRAJECTORY_TASKS]:
        figure = draw_trajectories([one for one in trajectories if one.task == task], layout)
        caption = (
            f"Trajectories towards {task}, as in the paper's Fig. 5. Episode 0: of the first ten episodes; "
            "20: of episodes 21 to 30; 100: of 96 to 105; all that were recorded, of all seeds."
        )
        pictures.append(Picture(f"trajectories-{re.sub(r'[^A-Za-z0-9.]+', '-', task)}", _png(figure), caption))
    return pictures


def _progress_pictures(paths: Sequence[Path]) -> list[Picture]:
    if not paths:
        return []
    runs = {str(path): _read_progress(path) for path in paths}
    caption = "Success on the training tasks during meta-training, as Stable-Baselines3 logged it."
    return [Picture("meta-training", _png(draw_meta_training(runs)), caption)]


def _read_progress(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Columns of a ``progress.csv``, NaN where a cell is empty."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        rows[0]  # an empty log is none
        return {name: np.array([float(row[key] or "nan") for row in rows]) for name, key in PROGRESS_COLUMNS.items()}
    except OSError as error:
        raise ResultsError(f"cannot read {path} ({error.strerror}); expected a progress.csv") from error
    except (KeyError, TypeError, ValueError, csv.Error, IndexError) as error:
        expected = ", ".join(PROGRESS_COLUMNS.values())
        raise ResultsError(f"{path} is no log of a meta-training ({error!r}); expected columns {expected}") from error


# ------------------------------------------------------------ page


def _page(
    files: Sequence[ResultFile], groups: Sequence[tuple[Group, Sequence[Picture]]], others: Sequence[Picture]
) -> str:
    sections = []
    for group, pictures in groups:
        figures = "".join(_figure(picture) for picture in pictures)
        lead = "<br>".join(escape(sentence) for sentence in headlines(group))
        seeds = f"<details><summary>Mean of each seed</summary>{html_seeds(group)}</details>"
        sections.append(
            f"<section><h2>{escape(group.title)}: {escape(group.measure)}</h2>"
            f"<p class=lead>{lead}</p>{html_table(group)}{seeds}{figures}</section>"
        )
    if others:
        sections.append(f"<section><h2>Pictures</h2>{''.join(_figure(picture) for picture in others)}</section>")
    made = "".join(_provenance(file) for file in files)
    sections.append(f"<section><h2>How these numbers were made</h2>{made}</section>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>simpl-sb3: results</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>simpl-sb3: results</h1>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def _figure(picture: Picture) -> str:
    image = base64.b64encode(picture.png).decode()
    caption = escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{image}"><figcaption>{caption}</figcaption></figure>'
    )


def _provenance(file: ResultFile) -> str:
    """Command, machine, times and settings of one CSV."""
    data = file.metadata
    machine, revision = data.get("machine") or {}, data.get("revision") or {}
    commit = revision.get("commit")
    facts = {
        "training tasks": data.get("training_task_set") or "none",
        "target tasks": ", ".join(data.get("evaluation_task_sets") or ()),
        "seeds": ", ".join(map(str, data.get("seeds") or ())),
        "preset": ", ".join(data.get("presets") or ()),
        "variant": data.get("variant"),
        "wall time": ", ".join(f"{stage} {_duration(s)}" for stage, s in (data.get("wall_time_s") or {}).items()),
        "machine": ", ".join(
            text
            for text in (
                machine.get("cpu"),
                f"{machine['cores']} cores" if machine.get("cores") else None,
                f"{machine['memory_gib']} GiB" if machine.get("memory_gib") else None,
                machine.get("platform"),
            )
            if text
        ),
        "revision": commit and f"{commit[:12]}{' with uncommitted changes' if revision.get('dirty') else ''}",
        "versions": ", ".join(f"{name} {number}" for name, number in (data.get("versions") or {}).items()),
        "written": data.get("written_at"),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items() if value)
    settings = "\n".join(_flat(data.get("settings") or {}))
    details = f"<details><summary>All settings</summary><pre>{escape(settings)}</pre></details>" if settings else ""
    command = escape(str(data.get("command", "")))
    return f"<h3>{escape(file.path.name)}</h3><pre>{command}</pre><dl>{listed}</dl>{details}"


def _duration(seconds: float) -> str:
    """``48 s``, ``19.5 min``, ``2.1 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """``name.of.setting = value``, a line each."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {value}"
