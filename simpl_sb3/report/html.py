"""The page of a report: HTML that needs no other file."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from simpl_sb3.report.costs import duration
from simpl_sb3.report.curves import Training, conditioning_chart, curve_chart, training_charts
from simpl_sb3.report.film import Film
from simpl_sb3.report.groups import Group
from simpl_sb3.report.pictures import Picture
from simpl_sb3.report.statistics import html_statistics, profile_chart
from simpl_sb3.report.tables import headlines, html_seeds, html_table
from simpl_sb3.results.facts import Facts
from simpl_sb3.results.rows import ResultFile

__all__ = ["html_page", "listed_files"]

FILES = "simpl-sb3-files"
"""Name of the page's meta element that lists the report's files."""
MAX_VIDEO_BYTES = 3_000_000
"""A larger video stays out of the page, which shows its stills."""
STYLE, SCRIPT = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))


def html_page(
    files: Sequence[ResultFile],
    groups: Sequence[tuple[Group, Sequence[Picture]]],
    others: Sequence[Picture],
    films: Sequence[Film],
    names: Sequence[str] = (),
    *,
    trainings: Sequence[Training] = (),
    facts: Mapping[str, Facts] | None = None,
) -> str:
    """
    The page, with everything inside it.

    :param files: for how numbers were made
    :param groups: each with its pictures
    :param others: further pictures
    :param films: shown first
    :param names: of all files of the report, which a later report may replace
    :param trainings: logs of meta-trainings
    :param facts: by environment id, with what was published
    """
    known = facts or {}
    sections = [f"<section><h2>An adapted agent</h2>{_moving(film)}</section>" for film in films]
    links = []
    for place, (group, pictures) in enumerate(groups, start=1):
        links.append(f'<a href="#part-{place}">{escape(group.title)}</a>')
        figures = "".join(_figure(picture) for picture in pictures if not picture.name.startswith("curves-"))
        charts = curve_chart(group) + conditioning_chart(group, known)
        lead = "<br>".join(escape(sentence) for sentence in headlines(group))
        seeds = f"<details><summary>Mean of each seed</summary>{html_seeds(group)}</details>"
        sections.append(
            f"<section id=part-{place}><h2>{escape(group.title)}: {escape(group.measure.label)}</h2>"
            f"<p class=lead>{lead}</p>{charts}{html_table(group)}{seeds}{html_statistics(group)}{profile_chart(group)}"
            f"{figures}</section>"
        )
    if charts_of_training := training_charts(trainings, [group for group, _ in groups], known):
        sections.append(f"<section><h2>Meta-training</h2>{''.join(charts_of_training)}</section>")
    if others:
        sections.append(f"<section><h2>Pictures</h2>{''.join(_figure(picture) for picture in others)}</section>")
    made = _versions(files) + "".join(_provenance(file) for file in files)
    sections.append(f"<section><h2>How these numbers were made</h2>{made}</section>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="{FILES}" content="{escape(" ".join(names))}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>simpl-sb3: results</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>simpl-sb3: results</h1>\n"
        + (f"<nav>{''.join(links)}</nav>\n" if len(links) > 1 else "")
        + "\n".join(sections)
        + f"\n<script>{SCRIPT}</script></body></html>\n"
    )


def listed_files(page: Path) -> list[str]:
    """The files that a report's page lists as its own, relative to its folder; none for another page."""
    try:
        text = page.read_text(encoding="utf-8")[:100_000]
    except (OSError, ValueError):
        return []
    found = re.search(rf'<meta name="{FILES}" content="([^"]*)">', text)
    names = found[1].split() if found else []
    return [name for name in names if re.fullmatch(r"(figures/)?[\w.\-]+", name) and ".." not in name]


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
        "wall time": ", ".join(f"{stage} {duration(s)}" for stage, s in (data.get("wall_time_s") or {}).items()),
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
    return (
        f"<details class=file><summary>{escape(file.path.name)}</summary><pre>{command}</pre><dl>{listed}</dl>{details}"
        "</details>"
    )


def _versions(files: Sequence[ResultFile]) -> str:
    """A sentence where rows were made by different versions of the library."""
    found: dict[str, list[str]] = {}
    for file in files:
        data = file.metadata
        commit, number = (data.get("revision") or {}).get("commit"), (data.get("versions") or {}).get("simpl-sb3")
        if name := " ".join(str(part)[:12] for part in (number, commit) if part):
            found.setdefault(name, []).append(file.path.name)
    if len(found) < 2:
        return ""
    listed = "; ".join(
        f"{version}: {', '.join(names[:4])}{', ...' * (len(names) > 4)}" for version, names in found.items()
    )
    return f"<p class=note>These rows were made by {len(found)} revisions of simpl-sb3. {escape(listed)}.</p>"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """``name.of.setting = value``, a line each."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {value}"
