"""One folder with everything: figures, tables, and a page that needs no other file."""

import base64
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from simpl_sb3.errors import SettingsError
from simpl_sb3.files import replace_folder
from simpl_sb3.report.figures import draw_curves, draw_meta_training, draw_tasks, draw_trajectories, styled
from simpl_sb3.report.film import Film, read_film
from simpl_sb3.report.groups import Group, group_results, read_all
from simpl_sb3.report.orders import draw_orders
from simpl_sb3.report.paper import KITCHEN
from simpl_sb3.report.tables import headlines, html_seeds, html_table, tables_as_text
from simpl_sb3.results.rows import ResultFile, ResultsError
from simpl_sb3.results.traces import Completions, holds_completions, read_completions, read_trajectories

__all__ = ["make_report"]

MAX_TRAJECTORY_TASKS = 6
MAX_VIDEO_BYTES = 3_000_000
"""A larger video stays out of the page, which shows its stills."""
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
figure { margin: 1rem 0; } img, video { display: block; width: 100%; max-width: 44rem; height: auto; border-radius: 6px;
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
    kept: Path | Sequence[Path] = (),
    *,
    progress: Sequence[Path] = (),
    films: Sequence[Path] = (),
    overwrite: bool = False,
) -> Path:
    """
    Write a folder with ``index.html`` (self-contained: images inside, no network), ``table.md``, ``table.txt`` and
    ``figures``, whole or not at all.

    :param results: CSV files of rows, or folders of them
    :param output: folder to make
    :param kept: ``.npz`` files of :mod:`simpl_sb3.results.traces`: paths over one maze, for the paper's Fig. 5;
        subtasks completed, each under the name of its CSV
    :param progress: Stable-Baselines3's ``progress.csv`` of meta-trainings, one per run; the curves count subtasks
        where all results are of the kitchen, else successes
    :param films: ``.mp4`` files of :mod:`simpl_sb3.report.film`
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
    given = [kept] if isinstance(kept, Path) else list(kept)
    completions = {path.resolve(): read_completions(path) for path in given if holds_completions(path)}
    shown = [read_film(path) for path in films]
    with styled():
        others = [
            *_trajectory_pictures([path for path in given if path.resolve() not in completions]),
            *_progress_pictures([Path(path) for path in progress], all(group.env == KITCHEN for group in groups)),
        ]
        by_group = [[*_group_pictures(group), *_order_pictures(group, completions)] for group in groups]
    page = _page(files, list(zip(groups, by_group, strict=True)), others, shown)
    with replace_folder(output, overwrite=True) as folder:
        (folder / "figures").mkdir()
        for picture in [*(picture for pictures in by_group for picture in pictures), *others]:
            (folder / "figures" / f"{picture.name}.png").write_bytes(picture.png)
        for number, film in enumerate(shown, start=1):
            name = f"film-{number}" if len(shown) > 1 else "film"
            (folder / "figures" / f"{name}.mp4").write_bytes(film.mp4)
            (folder / "figures" / f"{name}.png").write_bytes(film.strip)
        (folder / "table.md").write_text(tables_as_text(groups, "markdown"), encoding="utf-8")
        (folder / "table.txt").write_text(tables_as_text(groups, "text"), encoding="utf-8")
        (folder / "index.html").write_text(page, encoding="utf-8")
    return output / "index.html"


# ------------------------------------------------------------ pictures


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _file_name(*parts: str) -> str:
    """``curves-simplmaze-v0-target``: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def _group_pictures(group: Group) -> list[Picture]:
    name = _file_name(group.env, group.task_set)
    caption = (
        f"{group.measure.capitalize()} over episodes: mean of ten episodes over all agents, band: 95 % interval. "
        "Dots: what the table reads. Dashed: the paper's."
    )
    pictures = [Picture(f"curves-{name}", _png(draw_curves(group)), caption)]
    if (tasks := draw_tasks(group)) is not None:
        caption = "Each target task: bars are means over seeds, dots single seeds (each the mean of ten episodes)."
        pictures.append(Picture(f"tasks-{name}", _png(tasks), caption))
    return pictures


def _order_pictures(
    group: Group, completions: Mapping[Path, tuple[list[Completions], tuple[str, ...]]]
) -> list[Picture]:
    """The order achieved against the order asked, a figure per line that has such files."""
    pictures = []
    for line in group.lines:
        found = [
            completions[path] for file in line.files if (path := file.with_suffix(".npz").resolve()) in completions
        ]
        tasks = set(line.episodes.tasks)
        own = [one for kept, _ in found for one in kept if one.method == line.method and one.task in tasks]
        if not own:
            continue
        if len({names for _, names in found}) > 1:
            raise ResultsError(f"the completions of {line.label} name different subtasks; expected one list for all")
        figure = draw_orders(own, found[0][1], f"{line.label}: the order achieved against the order asked")
        caption = (
            f"{line.label}: per task, the subtasks in the order asked (numbered), then the others. A full bar is every "
            "episode of the column. A subtask pays once it is complete and all before it were paid; one completed too "
            "early is paid when its turn comes, if it is still complete. Above: mean number paid. Below: the order in "
            "which subtasks were completed most often, asked for or not."
        )
        pictures.append(Picture(_file_name("order", group.env, group.task_set, line.label), _png(figure), caption))
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


def _progress_pictures(paths: Sequence[Path], kitchen: bool) -> list[Picture]:
    if not paths:
        return []
    runs = {str(path): _read_progress(path, "return" if kitchen else "success") for path in paths}
    measure, top = ("Subtasks completed (of 4)", 4.0) if kitchen else ("Success rate", 1.0)
    caption = f"{measure} on the training tasks during meta-training, as Stable-Baselines3 logged it."
    return [Picture("meta-training", _png(draw_meta_training(runs, measure.lower(), top)), caption)]


def _read_progress(path: Path, column: str) -> dict[str, npt.NDArray[np.float64]]:
    """Env steps, and a rate while exploring and after it, of a ``progress.csv``; NaN where a cell is empty."""
    columns = {"env_steps": "time/env_steps"}
    columns |= {kind: f"rollout/{column}_{kind}" for kind in ("exploration", "posterior")}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        rows[0]  # an empty log is none
        return {name: np.array([float(row[key] or "nan") for row in rows]) for name, key in columns.items()}
    except OSError as error:
        raise ResultsError(f"cannot read {path} ({error.strerror}); expected a progress.csv") from error
    except (KeyError, TypeError, ValueError, csv.Error, IndexError) as error:
        expected = ", ".join(columns.values())
        raise ResultsError(f"{path} is no log of a meta-training ({error!r}); expected columns {expected}") from error


# ------------------------------------------------------------ page


def _page(
    files: Sequence[ResultFile],
    groups: Sequence[tuple[Group, Sequence[Picture]]],
    others: Sequence[Picture],
    films: Sequence[Film],
) -> str:
    sections = [f"<section><h2>An adapted agent</h2>{_moving(film)}</section>" for film in films]
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


def _moving(film: Film) -> str:
    """The video, where it is small enough, and its stills."""
    caption, stills = escape(film.caption), base64.b64encode(film.strip).decode()
    video = ""
    if len(film.mp4) <= MAX_VIDEO_BYTES:
        source = f"data:video/mp4;base64,{base64.b64encode(film.mp4).decode()}"
        video = f'<video controls loop muted playsinline src="{source}"></video>'
    image = f'<img alt="{caption}" src="data:image/png;base64,{stills}">'
    return f"<figure>{video}{image}<figcaption>{caption}</figcaption></figure>"


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
