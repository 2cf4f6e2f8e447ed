"""
Where collection spends its time outside the simulation: a profile of the main thread by its processor time.

    python benchmarks/collection_profile.py --envs 400 --skills 100
"""

import argparse
import cProfile
import pstats
import time

from speed.collection import ENVIRONMENTS, Collection


def main() -> None:
    """Print the profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", choices=sorted(ENVIRONMENTS), default="maze")
    parser.add_argument("--envs", type=int, default=400)
    parser.add_argument("--skills", type=int, default=100, help="in each environment")
    parser.add_argument("--lines", type=int, default=28)
    options = parser.parse_args()
    collection = Collection(options.domain, options.envs)
    for _ in range(120):  # beyond the first skills of each episode
        collection.collect()
    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    for _ in range(options.skills):
        collection.collect()
    profile.disable()
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(options.lines)
    collection.close()


if __name__ == "__main__":
    main()
