"""
What the stages share on disk: where they may write, what tells finished from half done, what a run leaves behind.

::

    stage.json     from the first write on: the stage, and that it has begun
    run.json       at the end: the stage, its metrics, command, revision, machine, versions; "state" is "finished", or
                   "interrupted" where someone stopped it
    unfinished/    where an --overwrite works until it has ended; only then its files replace the earlier ones

One process writes to a place at a time (:func:`held`).
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.stage import Stage
from simpl_sb3.files import MOST_TEXT, read_regular, remove_files, write_atomically
from simpl_sb3.results.provenance import command_line, git_revision, machine, package_versions, plain

__all__ = [
    "RunFolder",
    "RunState",
    "check_writable",
    "held",
    "lineage_of",
    "new_results",
    "run_record",
    "stage_note",
    "state_of",
    "write_stage_note",
]

RunState = Literal["absent", "unfinished", "interrupted", "finished"]
"""How far the run of a folder is."""
RESULT_SUFFIXES = (".csv", ".json", ".npz", ".mp4", ".png")
UNFINISHED = "unfinished"
MOST_RUNS = 100
"""That an artefact comes from."""
CHECKPOINTS = ("checkpoints/state_????????.zip", "checkpoints/rows_????????.npz", "checkpoint_????????.pt")
"""From which an unfinished run goes on; removed once it is finished."""
OWN = ("run.json", "stage.json", "checkpoints/model_*_steps.zip", *CHECKPOINTS)
"""What every run may leave, besides its artefact: nothing else is ever removed."""


def state_of(folder: Path) -> RunState:
    """
    Whether the run of a folder is done.

    :param folder: an output of ``extract`` or ``meta-train``
    """
    try:
        run = json.loads(read_regular(folder / "run.json", MOST_TEXT))
        return "interrupted" if run.get("state", "finished") != "finished" else "finished"
    except (OSError, ValueError, AttributeError, RecursionError):
        return "unfinished" if (folder / "stage.json").exists() else "absent"


def _unfinished_key(folder: Path) -> str | None:
    """The key of the stage that a folder holds half done; None where there is none."""
    if state_of(folder) not in ("unfinished", "interrupted"):
        return None
    for name in ("stage.json", "run.json"):
        key = stage_note(folder, name).get("key")
        if isinstance(key, str):
            return key
    return None


def stage_note(folder: Path, name: str = "stage.json") -> dict[str, Any]:
    """What :func:`write_stage_note` wrote into a folder; empty where nothing can be read."""
    try:
        note = json.loads(read_regular(folder / name, MOST_TEXT))
    except (OSError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def write_stage_note(folder: Path, stage: Stage, **more: Any) -> None:
    """Note in a folder, which is made where it is missing, that a stage has begun."""
    note = {"schema_version": 1, "state": "unfinished", "process": os.getpid(), "key": stage.key, **more}
    note["stage"] = stage.as_dict()
    write_atomically(folder / "stage.json", json.dumps(plain(note), indent=1).encode())


def lineage_of(artefact: str | Path | None) -> list[dict[str, Any]]:
    """
    What an artefact comes from, the oldest first: of each run its stage, key, seed, seconds and env steps, from the
    ``run.json`` beside it; nothing where there is none. Of runs that name each other in a circle only some are told.

    :param artefact: such as a file of skills or a meta-trained model
    """
    lineage: list[dict[str, Any]] = []
    for _ in range(MOST_RUNS):
        if artefact is None:
            break
        try:
            run = json.loads(read_regular(Path(artefact).parent / "run.json", MOST_TEXT))
            own = {"stage": run["stage"], "key": run["key"], "seed": run["settings"].get("seed")}
            own |= {"wall_time_s": run.get("wall_time_s"), "env_steps": run["metrics"].get("env_steps")}
            before, artefact = list(run.get("lineage") or ()), run.get("inputs", {}).get("source")
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
            break
        lineage = [*before, own, *lineage]
        if before:
            break
    return lineage


@contextmanager
def _folder_for_a_while(folder: Path) -> Iterator[None]:
    """Make a folder and the missing ones above it; remove those again."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for made in missing:
            made.rmdir()


def check_writable(path: Path, *, is_folder: bool) -> None:
    """
    Write there and remove it again, before hours of work.

    :param path: a file or folder; it need not exist
    :param is_folder: which of both
    :raises SettingsError: where that fails
    """
    probe = path / f".simpl-writing-{os.getpid()}" if is_folder else path.with_name(f".{path.name}-{os.getpid()}")
    try:
        if not is_folder and path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        with _folder_for_a_while(probe.parent):
            probe.write_bytes(b"-" * 4096)
            probe.unlink()
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror or error}): give another --output.") from error


