"""
Threads on small matrix products: speed alone and beside busy processes, with one thread and with torch's and numpy's
own number. Rounds alternate, so that other work on the machine meets both alike::

    env -u OMP_NUM_THREADS python benchmarks/threads.py --rounds 5
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import torch as th

import simpl_envs
from simpl_sb3 import PRETRAINED, make_skill_vec_env, threads

SIZES = {
    "acting, 80 mazes": (1, 80, 128),
    "maze-fast, 16 x 128 rows": (1, 2048, 128),
    "30 agents, 256 rows": (30, 256, 128),
    "published, 40 x 256 rows": (1, 10240, 128),
    "2048 x 256": (1, 2048, 256),
    "8192 x 256": (1, 8192, 256),
}
"""What is measured: agents side by side, rows, width of a layer."""


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Beside n processes that never rest."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def all_threads() -> "mock._patch[int]":
    """As if there were no scopes of one thread."""
    return mock.patch.object(threads, "LARGE_PRODUCT", 0)


def collection(seconds: float) -> Callable[[], float]:
    """:return: env steps per second of 80 mazes under skills"""
    env = make_skill_vec_env("SimplMaze-v0", PRETRAINED / "maze-fast" / "skills.safetensors", 80, seed=0)
    env.reset()
    rng = np.random.default_rng(0)

    def measure() -> float:
        started, steps = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            _, _, _, infos = env.step(rng.standard_normal((80, env.skills.skill_dim)))
            steps += sum(info["skill_steps"] for info in infos)
        return steps / (time.perf_counter() - started)

    return measure


def layer(members: int, rows: int, width: int, seconds: float) -> Callable[[], float]:
    """:return: forward and backward passes through three layers per second"""
    x = th.randn(members, rows, width)
    weights = [th.randn(members, width, width, requires_grad=True) for _ in range(3)]

    def measure() -> float:
        started, n = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            with threads.small_products():
                y = x
                for weight in weights:
                    y = (y @ weight).relu()
                y.mean().backward()
            n += 1
        return n / (time.perf_counter() - started)

    return measure


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="per measurement")
    parser.add_argument("--busy", type=int, default=1, help="busy processes beside")
    options = parser.parse_args()
    assert simpl_envs.ENVIRONMENTS
    print(f"torch {th.get_num_threads()} threads, {options.rounds} rounds of {options.seconds} s, medians, per second")
    print("| work | alone, all threads | alone, one | ratio | busy, all threads | busy, one | ratio |")
    print("|---|---|---|---|---|---|---|")
    work = {"collection, 80 mazes (env steps)": collection(options.seconds)}
    work |= {name: layer(*size, options.seconds) for name, size in SIZES.items()}
    for name, measure in work.items():
        cells = []
        for n_busy in (0, options.busy):
            with busy(n_busy):
                rounds = np.array([_pair(measure) for _ in range(options.rounds)])
            many, one = np.median(rounds, axis=0)
            ratio = float(np.median(rounds[:, 1] / rounds[:, 0]))
            cells += [f"{many:,.0f}", f"{one:,.0f}", f"{ratio:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _pair(measure: Callable[[], float]) -> tuple[float, float]:
    with all_threads():
        many = measure()
    return many, measure()


if __name__ == "__main__":
    main()
