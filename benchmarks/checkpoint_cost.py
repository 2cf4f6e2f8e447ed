"""
What checkpoints cost a stage: how long each takes, and how much it writes.

    python benchmarks/checkpoint_cost.py STAGE FOLDER [--seconds S] [--length N]

STAGE is extract, meta-train or adapt, on the maze with the preset maze-fast, from what is shipped (extract: from 200
demonstrations that it makes first). S is the time between two checkpoints (60, as the commands have it); "inf" writes
none, for a pair. Half of the episodes explore. Prints wall and CPU seconds of run and checkpoints, and bytes written.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import simpl_sb3.experiments.running as running
from simpl_sb3 import PRETRAINED, AdaptationCheckpoints, SkillExtractor, TrainingCheckpointCallback
from simpl_sb3.experiments.stage import RunOptions
from simpl_sb3.experiments.stages import (
    Experiment,
    adapt_stage,
    collect_stage,
    extract_stage,
    meta_train_stage,
    run_stage,
)

SHIPPED = PRETRAINED / "maze-fast"
WRITERS = {
    "adapt": (AdaptationCheckpoints, "write"),
    "meta-train": (TrainingCheckpointCallback, "write"),
    "extract": (SkillExtractor, "save_checkpoint"),
}


def timed(function: Callable[..., Any], spent: list[tuple[float, float]]) -> Callable[..., Any]:
    """The same function, which notes wall and CPU seconds of each call."""

    def call(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter(), time.process_time()
        result = function(*arguments, **named)
        spent.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        return result

    return call


def main() -> None:
    """Run the stage, and print what its checkpoints cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=WRITERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--length", type=int, help="episodes per agent, skills, or updates")
    given = parser.parse_args()
    maze, folder = Experiment.find("maze", "fast"), given.folder
    if given.stage == "extract":
        run_stage(collect_stage(maze, folder / "data", trajectories=200), RunOptions(overwrite=True))
        stage = extract_stage(maze, folder / "skills", datasets=folder / "data", total_updates=given.length or 2_000)
    elif given.stage == "meta-train":
        stage = meta_train_stage(
            maze, SHIPPED / "skills.safetensors", folder / "meta", total_timesteps=given.length or 20_000
        )
    else:
        settings = {"n_episodes": given.length or 24, "n_exploration_episodes": (given.length or 24) // 2}
        stage = adapt_stage(maze, SHIPPED / "model.zip", folder / "rows.csv", agents_per_task=3, settings=settings)
    running.CHECKPOINT_SECONDS = given.seconds
    spent: list[tuple[float, float]] = []
    sizes: list[int] = []
    kind, name = WRITERS[given.stage]
    setattr(kind, name, timed(getattr(kind, name), spent))
    sync = os.fsync
    os.fsync = lambda handle: (sizes.append(os.fstat(handle).st_size), sync(handle))[1]
    began = time.perf_counter(), time.process_time()
    run_stage(stage, RunOptions(device="cpu", overwrite=True))
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    n = len(spent)
    own_wall, own_cpu = (sum(each[k] for each in spent) for k in range(2))
    print(f"run: {wall:.1f} s wall, {cpu:.1f} s CPU; {sum(sizes) / 1e6:.0f} MB written in all")
    if n:
        share = f"{own_wall / wall:.2%} of wall, {own_cpu / cpu:.2%} of CPU"
        each = f"{own_wall / n:.2f} s wall, {own_cpu / n:.2f} s CPU each"
        print(f"{n} checkpoints, one per {given.seconds:g} s: {each}; {share}; longest {max(spent)[0]:.2f} s")


if __name__ == "__main__":
    main()
