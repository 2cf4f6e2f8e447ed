"""The short form of ``benchmarks/fuzz.py``: damaged and hostile files end in our errors, and it sees others."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simpl_sb3.errors import ModelFileError, SimplError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from fuzz import Reader, TooSlowError, judged  # noqa: E402
from fuzz_files import FILES, Kind, NotFiniteError  # noqa: E402


def test_a_few_hundred_cases(tmp_path: Path) -> None:
    """Each kind of file and of damage; the long form is a command."""
    command = [sys.executable, str(BENCHMARKS / "fuzz.py"), "--cases", "250", "--first", "1000000"]
    done = subprocess.run(
        [*command, "--minutes", "15", "--output", str(tmp_path / "fuzz.json")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / "fuzz.json").read_text())
    assert report["cases"] == 250
    assert set(report["by_kind"]) == set(FILES)
    assert report["outcomes"].keys() == {"read", "refused"}
    assert report["outcomes"]["refused"] > 100


def raising(error: BaseException) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        raise error

    return read


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ModelFileError("no"), "refused"),
        (SimplError("no"), "refused"),
        (ValueError("no"), "foreign"),
        (KeyboardInterrupt(), "foreign"),
        (NotFiniteError(), "not finite"),
        (MemoryError(), "memory"),
        (caused(ModelFileError("no"), MemoryError()), "memory"),
        (caused(ModelFileError("no"), TooSlowError()), "slow"),
    ],
    ids=str,
)
def test_what_an_error_counts_as(error: BaseException, outcome: str) -> None:
    assert judged(error)[0] == outcome


@pytest.mark.parametrize(
    ("content", "damage", "outcome"),
    [(b"text", "flip", "read"), (b"tfxt", "flip", "silent"), (b"tfxt", "rewritten", "read"), (b"", "cut", "foreign")],
)
def test_what_is_read_although_its_bytes_are_others_is_told(
    content: bytes, damage: str, outcome: str, tmp_path: Path
) -> None:
    """An empty file is a ``ValueError`` of this reader; a sealed one must refuse every other byte."""

    def read(folder: Path) -> None:
        if not (folder / "file").read_bytes():
            raise ValueError

    limits = resource.getrlimit(resource.RLIMIT_CPU)
    assert one_case(tmp_path, Kind(Path.touch, read), damage, content)["outcome"] == outcome
    assert resource.getrlimit(resource.RLIMIT_CPU) == limits  # of the process that reads on


def test_code_that_ran_is_seen(tmp_path: Path) -> None:
    def read(folder: Path) -> None:
        (tmp_path / "canary").touch()
        raise ModelFileError

    assert one_case(tmp_path, Kind(Path.touch, read), "rewritten", b"-")["outcome"] == "code ran"


def one_case(tmp_path: Path, kind: Kind, damage: str, content: bytes) -> dict[str, Any]:
    reader = object.__new__(Reader)
    reader.corpus, reader.scratch, reader.canary = tmp_path / "corpus", tmp_path / "scratch", tmp_path / "canary"
    reader.kinds = {"made up": kind}
    (tmp_path / "corpus" / "made up").mkdir(parents=True)
    (tmp_path / "corpus" / "made up" / "file").write_bytes(b"text")
    return reader.run(1, "made up", tmp_path / "corpus" / "made up" / "file", damage, content)
