"""Where a number comes from, as plain data."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from simpl_sb3.errors import SettingsError
from simpl_sb3.results import provenance


def test_plain_data():
    @dataclass(frozen=True)
    class Goal:
        goal: tuple[float, float]

    given = {
        "task": Goal((1.0, 2.0)),
        "set": {"b", "a"},
        "array": np.arange(2),
        3: None,
        "page": "https://a/b",
        "x": "a/b",
    }
    expected = {
        "task": {"goal": [1.0, 2.0]},
        "set": ["a", "b"],
        "array": [0, 1],
        "3": None,
        "page": "https://a/b",
        "x": "a/b",
    }
    assert provenance.plain(given) == expected
    with pytest.raises(SettingsError, match=r"settings\.a\[1\] is a object; expected plain data"):
        provenance.plain({"a": [1, object()]})


def test_command_line_of_a_module():
    assert provenance.command_line(["/x/simpl_sb3/__main__.py", "demo"]) == "python -m simpl_sb3 demo"
    assert provenance.command_line(["benchmarks/maze.py", "a b"]) == "python benchmarks/maze.py 'a b'"


def test_revision_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.git_revision.__wrapped__() == {"commit": None, "dirty": None}
