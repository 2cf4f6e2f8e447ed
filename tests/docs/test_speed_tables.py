"""The speed page says what the kept files hold."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from blocks_for_tests import docs_module


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    return docs_module("speed_tables")


def spread(median: float) -> dict[str, float]:
    return {"median": median, "low": median / 2, "high": 2 * median, "min": 0.0, "max": 9.0, "n": 5}


def figure(title: str, group: str, unit: str, ratio: float, **more: Any) -> dict[str, Any]:
    rates = {"ours_rate": spread(12_345.0), "reference_rate": spread(2.5e9), "cost": spread(more.get("size", 1) / 1e3)}
    measured = {"ratio": spread(ratio), "processor_ratio": spread(0.75), "load": [1.0, 3.5], **rates}
    return {"title": title, "group": group, "unit": unit, **measured, **more}


RUN = {
    "form": "short",
    "machine": {"cpu": "Z80", "cores": 2, "memory_gib": 1.5, "platform": "Linux"},
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "began": "2026-11-27T00:00:00+00:00",
    "figures": {
        "a": figure("80 mazes", "collection", "env steps/s", 0.5, goal=0.6, domain="maze", layer="env"),
        "b": figure("update", "learning", "FLOP/s", 0.25, threads=1, precision="medium"),
        "c": figure("2 rows", "updates", "FLOP/s", 0.3, curve="rows", size=2),
        "d": figure("4 rows", "updates", "FLOP/s", 0.4, curve="rows", size=4),
    },
}


def test_every_figure_is_shown_with_its_spread(tables: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "z80.json").write_text(json.dumps(RUN))
    (tmp_path / "z80.part.json").write_text("{")
    text = tables.speed_tables(tmp_path)
    assert "### z80" in text
    assert "Z80, 2 cores, 1.5 GiB, Linux; Python 3.11.7, torch 2.13.0; short form, 2026-11-27" in text
    assert "1.0 to 3.5 processes" in text
    assert "| 80 mazes | 0.50 [0.25, 1.00] | 0.75 [0.38, 1.50] | ≥ 0.6 | 12.3 k | 2.5 G | 5 |" in text
    assert "| update, bfloat16, 1 thread | 0.25 [0.12, 0.50] |" in text
    assert "| rows | 2, 4 | 2, 4 | 0 + 1 n, within 0 % | 1.00 |" in text


def test_without_runs_it_says_so(tables: ModuleType, tmp_path: Path) -> None:
    assert tables.speed_tables(tmp_path) == "No run is kept here."


def test_kept_runs_can_be_shown(tables: ModuleType) -> None:
    for name, _ in tables.runs():
        assert f"### {name}" in tables.speed_tables()