@contextmanager
def held(output: Path) -> Iterator[None]:
    """
    Within it, no other process of this user on this machine that asks for the same place gets it; the kernel gives it
    back when the process ends, however it ends. The lock is a file in the folder for temporary files, so that nothing
    is left where the results are; where none can be made, nobody is kept out.

    :param output: file or folder that is written to; it need not exist
    :raises SettingsError: where another one has it
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    name = hashlib.sha256(os.fsencode(output.resolve())).hexdigest()[:24]
    lock = FileLock(Path(tempfile.gettempdir()) / f"simpl-sb3-{user}-{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"Another run writes to {output} at this moment: wait until it has ended, or give another --output."
        ) from None
    except OSError:
        pass
    try:
        yield
    finally:
        lock.release()


def new_results(path: Path, overwrite: bool) -> Path:
    """
    A CSV that may be written, with files of the same name beside it; asked before the work, not after it.

    :raises SettingsError: for another ending, a place that cannot be written, or a file that exists, unless it may be
        overwritten
    """
    if path.suffix != ".csv" or path.name == "progress.csv":
        raise SettingsError(f"Results go to {path}: expected a name that ends in .csv, other than progress.csv.")
    for file in (path.with_suffix(suffix) for suffix in RESULT_SUFFIXES):
        if file.exists() and not overwrite:
            raise SettingsError(f"{file} exists: give another --output, or --overwrite.")
    check_writable(path, is_folder=False)
    return path


class RunFolder:
    """
    A folder that a stage writes to. It is not made before :meth:`start`, when all that can be wrong has been read.

    :param path: the folder
    :param artefact: the file that the stage is for, such as "model.zip"
    :param overwrite: whether it may hold something
    :param stage: what is to be done: an unfinished run of the very same stage goes on (``resumes``)
    :raises SettingsError: for a file, a folder that holds something, or one that cannot be written
    """

    def __init__(self, path: Path, artefact: str, overwrite: bool, stage: Stage) -> None:
        if path.exists() and not path.is_dir():
            raise SettingsError(f"{path} is a file: expected a folder as --output.")
        state, same = state_of(path), _unfinished_key(path) == stage.key
        if path.exists() and any(path.iterdir()) and not overwrite and not same:
            halfway = state in ("unfinished", "interrupted")
            what = f"holds an {state} run with other settings" if halfway else "exists and is not empty"
            raise SettingsError(f"{path} {what}: give another --output, or --overwrite.")
        check_writable(path, is_folder=True)
        self.path, self.artefact, self._stage = path, artefact, stage
        replaces = (path / artefact).exists() and not (same and not overwrite)
        self.work = path / UNFINISHED if replaces else path
        self.resumes = _unfinished_key(self.work) == stage.key and (replaces or not overwrite)
        self.started = time.perf_counter()

    def start(self) -> Path:
        """
        Make the folder, remove what another unfinished run left in it, and note that the stage has begun.

        :return: where to work: the folder itself, or one inside it until the earlier result is replaced
        """
        self.work.mkdir(parents=True, exist_ok=True)
        _remove(self.work, ("run.json", "stage.json") if self.resumes else (*OWN, self.artefact))
        write_stage_note(self.work, self._stage)
        return self.work

    def finish(self, used: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """
        Write ``run.json``, and let the new files take the place of earlier ones.

        :param used: all settings that were used
        :param metrics: what came of it
        :return: the artefact
        """
        self._write_run("finished", used, metrics)
        (self.work / "stage.json").unlink()
        _remove(self.work, CHECKPOINTS)
        if self.work != self.path:
            _remove(self.path, OWN)  # without run.json the folder counts as unfinished until all have moved
            moving = sorted(self.work.iterdir(), key=lambda file: file.name == "run.json")
            for file in moving:
                _move(file, self.path / file.name)
            self.work.rmdir()
        return self.path / self.artefact

    def interrupt(self, used: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """
        The same for a run that someone stopped: what it leaves stays apart from an earlier result.

        :return: the artefact, if there is one
        """
        self._write_run("interrupted", used, metrics)
        (self.work / "stage.json").unlink(missing_ok=True)
        return self.work / self.artefact

    def _write_run(self, state: RunState, used: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        record = run_record(self._stage, state, used, metrics, time.perf_counter() - self.started)
        write_atomically(self.work / "run.json", json.dumps(record, indent=1).encode())


def run_record(
    stage: Stage, state: RunState, used: Mapping[str, Any], metrics: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """``run.json``: what was done and with what, on what, and what came of it; it lies beside every artefact."""
    return {
        "schema_version": 1,
        "state": state,
        "stage": stage.kind,
        "key": stage.key,
        "command": command_line(),
        "settings": plain(dict(used)),
        "inputs": plain(stage.as_dict()["inputs"]),
        "lineage": lineage_of(stage.inputs.get("source")),
        "metrics": plain(dict(metrics)),
        "wall_time_s": round(seconds, 1),
        "git": dict(git_revision()),
        "machine": machine(),
        "versions": package_versions(),
    }


def _remove(folder: Path, patterns: Sequence[str]) -> None:
    """Remove files of our own; a folder only when that leaves it empty."""
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        path.unlink()
    remove_files(folder / "checkpoints")


def _move(file: Path, target: Path) -> None:
    """Move a file over another; a folder's files into the folder of that name."""
    if not file.is_dir():
        file.replace(target)
        return
    target.mkdir(exist_ok=True)
    for part in file.iterdir():
        _move(part, target / part.name)
    shutil.rmtree(file)
