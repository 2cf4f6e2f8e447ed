"""
One process that meta-trains, adapts, saves, loads, extracts skills and draws, over and over, and what it holds by then.

::

    OMP_NUM_THREADS=1 python benchmarks/soak.py --minutes 30 --output benchmarks/results/reliability/soak.csv

A line per minute: resident memory, Python objects, open files, threads, child processes, and how often each work was
done. At the end the growth per hour, by a straight line through all lines after the first fifth.
"""

import argparse
import csv
import gc
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import simpl_envs
from simpl_sb3 import PRETRAINED, SkillExtractor, SkillPriorPEARL, SkillPriorSAC, make_skill_vec_env
from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode
from simpl_sb3.skills import SkillModel

COLUMNS = ("minute", "rss_mb", "objects", "files", "threads", "children")
SKILLS = PRETRAINED / "maze-fast" / "skills.safetensors"
SMALL: dict[str, Any] = {"batch_size": 16, "policy_kwargs": {"net_arch": (16,)}, "device": "cpu", "seed": 0}


def rss_mb() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 1e6


def held() -> tuple[float, int, int, int, int]:
    """What the process holds: memory, objects, files, threads, children."""
    gc.collect()
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text(encoding="utf-8").split()
    files, threads = (len(list(Path(f"/proc/self/{name}").iterdir())) for name in ("fd", "task"))
    return rss_mb(), len(gc.get_objects()), files, threads, len(children)


class Work:
    """
    What is done over and over.

    :param folder: for files
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.done = folder, Counter[str]()
        self.tasks = simpl_envs.MAZE_TASK_SETS["target"][:2]
        self.all: dict[str, Callable[[], None]] = {
            "meta-training": self.meta_train,
            "adaptation": self.adapt,
            "extraction": self.extract,
            "maze drawn": lambda: self.draw("SimplMaze-v0"),
            "kitchen drawn": lambda: self.draw("SimplKitchen-v0"),
        }

    def once(self) -> None:
        """Each once."""
        for name, work in self.all.items():
            work()
            self.done[name] += 1

    def meta_train(self) -> None:
        """Ten mazes, one meta-iteration, saved and loaded with its training state."""
        env = make_skill_vec_env("SimplMaze-v0", SKILLS, n_envs=10)
        model = SkillPriorPEARL("MlpPolicy", env, gradient_steps=2, buffer_size=500, context_buffer_size=500, **SMALL)
        model.learn(10)
        model.save(self.folder / "meta", with_training_state=True)
        SkillPriorPEARL.load(self.folder / "meta", env=env, device="cpu")
        env.close()

    def adapt(self) -> None:
        """Two agents, two episodes each, saved and loaded."""
        env = make_skill_vec_env("SimplMaze-v0", SKILLS, n_envs=2)
        meta = SkillPriorPEARL.load(PRETRAINED / "maze-fast" / "model.zip", device="cpu")
        for agent in meta.adapt_tasks(env, self.tasks, n_episodes=2, n_exploration_episodes=1, seed=0):
            agent.save(self.folder / "agent")
            SkillPriorSAC.load(self.folder / "agent", device="cpu").predict(np.zeros(4, np.float32))
        env.close()

    def extract(self) -> None:
        """Fifty updates on random demonstrations."""
        rng, space = np.random.default_rng(0), gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
        episodes = [Episode(rng.normal(size=(31, 3)), rng.uniform(-1.0, 1.0, (30, 3))) for _ in range(8)]
        data = DemonstrationDataset.from_episodes(episodes, space, space)
        sizes: dict[str, Any] = dict.fromkeys(("encoder_hidden", "decoder_hidden", "prior_hidden"), (16,))
        extractor = SkillExtractor(data, folder=self.folder / "skills", seed=0, device="cpu", batch_size=32, **sizes)
        extractor.learn(50, log_interval=25).save(self.folder / "skills.safetensors")
        extractor.save_checkpoint()
        extractor.restore()
        SkillModel.load(self.folder / "skills.safetensors")

    def draw(self, env_id: str) -> None:
        """An environment is made, drawn twice and closed."""
        env = gym.make(env_id, render_mode="rgb_array")
        env.reset(seed=0)
        for _ in range(2):
            env.step(env.action_space.sample())
            env.render()
        env.close()


def per_hour(rows: list[dict[str, Any]], column: str) -> float:
    """Slope of a straight line through all rows after the first fifth."""
    kept = rows[len(rows) // 5 :]
    if len(kept) < 2:
        return float("nan")
    slope = np.polyfit([row["minute"] for row in kept], [row[column] for row in kept], 1)[0]
    return float(60.0 * slope)


def main() -> None:
    """Work, and a line per interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two lines")
    parser.add_argument("--output", type=Path, default=Path("soak.csv"))
    parser.add_argument("--only", nargs="*", help="of the works")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Work(Path(folder))
        work.all = {name: each for name, each in work.all.items() if not arguments.only or name in arguments.only}
        work.once()  # what is loaded once is no growth
        started, due = time.monotonic(), 0.0
        while (now := time.monotonic() - started) < 60 * arguments.minutes or not rows:
            if now >= due:
                figures = dict(zip(COLUMNS, (round(now / 60, 2), *held()), strict=True))
                rows.append({**figures, "rss_mb": round(figures["rss_mb"], 1), **work.done})
                print(rows[-1], flush=True)
                due = now + arguments.interval
            work.once()
        rows.append(dict(zip(COLUMNS, (round((time.monotonic() - started) / 60, 2), *held()), strict=True)) | work.done)
        rows[-1]["rss_mb"] = round(rows[-1]["rss_mb"], 1)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with arguments.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)
    growth = {column: round(per_hour(rows, column), 1) for column in COLUMNS[1:]}
    print(f"Growth per hour, after the first fifth: {growth}", file=sys.stderr)


if __name__ == "__main__":
    main()
