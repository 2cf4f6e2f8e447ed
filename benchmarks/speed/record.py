"""
The file of a run: every figure as it was measured, the machine, versions and revision. A run that was stopped goes on
where it was; figures of other code, another machine or other packages are not mixed with its own.
"""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simpl_sb3.files import write_atomically
from simpl_sb3.results.provenance import git_revision, machine, package_versions

__all__ = ["ROOT", "RunFile", "file_name", "source_hash"]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("simpl_sb3", "envs/simpl_envs", "benchmarks/speed")
SCHEMA_VERSION = 1


def source_hash(root: Path = ROOT) -> str:
    """SHA-256 of all code that a figure depends on."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def file_name(described: dict[str, Any], form: str) -> str:
    """Such as ``amd-epyc-2-cores-short.json``."""
    cpu = re.sub(r"[^a-z0-9]+", "-", str(described["cpu"]).lower()).strip("-")
    return f"{cpu}-{described['cores']}-cores-{form}.json"


def identity(form: str, threads: dict[str, int]) -> dict[str, Any]:
    """What figures of one run have in common."""
    return {
        "schema_version": SCHEMA_VERSION,
        "form": form,
        "machine": machine(),
        "versions": package_versions(),
        "source": source_hash(),
        "threads": threads,
    }


class RunFile:
    """
    Figures by name. They are kept in ``NAME.part.json``, which takes the place of ``NAME.json`` once it has all.

    :param path: of the finished file
    :param about: what the figures of the run have in common; a part that says something else is begun anew
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.part = path, path.with_suffix(".part.json")
        self.figures: dict[str, Any] = {}
        self.about = about
        self.began = _now()
        self.went_on = False
        if (found := self._read()) is not None:
            self.figures, self.began, self.went_on = found["figures"], found["began"], True

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self.part.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        same = isinstance(found, dict) and all(found.get(name) == value for name, value in self.about.items())
        return found if same and isinstance(found.get("figures"), dict) and "began" in found else None

    def keep(self, name: str, figure: dict[str, Any]) -> None:
        """Add a figure, and write what there is."""
        self.figures[name] = figure
        self._write(self.part)

    def complete(self, names: set[str]) -> bool:
        """Put the file in place where it holds all these figures; those of other names are dropped."""
        if not names or not names <= self.figures.keys():
            return False
        self.figures = {name: figure for name, figure in self.figures.items() if name in names}
        self._write(self.path)
        self.part.unlink(missing_ok=True)
        return True

    def _write(self, path: Path) -> None:
        whole = {
            **self.about,
            "git": dict(git_revision()),
            "began": self.began,
            "written": _now(),
            "figures": dict(sorted(self.figures.items())),
        }
        write_atomically(path, (json.dumps(whole, indent=1, allow_nan=False) + "\n").encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
