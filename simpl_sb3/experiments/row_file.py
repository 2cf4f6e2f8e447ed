"""
What an adaptation has on disk while it runs, and what tells that the same one goes on.

::

    rows.csv, .json, .npz               the rows so far; or an earlier result, until this one is complete
    rows.unfinished.csv, .json, .npz    the rows so far, beside an earlier result
    rows.unfinished/stage.json          from the first write on: the stage, and whether it replaces an earlier result
    rows.unfinished/...                 checkpoints, see ``AdaptationCheckpoints``
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints
from simpl_sb3.errors import ResultsError, SettingsError
from simpl_sb3.experiments.run_folder import RESULT_SUFFIXES, check_writable, new_results, stage_note, write_stage_note
from simpl_sb3.experiments.stage import Stage

__all__ = ["RowFile", "goes_on", "remove_results"]

FLUSH_SECONDS = 60.0
"""Between two writings of the rows so far."""


def _unfinished(output: Path) -> Path:
    """The folder of what an adaptation has besides rows while it runs."""
    return output.with_name(f"{output.stem}.unfinished")


def goes_on(stage: Stage) -> bool:
    """Whether an unfinished run of a stage is there, from which it goes on unless it is to overwrite."""
    return stage_note(_unfinished(Path(stage.output))).get("key") == stage.key


def remove_results(rows: Path, suffixes: Sequence[str] = RESULT_SUFFIXES) -> None:
    """Remove a CSV of rows, and what lies beside it under the same name."""
    for suffix in suffixes:
        rows.with_suffix(suffix).unlink(missing_ok=True)


class RowFile:
    """
    The rows of one adaptation. Nothing is written before :meth:`start`.

    :param output: the CSV
    :param stage: what is to be done: an unfinished run of the very same stage goes on (``resumes``)
    :param overwrite: whether rows may be there
    :param checkpoint_seconds: between two checkpoints
    :raises SettingsError: for a name or place that cannot be written, or rows that are there
    """

    def __init__(self, output: Path, stage: Stage, overwrite: bool, checkpoint_seconds: float) -> None:
        self.output, self.stage = output, stage
        self.folder = _unfinished(output)
        note = stage_note(self.folder)
        same = note.get("key") == stage.key
        self.resumes = same and (bool(note.get("replaces")) or not overwrite)
        new_results(output, overwrite or self.resumes)
        check_writable(self.folder, is_folder=True)
        self.replaces = bool(note.get("replaces")) if self.resumes else output.exists()
        self.work = output.with_name(f"{output.stem}.unfinished.csv") if self.replaces else output
        self.checkpoints = AdaptationCheckpoints(self.folder, checkpoint_seconds, verbose=1)
        self.flushed = time.perf_counter()

    def start(self, write: Callable[[Path, bool], None]) -> None:
        """
        Note that the stage has begun, and remove what another unfinished run left.

        :param write: (path, interrupted) -> None, which writes CSV, JSON and traces of that name
        """
        self.write = write
        if not self.resumes:
            (self.folder / "stage.json").unlink(missing_ok=True)
            self.checkpoints.remove()
            write_stage_note(self.folder, self.stage, replaces=self.replaces)

    def flush(self) -> None:
        """Write the rows so far, once a minute."""
        if time.perf_counter() - self.flushed > FLUSH_SECONDS:
            self.write(self.work, True)
            self.flushed = time.perf_counter()

    def keep(self, interrupted: bool) -> Path:
        """
        Write all rows; where that fails, into a folder for temporary files. Checkpoints stay with interrupted ones.

        :return: where they are
        :raises ResultsError: where they could not be written in their place, naming the other
        """
        target = self.work if interrupted else self.output
        try:
            self.write(target, interrupted)
        except (OSError, SettingsError) as error:
            refuge = Path(tempfile.mkdtemp(prefix="simpl-sb3-")) / self.output.name
            self.write(refuge, interrupted)
            raise ResultsError(f"{target} could not be written ({error}): the rows are in {refuge}.") from error
        if not interrupted:
            (self.folder / "stage.json").unlink(missing_ok=True)  # first: without it, nobody goes on from the rest
            self.checkpoints.remove()
            if self.replaces:
                remove_results(self.work)
        return target
