"""Stages as Ray tasks, on a cluster of two nodes that the test starts; one node is killed half-way."""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_for_tests import ENVIRONMENT, Cluster, cell, cluster, free_port

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.engine import Engine
from simpl_sb3.experiments.ray_place import RayTasks, connected

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: the extra ray")
BROKEN = "sys.exit('broken')"
GRID = """
import sys
from pathlib import Path
from ray_for_tests import cell
from simpl_sb3.experiments.engine import Engine
from simpl_sb3.experiments.ray_place import RayTasks

address, folder, shares = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "shared"
folder.mkdir(exist_ok=True)
first = cell(0)
does = "import time; begun = {here!r}; time.sleep(4); assert Path('out/0').read_text() == 'done'"
middle = [cell(n, first, does=does.format(here=n)) for n in range(1, 4)]
broken = cell(8, does="sys.exit('broken')")
place = RayTasks(folder, address, shares_disk=shares, module="ray_for_tests")
cells = [first, *middle, broken, cell(9, *middle)]
outcome = Engine(cells, folder, place, say=lambda text: print(text, flush=True)).run()
print("DONE", sorted(one.name for one in outcome.done), outcome.failed.get(broken.key), flush=True)
"""


def test_ray_that_is_missing_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"Ray is not installed: pip install 'simpl-sb3\[ray\]'"):
        connected("local", None)


@needs_ray
@pytest.mark.filterwarnings("ignore")  # of Ray's import
def test_an_address_that_does_not_answer_is_one_message() -> None:
    with pytest.raises(SettingsError, match=r"--ray 127.0.0.1:\d+ does not answer .*expected a Ray cluster"):
        connected(f"127.0.0.1:{free_port()}", None)
    with pytest.raises(SettingsError, match="expected HOST:PORT of a cluster, auto, or local"):
        connected("nowhere", None)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short enough for the sockets that Ray makes in it."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def run_grid(two: Cluster, out: Path, shares: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-W", "ignore", "-c", GRID, two.address, str(out), shares]
    with out.with_suffix(".err").open("w") as log:
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT, cwd=out.parent)


@needs_ray
@pytest.mark.ray
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("shares", ["shared", "apart"])
def test_a_node_is_killed_and_the_grid_ends(short: Path, tmp_path: Path, shares: str) -> None:
    with cluster(short, 2) as two:
        out = tmp_path / "grid"
        said: list[str] = []
        with run_grid(two, out, shares) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line.strip())
                if "begins" in line and sum("begins: number" in other for other in said) == 4:
                    time.sleep(1.0)
                    two.kill(1)
        assert process.returncode == 0, out.with_suffix(".err").read_text()
    assert said[-1] == f"DONE {[f'number {n}' for n in (0, 1, 2, 3, 9)]} broken"
    assert any("lost with its machine, tries again" in line for line in said)
    assert (out / "out" / "9").read_text() == "done"
    assert sum("begins: number 0" in line for line in said) == 1
    assert (out / "logs" / f"{cell(8, does=BROKEN).key}.log").read_text().count("broken") == 2


@needs_ray
@pytest.mark.ray
@pytest.mark.timeout(1_500)
@pytest.mark.filterwarnings("ignore")  # of Ray's import
def test_ray_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    first = cell(0)
    place = RayTasks(tmp_path, "local", workers=1, module="ray_for_tests")
    outcome = Engine([first, cell(1, first)], tmp_path, place, say=lambda _: None).run()
    assert [one.name for one in outcome.done] == ["number 0", "number 1"]
