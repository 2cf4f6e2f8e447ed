"""
Is a meta-update as fast as it was at another revision? Both take turns, each time in a process of its own, and the CPU
time of an update is compared pair by pair, which a busy neighbour disturbs least.

    git worktree add ../before 58a5956^
    OMP_NUM_THREADS=1 python benchmarks/paired_updates.py ../before --pairs 12

Prints of each preset the median ratio (this revision over the other), its quartiles, and the seconds per update. The
settings of the maze's and the kitchen's ``fast`` presets are written out here, since presets were declared otherwise.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
MAZE = {"net_arch": (128, 128, 128), "batch_size": 128, "n_steps": 6, "hindsight": True, "context_reward_rows": 8}
KITCHEN = {**MAZE, "context_reward_rows": 0, "skill_kl_targets": (1.0, 1.0)}
WORK = {"maze": ("maze-fast", "SimplMaze-v0", MAZE), "kitchen": ("kitchen-fast", "SimplKitchen-v0", KITCHEN)}
CODE = """
import json, sys, time
import simpl_envs
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from simpl_sb3 import PRETRAINED, SkillModel, SkillPriorPEARL, make_skill_vec_env
th.set_num_threads(1)
th.set_float32_matmul_precision("medium")  # what updates take now, and what the command line took before
preset, env_id, settings, updates = json.loads(sys.argv[1])
skills = SkillModel.load(PRETRAINED / preset / "skills.safetensors")
env = make_skill_vec_env(env_id, skills, 8, seed=0)
settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
model = SkillPriorPEARL("MlpPolicy", env, gradient_steps=2, seed=0, device="cpu", **settings)
model.learn(1)
def taken(number):
    started = time.process_time()
    model.train(number, model.batch_size)
    return time.process_time() - started
taken(3)
few = taken(3)  # with what a meta-iteration does once
print("seconds", (taken(3 + updates) - few) / updates)
"""


def seconds(root: Path, words: str) -> float:
    """CPU seconds of one meta-update at a revision."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (root, root / "envs"))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", CODE, words]
    done = subprocess.run(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.rpartition("seconds ")[2])


def main() -> None:
    """The figures of each preset, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a work tree at the other revision")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--updates", type=int, default=30, help="of each process")
    arguments = parser.parse_args()
    for name, work in WORK.items():
        words = json.dumps([*work, arguments.updates])
        pairs = []
        for number in range(arguments.pairs):
            order = (arguments.before, HERE) if number % 2 else (HERE, arguments.before)
            taken = {root: seconds(root, words) for root in order}
            pairs.append((taken[HERE], taken[arguments.before]))
        low, ratio, high = statistics.quantiles([now / before for now, before in pairs], n=4)
        now, before = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name}: {ratio:.3f} [{low:.3f}, {high:.3f}] of the time before; {now:.4f} s against {before:.4f} s")


if __name__ == "__main__":
    main()
