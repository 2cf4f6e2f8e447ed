"""
Stages as Ray tasks, on this machine or a cluster: the engine is the same, only where a stage runs differs.

Each node needs the same version of this library, of Python and of Ray, and what a grid names by path: a domain or a
method of one's own as a file. A shared disk is not needed; with one, a stage that is lost with its node goes on from
its last checkpoint, without one it begins again.
"""

import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.grid import STAGES, Cell
from simpl_sb3.experiments.places import LOGS, Ended, Run, log_of
from simpl_sb3.experiments.ray_stage import Desk, Result, Task, pack, run_task, unpack
from simpl_sb3.files import write_atomically

__all__ = ["RayTasks", "told_progress"]

LOCAL = "local"
CONNECT_SECONDS = 10.0
STOP_SECONDS = 120.0
"""How long a stage may take to keep what it has."""
ARRIVING = ".arriving"


def _task(task: Task, inputs: list[Any], desk: Any) -> Result:
    """On a node: ``inputs`` holds a reference, so that bytes travel only where they are needed."""
    import ray

    return run_task(task, lambda: ray.get(inputs[0]), lambda told: bool(ray.get(desk.tell.remote(task.key, told))))


def told_progress(folder: Path, cell: Cell) -> Path:
    """Where the ``progress.csv`` of a stage far away is kept while it runs."""
    return folder / LOGS / f"{cell.key}.progress.csv"


class RayTasks:
    """
    Ray tasks.

    :param folder: the grid's
    :param address: of a cluster, HOST:PORT or auto; "local" starts Ray on this machine
    :param workers: cores to use at most; None for all that there are
    :param device: torch device of each stage; a stage on cuda asks Ray for a GPU
    :param shares_disk: False sends files even where a node sees the grid's folder
    :param module: what runs a stage on a node
    :raises SettingsError: where Ray is missing, or the address does not answer
    """

    def __init__(
        self,
        folder: Path,
        address: str,
        workers: int | None = None,
        device: str = "auto",
        *,
        shares_disk: bool = True,
        module: str = "simpl_sb3.experiments.worker",
    ) -> None:
        self.ray = connected(address, workers)
        self.folder, self.workers, self.device, self.module = folder, workers, device, module
        name = f".{secrets.token_hex(8)}"
        self._token = (f"{LOGS}/{name}", name if shares_disk else "")
        self._cells: dict[str, Cell] = {}
        self._counted = (0.0, 1)
        here = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self.ray.get_runtime_context().get_node_id(), soft=False
        )
        self._desk = self.ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote()
        self._submit = self.ray.remote(_task)

    def cores(self) -> int:
        """Those of all nodes that are there now, or as many as asked for."""
        if time.monotonic() - self._counted[0] > 1.0:
            found = int(self.ray.cluster_resources().get("CPU", 1))
            self._counted = (time.monotonic(), max(1, found))
            self._keep_progress()
        return self._counted[1] if self.workers is None else min(self.workers, self._counted[1])

    def start(self, cell: Cell, cores: int) -> Run:
        """A task, with the files that it needs beside it."""
        (self.folder / LOGS).mkdir(parents=True, exist_ok=True)
        (self.folder / self._token[0]).write_text(self._token[0].rpartition("/")[2], encoding="utf-8")
        self._cells[cell.key] = cell
        task = Task(
            key=cell.key,
            text=cell.stage.as_json(),
            folder=os.fspath(self.folder),
            token=self._token,
            output=cell.stage.output,
            device=self.device,
            cores=cores,
            module=self.module,
            asked=tuple(sys.argv),
            version=version("simpl-sb3"),
        )
        inputs = self.ray.put(pack(self.folder, self._needed(cell)))
        gpus = 1 if self.device.startswith("cuda") else 0
        how = {"num_cpus": cores, "num_gpus": gpus, "max_retries": 0, "name": cell.name}
        return _TaskRun(self, cell, self._submit.options(**how).remote(task, [inputs], self._desk))

    def _needed(self, cell: Cell) -> list[Path]:
        """What a stage reads, and what it has left itself when it was stopped."""
        before = [self._cells[key].stage.output for key in cell.after if key in self._cells]
        roots = [self.folder / place for place in dict.fromkeys((*before, *_read_from(cell)))]
        return [file for root in (*roots, *self._own(cell)) for file in _files(root)]

    def _own(self, cell: Cell) -> list[Path]:
        """What a stage writes, and has written so far."""
        output = self.folder / cell.stage.output
        return [path for pattern in (f"{output.stem}*", f".{output.stem}*") for path in output.parent.glob(pattern)]

    def keep(self, cell: Cell, result: Result) -> Ended:
        """Put what came back into the grid's folder."""
        with suppress(OSError):
            told_progress(self.folder, cell).unlink()
        if result.log:
            with log_of(self.folder, cell).open("ab") as log:
                log.write(result.log)
        if result.made is not None:
            arriving = self.folder / ARRIVING / cell.key
            shutil.rmtree(arriving, ignore_errors=True)
            arriving.mkdir(parents=True)
            unpack(result.made, arriving)
            self._move(arriving, cell)
            shutil.rmtree(arriving)
        return Ended(result.code)

    def _move(self, arriving: Path, cell: Cell) -> None:
        """What came back takes the place of what was there; a folder at once, of single files JSON last."""
        for earlier in self._own(cell):
            shutil.rmtree(earlier) if earlier.is_dir() else earlier.unlink()
        output = self.folder / cell.stage.output
        if (arriving / cell.stage.output).is_dir():
            output.parent.mkdir(parents=True, exist_ok=True)
            (arriving / cell.stage.output).rename(output)
        for file in sorted(_files(arriving), key=lambda file: file.suffix == ".json"):
            target = self.folder / file.relative_to(arriving)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)

    def _keep_progress(self) -> None:
        with suppress(self.ray.exceptions.RayError):
            for key, progress in self.ray.get(self._desk.take.remote(), timeout=CONNECT_SECONDS).items():
                if progress and key in self._cells:
                    write_atomically(told_progress(self.folder, self._cells[key]), progress)

    def ask_to_stop(self) -> None:
        """Let all tasks keep what they have and end."""
        with suppress(self.ray.exceptions.RayError):
            self.ray.get(self._desk.stop.remote(), timeout=CONNECT_SECONDS)

    def close(self) -> None:
        """Leave the cluster; Ray on this machine ends."""
        (self.folder / self._token[0]).unlink(missing_ok=True)
        self.ray.shutdown()


