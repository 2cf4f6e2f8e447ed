"""A small domain, demonstrations included, on the command line; each test module has a copy of its own."""

from pathlib import Path
from typing import Any

import numpy as np

from simpl_sb3.experiments.cli import main
from simpl_sb3.results.rows import read_results

DOMAIN = Path(__file__).parent / "own_domain_for_tests.py"
SMALL = [
    *("--net-arch", "8", "--batch-size", "8", "--gradient-steps", "2"),
    *("--tasks-per-update", "1", "1", "--context-sizes", "2", "8"),
]
"""Of a meta-training with a task encoder."""
DATASET = "own/line-v0"


def own_words(method: str, folder: Path) -> list[str]:
    """Flags of a method on a copy of the domain, which registers its environment anew."""
    copy = folder / "line.py"
    copy.write_text(DOMAIN.read_text())
    return ["--method", method, "--domain", str(copy), "--device", "cpu", "--no-progress-bar"]


def collected(words: list[str], n: int = 30) -> str:
    """Demonstrations of the domain, in Minari's own folder; they walk to the left or to the right for 16 env steps."""
    main(["collect", "--domain", words[words.index("--domain") + 1], "--trajectories", str(n), "--overwrite"])
    return DATASET


def rows_of(path: Path) -> list[Any]:
    """Rows of a CSV, without their seeds."""
    (file,) = read_results(path)
    return list(file.rows)


def same_rows(one: Path, other: Path) -> bool:
    """Whether two runs lived the same, to the bit."""
    parts = ("task", "episode", "env_steps", "episode_return", "success")
    first, second = ([tuple(getattr(row, part) for part in parts) for row in rows_of(path)] for path in (one, other))
    return bool(np.array_equal(first, second))
