"""
The kitchen's skill prior alone: subtasks completed in 280 env steps, in any order and in the order of each target task.

    python benchmarks/kitchen_prior.py RUNS/skills/skills.safetensors --n 300 --seed 0

Every episode is scored under all ten target tasks (their rewards are pure functions of what was observed), so that n
episodes give n numbers for each. Intervals are 95 %, normal, over episodes.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch as th

from simpl_envs.kitchen.tasks import KITCHEN_TASK_SETS, SUBTASKS, SubtaskSequence, completed_subtasks
from simpl_sb3 import SkillModel, make_skill_vec_env
from simpl_sb3.experience.collector import EpisodeCollector, Job

BATCH = 64


def live(skills: SkillModel, n: int, seed: int, physics: str, nthread: int | None) -> list[np.ndarray]:
    """:return: what each of n episodes observed, (280, 60)"""
    env = make_skill_vec_env("SimplKitchen-v0", skills, n, seed=seed, physics=physics, nthread=nthread)
    env.reset()
    task = SubtaskSequence.from_name("1432")  # the prior hardly ever finishes it, which would end the episode
    jobs = [Job(task, i, "prior") for i in range(n)]

    @th.no_grad()
    def act(observations: np.ndarray, _: th.Tensor) -> np.ndarray:
        mean, std = skills.prior(th.as_tensor(observations))
        return (mean + std * th.randn_like(std)).numpy()

    collector = EpisodeCollector(env, act, lambda _: jobs.pop() if jobs else None, lambda _: th.zeros(0), 0)
    episodes = []
    while collector.active.any():
        episodes += [one.episode.env_observations for one in collector.step().finished]
    env.close()
    return episodes


def show(name: str, values: np.ndarray) -> None:
    """One line: mean, interval, number."""
    print(
        f"- {name}: {values.mean():.2f} ± {1.96 * values.std(ddof=1) / len(values) ** 0.5:.2f} ({len(values)} episodes)"
    )


def main() -> None:
    """Sample the prior and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("skills", type=Path)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--physics", default="published")
    parser.add_argument("--nthread", type=int, default=None)
    args = parser.parse_args()
    skills, started = SkillModel.load(args.skills), time.monotonic()
    th.manual_seed(args.seed)
    sizes = [min(BATCH, args.n - first) for first in range(0, args.n, BATCH)]
    seeds = [args.seed + first for first in range(0, args.n, BATCH)]
    parts = [live(skills, n, seed, args.physics, args.nthread) for n, seed in zip(sizes, seeds, strict=True)]
    episodes = [one for part in parts for one in part]
    done = np.stack([completed_subtasks(one).any(axis=0) for one in episodes])  # (n, 7)
    tasks = KITCHEN_TASK_SETS["target"]
    paid = np.stack([[task.rewards(one)[0].sum() for task in tasks] for one in episodes])  # (n, 10)
    print(f"seed {args.seed}, physics {args.physics}, {time.monotonic() - started:.0f} s")
    show("any order", done.sum(axis=1))
    show("in order, mean of the ten target tasks", paid.mean(axis=1))
    print("- each target task:", ", ".join(f"{t.name} {p:.2f}" for t, p in zip(tasks, paid.mean(axis=0), strict=True)))
    print("- each subtask:", ", ".join(f"{n} {p:.2f}" for n, p in zip(SUBTASKS, done.mean(axis=0), strict=True)))


if __name__ == "__main__":
    main()