def _read_from(cell: Cell) -> list[str]:
    """Folders of the grid that a stage reads: of its inputs and datasets, ``stages/NAME`` of ``stages/NAME/...``."""
    named = [*cell.stage.inputs.values(), cell.stage.settings.get("datasets")]
    inside = [text for text in named if isinstance(text, str) and text.startswith(f"{STAGES}/")]
    return ["/".join(text.split("/")[:2]) for text in inside]


def _files(root: Path) -> list[Path]:
    return [root] if root.is_file() else [file for file in root.rglob("*") if file.is_file()]


class _TaskRun:
    """A task that was submitted."""

    def __init__(self, place: RayTasks, cell: Cell, reference: Any) -> None:
        self.place, self.cell, self.reference = place, cell, reference

    def poll(self) -> Ended | None:
        ray = self.place.ray
        ready, _ = ray.wait([self.reference], timeout=0)
        if not ready:
            return None
        try:
            return self.place.keep(self.cell, ray.get(self.reference))
        except ray.exceptions.RayTaskError as error:
            return self._told(str(error.cause or error), lost=False)
        except ray.exceptions.RayError as error:  # the node, its worker or what it made is gone
            return self._told(str(error), lost=True)

    def _told(self, text: str, lost: bool) -> Ended:
        line = next((line for line in text.strip().splitlines() if line.strip()), "a Ray task failed")
        with log_of(self.place.folder, self.cell).open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")
        return Ended(1, lost)

    def ask_to_stop(self) -> None:
        self.place.ask_to_stop()

    def wait(self) -> None:
        until = time.monotonic() + STOP_SECONDS
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.2)


def connected(address: str, workers: int | None) -> Any:
    """
    The module ``ray``, connected.

    :raises SettingsError: where it is missing, or the address does not answer
    """
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise SettingsError(
            "Ray is not installed: pip install 'simpl-sb3[ray]', or leave --ray out, which runs the same grid in "
            "processes on this machine."
        ) from error
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        _answers(host, int(port))
    elif address not in (LOCAL, "auto"):
        raise SettingsError(f"--ray {address}: expected HOST:PORT of a cluster, auto, or {LOCAL}.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    own = {"address": LOCAL, "num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(**quiet, **(own if address == LOCAL else {"address": address}))
    except Exception as error:  # Ray raises many kinds
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise SettingsError(f"--ray {address}: Ray does not answer ({reason}).") from error
    return ray


def _answers(host: str, port: int, wait: Callable[..., socket.socket] = socket.create_connection) -> None:
    """
    :raises SettingsError: where nobody listens; Ray itself would try for minutes
    """
    try:
        wait((host.strip("[]"), port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"--ray {host}:{port} does not answer ({reason}): expected a Ray cluster there.") from error
