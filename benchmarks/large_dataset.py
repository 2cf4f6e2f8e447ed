"""
What extraction costs over data sets of growing size: peak memory of its process (anonymous, without pages of files,
which the system takes back when others need them), seconds to read, and per update.

    python benchmarks/large_dataset.py --steps 100000 1000000 10000000 --output runs/large

The data are random walks with the kitchen's 60 observations and 9 actions, in episodes of 1,000 env steps. Each size is
read twice, each time by a new process: into memory, and onto disk.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gymnasium.spaces import Box

from simpl_sb3 import Episode, SkillExtractor, load_minari, write_minari

OBSERVATIONS, ACTIONS = Box(-np.inf, np.inf, (60,), np.float32), Box(-1.0, 1.0, (9,), np.float32)
LENGTH, UPDATES = 1_000, 200


def episodes(n_steps: int) -> Iterator[Episode]:
    """Random walks."""
    rng = np.random.default_rng(0)
    for _ in range(n_steps // LENGTH):
        actions = rng.uniform(-1.0, 1.0, (LENGTH, ACTIONS.shape[0])).astype(np.float32)
        steps = rng.normal(0.0, 0.1, (LENGTH + 1, OBSERVATIONS.shape[0]))
        yield Episode(steps.cumsum(axis=0).astype(np.float32), actions)


class Peak(threading.Thread):
    """Watches this process's anonymous memory, MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = self.now()

    @staticmethod
    def now() -> float:
        (line,) = (row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("RssAnon"))
        return int(line.split()[1]) / 1024

    def run(self) -> None:
        while True:
            self.most = max(self.most, self.now())
            time.sleep(0.02)


def measure(root: Path, n_steps: int, in_memory: bool) -> dict[str, float]:
    """In this process: its memory in MB before and at its peak, seconds to read and for an update."""
    peak, started = Peak(), time.process_time()
    before = peak.most
    peak.start()
    data = load_minari(f"own/walk{n_steps}-v0", 10, root=root, in_memory=in_memory)
    read = time.process_time()
    extractor = SkillExtractor(data, seed=0, device="cpu")
    begun = time.process_time()
    extractor.learn(UPDATES)
    update = (time.process_time() - begun) / UPDATES
    return {"before_MB": before, "peak_MB": peak.most, "read_s": read - started, "update_s": update}


def main() -> None:
    """Write the data sets, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--output", type=Path, default=Path("runs/large"))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one is not None:
        print(json.dumps(measure(args.output, int(args.one[0]), args.one[1] == "memory")))
        return
    print("| transitions | where | peak memory, MB | to read, CPU s | an update, CPU ms |\n|---|---|---|---|---|")
    for n_steps in args.steps:
        if not (args.output / f"own/walk{n_steps}-v0").exists():
            write_minari(f"own/walk{n_steps}-v0", episodes(n_steps), OBSERVATIONS, ACTIONS, root=args.output)
        for where in ("memory", "disk"):
            own = ["--output", str(args.output), "--one", str(n_steps), where]
            done = subprocess.run([sys.executable, __file__, *own], check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {n_steps:,} | {where} | {found['peak_MB']:,.0f} ({found['before_MB']:.0f} before) | "
                f"{found['read_s']:.1f} | {1000 * found['update_s']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
