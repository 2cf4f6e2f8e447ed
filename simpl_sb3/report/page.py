"""One folder with everything: figures, tables, and a page that needs no other file."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from simpl_sb3.errors import SettingsError
from simpl_sb3.report.curves import read_training
from simpl_sb3.report.figures import styled
from simpl_sb3.report.film import Film, read_film
from simpl_sb3.report.groups import group_results, read_all
from simpl_sb3.report.html import html_page, listed_files
from simpl_sb3.report.pictures import (
    Picture,
    check_traces,
    find_logs,
    group_pictures,
    order_pictures,
    progress_pictures,
    shown_logs,
    trajectory_pictures,
)
from simpl_sb3.report.statistics import statistics_as_csv, statistics_as_markdown
from simpl_sb3.report.tables import tables_as_text
from simpl_sb3.results.facts import Facts
from simpl_sb3.results.traces import holds_completions, read_completions

__all__ = ["make_report"]


def make_report(
    results: Sequence[Path],
    output: Path,
    kept: Path | Sequence[Path] = (),
    *,
    progress: Sequence[Path] | None = None,
    logs: Sequence[Path] = (),
    films: Sequence[Path] = (),
    facts: Mapping[str, Facts] | None = None,
    overwrite: bool = False,
) -> Path:
    """
    Write a folder with ``index.html`` (self-contained: images and charts inside, no network), ``table.md``,
    ``table.txt``, ``statistics.md``, ``values.csv`` and ``figures``. What has nothing to show is left out.

    :param results: CSV files of rows, or folders of them
    :param output: folder to make
    :param kept: ``.npz`` files of :mod:`simpl_sb3.results.traces`, each under the name of its CSV
    :param progress: Stable-Baselines3's ``progress.csv`` of meta-trainings, one per run; the curves show what the
        results measure, or successes where they measure different things; None takes those in the folders of
        ``results``
    :param logs: further ``progress.csv``, of any learner: shown as far as they say something
    :param films: ``.mp4`` files of :mod:`simpl_sb3.report.film`
    :param facts: by environment id, what the files do not say themselves, and what was published;
        :func:`simpl_sb3.experiments.reporting.known_facts` gives those of all domains
    :param overwrite: replace a report that stands there; other files in its folder stay
    :return: the page, ``output/index.html``
    :raises SettingsError: the folder exists
    :raises ResultsError: results are missing or malformed
    """
    output = Path(output)
    if output.exists() and not overwrite:
        raise SettingsError(
            f"{output} exists; expected a new folder, or overwrite=True (--overwrite) for the report in it"
        )
    if output.exists() and not ((output / "index.html").is_file() and (output / "table.md").is_file()):
        raise SettingsError(f"{output} holds no report; expected a new folder, or one with a report to replace")
    known = facts or {}
    files = read_all([Path(path) for path in results])
    groups = group_results(files, known)
    given = [kept] if isinstance(kept, Path) else [Path(path) for path in kept]
    completions = {path.resolve(): read_completions(path) for path in given if holds_completions(path)}
    for path, (found, _) in completions.items():
        check_traces(path, found, files)
    shown = [read_film(path) for path in films]
    measures = [group.measure for group in groups]
    runs = find_logs([Path(path) for path in results], measures) if progress is None else list(map(Path, progress))
    runs += shown_logs([Path(path) for path in logs], measures)
    with styled():
        paths = [path for path in given if path.resolve() not in completions]
        others = [
            *trajectory_pictures(paths, files, known),
            *progress_pictures(runs, measures),
        ]
        by_group = [[*group_pictures(group), *order_pictures(group, completions)] for group in groups]
    pictures = [*(picture for own in by_group for picture in own), *others]
    content = {
        "table.md": tables_as_text(groups, "markdown").encode(),
        "table.txt": tables_as_text(groups, "text").encode(),
        "statistics.md": statistics_as_markdown(groups).encode(),
        "values.csv": statistics_as_csv(groups).encode(),
    }
    content |= _figures(pictures, shown)
    names = ["index.html", *content]
    read = [
        read_training(log, measures[0].column if len(set(measures)) == 1 else "success")
        for log in dict.fromkeys((*runs, *logs))
    ]
    trainings = [training for training in read if training is not None]
    parts = list(zip(groups, by_group, strict=True))
    page = html_page(files, parts, others, shown, names, trainings=trainings, facts=known)
    _write({**content, "index.html": page.encode()}, output)
    return output / "index.html"


def _figures(pictures: Sequence[Picture], films: Sequence[Film]) -> dict[str, bytes]:
    """Files of the folder ``figures``, by name."""
    content: dict[str, bytes] = {}
    for picture in pictures:
        name = f"figures/{picture.name}"
        while f"{name}.png" in content:  # of other names that differ in their signs only
            name += "-2"
        content[f"{name}.png"] = picture.png
    for number, film in enumerate(films, start=1):
        name = f"film-{number}" if len(films) > 1 else "film"
        content |= {f"figures/{name}.mp4": film.mp4, f"figures/{name}.png": film.strip}
    return content


def _write(content: Mapping[str, bytes], output: Path) -> None:
    """
    A new folder appears whole. In an old one, files take the places of the earlier report's, the page last; what the
    earlier report listed as its own and this one lacks is removed, and nothing else.
    """
    with _hidden_folder(output) as folder:
        (folder / "figures").mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
        if not output.exists():
            folder.rename(output)
            return
        stale = set(listed_files(output / "index.html")) - content.keys()
        (output / "figures").mkdir(exist_ok=True)
        for name in content:
            (folder / name).replace(output / name)
        for name in stale:
            (output / name).unlink(missing_ok=True)


@contextmanager
def _hidden_folder(output: Path) -> Iterator[Path]:
    """A hidden folder beside ``output`` to write in; what is left of it vanishes at the end."""
    output.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        (hidden / "new").mkdir()
        yield hidden / "new"
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
