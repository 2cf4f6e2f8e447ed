"""
Does meta-training find both ends of a line? A toy of the slow tests, with and without the bare skill prior as one of
the ways to explore::

    OMP_NUM_THREADS=1 python benchmarks/line.py 0.0 0 1 2 3 4 5 6 7
    OMP_NUM_THREADS=1 python benchmarks/line.py 0.25 0 1 2 3 4 5 6 7

Prints for each seed the success of the last posterior episodes after 2,000, 4,000 and 6,000 skills (half a minute).
"""

import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "algorithms")]

from test_learning import LINE, TRAIN, line  # noqa: E402 - the slow tests' toy

from simpl_sb3 import SkillPriorPEARL  # noqa: E402


def main(share: float, seeds: list[int]) -> None:
    """
    :param share: ``exploration_skill_prior``
    :param seeds: of the meta-trainings
    """
    for seed in seeds:
        settings = {**LINE, "exploration_skill_prior": share, "seed": seed}
        model = SkillPriorPEARL("MlpPolicy", line(len(TRAIN)), **settings)
        found = []
        for part in range(3):
            model.learn(2_000, reset_num_timesteps=part == 0)
            found.append(f"{np.mean(model._results['rollout/success_posterior']):.2f}")
        sys.stdout.write(f"share {share}, seed {seed}: {' '.join(found)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]), [int(seed) for seed in sys.argv[2:]])
