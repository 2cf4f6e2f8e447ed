"""The log of a run that goes on: SB3 begins ``progress.csv`` anew in each process; what was before is put back."""

import csv
import io
import sys
from pathlib import Path

from simpl_sb3.files import write_atomically

__all__ = ["KeptLog", "say"]


def say(text: str) -> None:
    """A line on standard error, beside the bars."""
    sys.stderr.write(f"{text}\n")


class KeptLog:
    """
    The rows that a ``progress.csv`` holds up to a checkpoint, to be made before a logger opens the file.

    :param path: of the CSV
    :param column: which counts what was done, such as ``time/total_timesteps``
    :param done: at the checkpoint; later rows are logged again
    """

    def __init__(self, path: Path, column: str, done: float) -> None:
        self.path = path
        self._rows = [row for row in _rows(path) if _number(row.get(column)) <= done]

    def put_before(self) -> None:
        """Put the rows before those that the logger has written since; called once it is closed."""
        if not self._rows:
            return
        rows = self._rows + _rows(self.path)
        names = list(dict.fromkeys(name for row in rows for name in row))
        content = io.StringIO(newline="")
        writer = csv.DictWriter(content, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path, content.getvalue().encode())
        self._rows = []


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value or "" for name, value in row.items() if name} for row in csv.DictReader(file)]


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
