"""The page of a report: HTML that needs no other file."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from simpl_sb3.report.film import Film
from simpl_sb3.report.groups import Group
from simpl_sb3.report.pictures import Picture
from simpl_sb3.report.tables import headlines, html_seeds, html_table
from simpl_sb3.results.rows import ResultFile

__all__ = ["html_page", "listed_files"]

FILES = "simpl-sb3-files"
"""Name of the page's meta element that lists the report's files."""
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


def html_page(
    files: Sequence[ResultFile],
    groups: Sequence[tuple[Group, Sequence[Picture]]],
    others: Sequence[Picture],
    films: Sequence[Film],
    names: Sequence[str] = (),
) -> str:
    """
    The page, with everything inside it.

    :param files: for how numbers were made
    :param groups: each with its pictures
    :param others: further pictures
    :param films: shown first
    :param names: of all files of the report, which a later report may replace
    """
    sections = [f"<section><h2>An adapted agent</h2>{_moving(film)}</section>" for film in films]
    for group, pictures in groups:
        figures = "".join(_figure(picture) for picture in pictures)
        lead = "<br>".join(escape(sentence) for sentence in headlines(group))
        seeds = f"<details><summary>Mean of each seed</summary>{html_seeds(group)}</details>"
        sections.append(
            f"<section><h2>{escape(group.title)}: {escape(group.measure.label)}</h2>"
            f"<p class=lead>{lead}</p>{html_table(group)}{seeds}{figures}</section>"
        )
    if others:
        sections.append(f"<section><h2>Pictures</h2>{''.join(_figure(picture) for picture in others)}</section>")
    made = "".join(_provenance(file) for file in files)
    sections.append(f"<section><h2>How these numbers were made</h2>{made}</section>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="{FILES}" content="{escape(" ".join(names))}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>simpl-sb3: results</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>simpl-sb3: results</h1>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
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
