"""
Env steps per second of the kitchen: a plain loop over one environment, and many environments in threads.

    python benchmarks/kitchen_speed.py

Random actions from the reset pose. On a busy machine look at the steps per second of processor time.
"""

import argparse
import os
import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np

import simpl_envs  # noqa: F401  (registers)


def measure(step: Callable[[], object], n_steps: int, n_envs: int) -> str:
    """Run for a while and describe the speed."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(n_steps):
        step()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    total = n_steps * n_envs
    return f"{total / wall:.0f} | {total / processor:.0f}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=560, help="env steps of each measurement")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n")
    print("| physics | kitchens | threads | env steps/s | per s of processor time |\n|---|---|---|---|---|")
    for physics in ("published", "fast"):
        env = gym.make("SimplKitchen-v0", physics=physics, max_episode_steps=10**6)
        env.reset(seed=0)
        speed = measure(lambda env=env: env.step(rng.uniform(-1, 1, 9)), args.steps, 1)
        print(f"| {physics} | 1, plain loop | 1 | {speed} |")
        for n_envs, nthread in ((16, 1), (16, 2), (64, 2)):
            envs = gym.make_vec("SimplKitchen-v0", num_envs=n_envs, physics=physics, nthread=nthread)
            envs.reset(seed=0)
            n_steps = max(args.steps // n_envs, 9)
            speed = measure(lambda envs=envs, n=n_envs: envs.step(rng.uniform(-1, 1, (n, 9))), n_steps, n_envs)
            print(f"| {physics} | {n_envs} | {nthread} | {speed} |")
            envs.close()


if __name__ == "__main__":
    main()
