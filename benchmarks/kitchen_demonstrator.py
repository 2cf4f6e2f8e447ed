"""
How often the kitchen's demonstrator succeeds: per subtask, per transition, within 280 env steps.

    python benchmarks/kitchen_demonstrator.py --n 300 --seed 20000
    python benchmarks/kitchen_demonstrator.py --n 100 --seed 20000 --physics fast
"""

import argparse
import math
import time
from collections import defaultdict

import numpy as np

from simpl_envs.kitchen.demonstrator import KitchenDemonstration, demonstrate
from simpl_envs.kitchen.tasks import SUBTASKS

LIMIT = 280


def interval(successes: int, n: int) -> str:
    """Share with its 95 % Wilson interval."""
    z = 1.96
    share = successes / n
    centre, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return f"{share:.3f} [{low:.3f}, {high:.3f}] ({successes}/{n})"


def report(demonstrations: list[KitchenDemonstration]) -> None:
    """Print the tables."""
    n = len(demonstrations)
    ends = np.array([d.completed_at[-1] for d in demonstrations if d.complete])
    print(f"- complete: {interval(sum(d.complete for d in demonstrations), n)}")
    print(f"- complete within {LIMIT} env steps: {interval(int((ends <= LIMIT).sum()), n)}")
    error = 1.96 * ends.std(ddof=1) / math.sqrt(len(ends))
    quantiles = ", ".join(f"{q:.0f}" for q in np.percentile(ends, [10, 50, 90, 95]))
    print(f"- env steps to completion: mean {ends.mean():.1f} ± {error:.1f}; 10/50/90/95 %: {quantiles}")
    tries, first, done, steps = (defaultdict(list) for _ in range(4))
    moves: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for d in demonstrations:
        before = (0, *d.completed_at)
        for k, subtask in enumerate(d.task.subtasks):
            own = [a for a in d.attempts if a.subtask == subtask]
            if not own:  # cut off before, or complete already
                continue
            done[subtask].append(k < len(d.completed_at))
            first[subtask].append(own[0].succeeded)
            moves[(d.task.subtasks[k - 1] if k else -1, subtask)].append(own[0].succeeded)
            if k < len(d.completed_at):
                steps[subtask].append(before[k + 1] - before[k])
            for attempt in own:
                tries[subtask, attempt.strategy].append(attempt.succeeded)
    print("\n| subtask | completed | at the first attempt | env steps |\n|---|---|---|---|")
    for subtask, name in enumerate(SUBTASKS):
        shares = (interval(sum(kind[subtask]), len(kind[subtask])) for kind in (done, first))
        print(f"| {name} | {' | '.join(shares)} | {np.mean(steps[subtask]):.1f} |")
    print("\n| subtask | strategy | attempts that succeed |\n|---|---|---|")
    for (subtask, strategy), results in sorted(tries.items()):
        print(f"| {SUBTASKS[subtask]} | {strategy} | {interval(sum(results), len(results))} |")
    print("\nFirst attempts that succeed, by what came before (rows; columns the subtask):\n")
    print("| after | " + " | ".join(SUBTASKS) + " |\n|---|" + "---|" * len(SUBTASKS))
    for previous in range(-1, len(SUBTASKS)):
        cells = [moves.get((previous, subtask), []) for subtask in range(len(SUBTASKS))]
        name = "reset" if previous < 0 else SUBTASKS[previous]
        print(f"| {name} | " + " | ".join(f"{sum(c)}/{len(c)}" if c else "" for c in cells) + " |")


def main() -> None:
    """Run the demonstrator and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=20000)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--pushes", type=float, default=0.0)
    parser.add_argument("--train-share", type=float, default=0.0)
    parser.add_argument("--physics", default="published")
    parser.add_argument("--nthread", type=int, default=None)
    args = parser.parse_args()
    start = time.monotonic()
    demonstrations = list(
        demonstrate(
            args.n,
            args.seed,
            train_share=args.train_share,
            noise=args.noise,
            pushes=args.pushes,
            physics=args.physics,
            complete_only=False,
            nthread=args.nthread,
        )
    )
    seconds, n_steps = time.monotonic() - start, sum(len(d.actions) for d in demonstrations)
    print(f"- {args.n} sequences, seed {args.seed}, noise {args.noise}, pushes {args.pushes}, ", end="")
    print(f"train share {args.train_share}, {args.physics}")
    print(f"- {n_steps} env steps in {seconds:.0f} s: {n_steps / seconds:.0f} per second")
    report(demonstrations)


if __name__ == "__main__":
    main()
