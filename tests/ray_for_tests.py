"""
What the tests of Ray share: a cluster of nodes on this machine, and a stage that is a line of Python.

A node runs a stage as ``python -m ray_for_tests FOLDER FILE DEVICE``.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simpl_sb3.experiments.grid import Cell
from simpl_sb3.experiments.stage import Stage

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "envs", ROOT / "tests"))),
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
}
STARTS = 6
"""How often a node is started: Ray gives its own helpers 15 seconds, which a busy machine may not have."""


class Numbered(Cell):
    """A cell whose result is a file of its number."""

    def is_done(self, folder: Path) -> bool:
        return (folder / self.stage.output).exists()


def cell(number: int, *after: Cell, does: str = "") -> Cell:
    """A cell whose process runs a line of Python, and then writes its number."""
    stage = Stage("extract", {"does": does}, {"number": str(number)}, f"out/{number}")
    return Numbered(f"number {number}", stage, tuple(one.key for one in after))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """
    Nodes on this machine, each of one core, with a raylet of its own.

    :param folder: for Ray's files; its path has to be short
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.nodes: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start a node; the first one is the head."""
        head = not self.nodes
        for _ in range(STARTS):
            where = (
                ["--head", f"--port={self.port}", f"--temp-dir={self.folder}"] if head else ["--address", self.address]
            )
            words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *where, "--num-cpus=1"]
            words += ["--node-ip-address=127.0.0.1", "--object-store-memory=80000000", "--disable-usage-stats"]
            words += ["--include-dashboard=false"] if head else []
            path = self.folder / f"node{len(self.nodes)}.log"
            with path.open("wb") as log:
                node = subprocess.Popen(words, stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True)
            if self._is_up(node, path):
                self.nodes.append(node)
                return
            self._kill(node)
            self.port = free_port() if head else self.port
        pytest.skip("Ray could not start a node on this machine")

    @staticmethod
    def _is_up(node: "subprocess.Popen[bytes]", log: Path) -> bool:
        until = time.monotonic() + 90
        while time.monotonic() < until and node.poll() is None:
            if "Ray runtime started" in log.read_text(errors="replace"):
                return True
            time.sleep(0.2)
        return False

    def kill(self, index: int) -> None:
        """All processes of a node at once, as a power cut does."""
        self._kill(self.nodes[index])

    @staticmethod
    def _kill(node: "subprocess.Popen[bytes]") -> None:
        for group in (_descendants(node.pid), [node.pid]):
            for process in group:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        node.wait()

    def close(self) -> None:
        for node in reversed(self.nodes):
            self._kill(node)


def _descendants(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [pid for child in map(int, children) for pid in (child, *_descendants(child))]


@contextmanager
def cluster(folder: Path, n_nodes: int) -> Iterator[Cluster]:
    """So many nodes."""
    made = Cluster(folder)
    try:
        for _ in range(n_nodes):
            made.start()
        yield made
    finally:
        made.close()


if __name__ == "__main__":
    _, folder, file, _device, *_asked = sys.argv
    found = Stage.from_json(Path(file).read_text())
    os.chdir(folder)
    exec(found.settings["does"])
    Path(found.output).write_text("done")
