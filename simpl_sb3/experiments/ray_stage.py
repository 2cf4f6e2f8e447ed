"""
What a Ray task does: one stage in a process of its own, on whatever machine it is. Needs no Ray to be imported.

Where the machine sees the grid's folder, the stage works in it. Elsewhere it works in a temporary folder, its inputs
come as bytes, and so does what it makes.
"""

import io
import os
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from simpl_sb3.experiments.places import LOGS, stage_command, start_process
from simpl_sb3.experiments.worker import WRONG

__all__ = ["Desk", "Result", "Task", "pack", "run_task", "unpack"]

REPORT_SECONDS = 5.0
LAST = ("run.json",)
"""What tells that a folder is whole: it is packed, and so unpacked, after all else."""


@dataclass(frozen=True)
class Task:
    """
    A stage, as it travels.

    :param key: of the stage
    :param text: the stage as JSON
    :param folder: of the grid, where the driver runs
    :param token: file of that folder, and what it holds, by which a machine sees whether it has the same folder
    :param output: what the stage writes, relative to the folder
    :param device: torch device
    :param cores: for matrix products
    :param module: what runs the stage: ``python -m module FOLDER FILE DEVICE ASKED ...``
    :param asked: program and arguments of the grid
    :param version: of the library, which has to be the same everywhere
    """

    key: str
    text: str
    folder: str
    token: tuple[str, str]
    output: str
    device: str
    cores: int
    module: str
    asked: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Result:
    """
    What comes back.

    :param code: exit code of the process
    :param made: packed files, relative to the grid's folder; None where they are in it already
    :param log: what the process wrote; empty where it is in the folder already
    """

    code: int
    made: bytes | None = None
    log: bytes = b""


@dataclass
class Desk:
    """Where tasks far away tell how far they are, and learn whether to stop; a Ray actor."""

    stopping: bool = False
    told: dict[str, bytes] = field(default_factory=dict)

    def tell(self, key: str, progress: bytes) -> bool:
        """Leave a stage's ``progress.csv``, and learn whether to stop."""
        self.told[key] = progress
        return self.stopping

    def stop(self) -> None:
        """From now on, let all tasks keep what they have and end."""
        self.stopping = True

    def take(self) -> dict[str, bytes]:
        """What was told since the last time."""
        told, self.told = self.told, {}
        return told


def pack(root: Path, files: Iterable[Path]) -> bytes:
    """Files below a folder as one archive; what tells that the others are whole comes last."""
    content = io.BytesIO()
    found = sorted(files, key=lambda file: (file.name in LAST, file.suffix == ".json", os.fspath(file)))
    with tarfile.open(fileobj=content, mode="w") as archive:
        for file in found:
            archive.add(file, file.relative_to(root).as_posix(), recursive=False)
    return content.getvalue()


def unpack(content: bytes, root: Path) -> None:
    """The inverse; nothing is written outside of the folder."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(root, filter="data")


def run_task(task: Task, inputs: Any, tell: Callable[[bytes], bool]) -> Result:
    """
    :param inputs: gives the packed inputs when called; not called where the grid's folder is there
    :param tell: takes the stage's progress, and says whether to stop
    """
    if (own := version("simpl-sb3")) != task.version:
        text = f"simpl-sb3 {own} is installed on this node, {task.version} where the grid was started: expected one.\n"
        return Result(WRONG, pack(Path(), ()), text.encode())
    shared = Path(task.folder)
    if _holds(shared / task.token[0], task.token[1]):
        return Result(_run(task, shared, tell))
    with tempfile.TemporaryDirectory(prefix="simpl-sb3-") as text:
        root = Path(text)
        unpack(inputs(), root)
        before = _states(root)
        code = _run(task, root, tell)
        made = [file for file, state in _states(root).items() if before.get(file) != state]
        log = _log(task, root)
        return Result(code, pack(root, [file for file in made if LOGS not in file.relative_to(root).parts]), log)


def _holds(file: Path, text: str) -> bool:
    try:
        return file.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False


def _states(root: Path) -> Mapping[Path, tuple[int, int]]:
    files = [file for file in root.rglob("*") if file.is_file()]
    return {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in files}


def _log(task: Task, root: Path) -> bytes:
    return (root / LOGS / f"{task.key}.log").read_bytes()


def _run(task: Task, root: Path, tell: Callable[[bytes], bool]) -> int:
    """The process, until it ends; whoever kills this one ends it as well (see ``worker``)."""
    for part in (LOGS, Path(task.output).parent):
        (root / part).mkdir(parents=True, exist_ok=True)
    file = root / LOGS / f"{task.key}.json"
    file.write_text(task.text, encoding="utf-8")
    command = stage_command(root, file, task.device, task.asked, task.module)
    process = start_process(command, root / LOGS / f"{task.key}.log", task.cores)
    progress, told, asked = root / task.output / "progress.csv", 0.0, False
    try:
        while process.poll() is None:
            if time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                if tell(progress.read_bytes() if progress.is_file() else b"") and not asked:
                    asked = True
                    process.send_signal(signal.SIGTERM)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    finally:
        if process.stdin is not None:
            process.stdin.close()
    return process.returncode
