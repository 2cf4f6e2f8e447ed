"""The log of a run that goes on: SB3 begins ``progress.csv`` anew in each process; what was before is put back."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from simpl_sb3.files import write_atomically
from simpl_sb3.results.reading import cell_number

__all__ = ["KeptLog"]


class KeptLog:
    """
    The rows that a ``progress.csv`` holds up to a checkpoint, to be made before a logger opens the file. Until they are
    back in their place they lie beside it, so that a kill does not lose them.

    :param path: of the CSV
    :param column: which counts what was done, such as ``time/total_timesteps``
    :param done: at the checkpoint; later rows are logged again
    """

    def __init__(self, path: Path, column: str, done: float) -> None:
        self.path, self.beside = path, path.with_name(f".{path.name}.before")
        self._rows = [row for row in (*_rows(self.beside), *_rows(path)) if cell_number(row.get(column)) <= done]
        if self._rows:
            _write(self.beside, self._rows)
        else:
            self.beside.unlink(missing_ok=True)

    def put_before(self) -> None:
        """Put the rows before those that the logger has written since; called once it is closed."""
        if self._rows:
            _write(self.path, [*self._rows, *_rows(self.path)])
            self.beside.unlink()
            self._rows = []


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    content = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(content, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, content.getvalue().encode())


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value or "" for name, value in row.items() if name} for row in csv.DictReader(file)]
