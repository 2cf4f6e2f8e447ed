"""``make benchmark`` as a whole, on figures of a millisecond: some alone, then the rest."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BENCH = """
import time

SIZES = {"test_sleep": {"short": [("a", 1), ("b", 2)], "full": [("a", 1)]}}


def half(milliseconds):
    time.sleep(milliseconds / 1e3)
    return 1.0


def test_sleep(figure, case):
    name, size = case
    figure(lambda: half(2 * size), lambda: half(size), unit="FLOP/s", group="learning", title=name)
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "bench_tiny.py").write_text(BENCH)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "benchmarks" / "speed" / "pytest.ini"), "-rs"]
    command += ["--rootdir", str(folder), "-p", "speed.conftest", str(folder / "bench_tiny.py")]
    path = os.pathsep.join([str(ROOT / "benchmarks"), str(ROOT), str(ROOT / "envs")])
    return subprocess.run(
        [*command, "--short", "--results", str(folder / "kept"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


def the_file(folder: Path) -> tuple[str, dict[str, Any]]:
    (path,) = (folder / "kept").iterdir()
    return path.name, json.loads(path.read_text())


def test_a_run_that_has_some_figures_goes_on_to_its_end(tmp_path: Path):
    some = run(tmp_path, "-k", "a-1")
    assert some.returncode == 0, some.stdout
    part, written = the_file(tmp_path)
    assert part.endswith("-short.part.json")
    assert list(written["figures"]) == ["test_sleep[a-1]"]

    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    name, whole = the_file(tmp_path)
    assert name == part.replace(".part", "")
    assert list(whole["figures"]) == ["test_sleep[a-1]", "test_sleep[b-2]"]
    assert whole["figures"]["test_sleep[a-1]"] == written["figures"]["test_sleep[a-1]"]
    assert {"machine", "versions", "git", "source", "threads"} <= whole.keys()
    figure = whole["figures"]["test_sleep[b-2]"]
    assert 1 <= figure["ratio"]["n"] <= 5  # fewer on a slow machine
    assert figure["ratio"]["median"] > 0
    assert figure["title"] == "b"
