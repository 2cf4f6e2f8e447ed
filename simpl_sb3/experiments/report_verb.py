"""The verb ``report``: from rows to figures, tables and a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from simpl_sb3.experiments.flags import Chosen, WithDomain, WithOverwrite, say

__all__ = ["Report"]


@dataclass(frozen=True, kw_only=True)
class Report(WithDomain, WithOverwrite):
    """
    Figures, tables and one HTML page from result rows. A domain is needed only for published numbers and walls of a
    domain of your own.

    :param results: CSV files that adapt wrote, or folders of them
    :param output: folder to make
    :param progress: progress.csv files of meta-trainings, for their curves; by default those in the folders of results
    """

    positional: ClassVar[frozenset[str]] = frozenset({"results"})
    results: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RESULTS")]
    output: Path = Path("report")
    progress: tuple[Path, ...] | None = None

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        from simpl_sb3.experiments.reporting import known_facts
        from simpl_sb3.report import make_report

        files = [
            path for place in self.results for path in (sorted(place.rglob("*.csv")) if place.is_dir() else [place])
        ]
        kept, films = (
            [path for file in files if (path := file.with_suffix(ending)).exists()] for ending in (".npz", ".mp4")
        )
        page = make_report(
            self.results,
            self.output,
            kept,
            progress=self.progress,
            films=films,
            facts=known_facts([chosen.experiment.domain]),
            overwrite=self.overwrite,
        )
        say((self.output / "table.txt").read_text(encoding="utf-8"))
        say(f"Report: {page}")
