"""
Ranges in which single runs of the shipped models lie, for the demo to compare with: rows of many agents -> a JSON.

    cd simpl_sb3/pretrained/maze-fast
    many="--agents-per-task 9 --n-episodes 45 --seed 100"
    simpl-sb3 adapt --from model.zip $many --output simpl.csv
    simpl-sb3 adapt --method spirl --from skills.safetensors $many --output spirl.csv
    python benchmarks/draws.py maze-fast simpl.csv spirl.csv
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from simpl_sb3 import PRETRAINED
from simpl_sb3.results.draws import draws_of
from simpl_sb3.results.facts import SUCCESS
from simpl_sb3.results.rows import agent_episodes, read_results

EPISODES = (20, 40)


def write_draws(preset: str, files: Sequence[Path]) -> None:
    """
    :param preset: folder below ``simpl_sb3/pretrained``
    :param files: rows, a file for each method
    """
    methods, sources = {}, {}
    for path in files:
        (file,) = read_results(path)
        column = (file.measure or SUCCESS).column
        methods[file.rows[0].method] = draws_of(agent_episodes(file.rows, column), EPISODES)
        sources[path.name] = {
            "command": file.metadata.get("command"),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
    text = json.dumps({"schema_version": 1, "rows": sources, "methods": methods}, indent=1)
    (PRETRAINED / preset / "draws.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_draws(sys.argv[1], [Path(name) for name in sys.argv[2:]])
