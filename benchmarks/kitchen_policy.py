"""
A meta-trained policy in the kitchen under either kind of physics: subtasks paid on the ten target tasks while it
explores, and right after it has adapted.

    python benchmarks/kitchen_policy.py RUNS/meta-0/model.zip --physics fast --seed 0

Adaptation as in the preset, cut after 30 episodes. Intervals are 95 %, normal, over agents (one per task).
"""

import argparse
import time
from pathlib import Path

import numpy as np

from simpl_envs.kitchen.tasks import KITCHEN_TASK_SETS
from simpl_sb3 import SkillPriorPEARL, make_skill_vec_env
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.experiments.presets import preset
from simpl_sb3.experiments.run_folder import matmul_precision

N_EPISODES = 30


@matmul_precision()
def main() -> None:
    """Adapt and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--physics", default="published")
    parser.add_argument("--nthread", type=int, default=None)
    args = parser.parse_args()
    model, tasks, started = SkillPriorPEARL.load(args.model), KITCHEN_TASK_SETS["target"], time.monotonic()
    paid = np.full((len(tasks), N_EPISODES), np.nan)

    def keep(agent: int, episode: int, finished: FinishedEpisode) -> None:
        paid[agent, episode - 1] = finished.episode.total_reward

    env = make_skill_vec_env("SimplKitchen-v0", model.skills, len(tasks), physics=args.physics, nthread=args.nthread)
    settings = {**preset("kitchen-fast").adapt, "n_episodes": N_EPISODES}
    model.adapt_tasks(env, tasks, seed=args.seed, on_episode=keep, **settings)
    env.close()
    print(f"seed {args.seed}, physics {args.physics}, {time.monotonic() - started:.0f} s")
    for name, part in (("exploring, episodes 1 to 20", paid[:, :20]), ("adapted, episodes 21 to 30", paid[:, 20:])):
        agents = part.mean(axis=1)
        half = 1.96 * agents.std(ddof=1) / len(agents) ** 0.5
        print(f"- {name}: {agents.mean():.2f} ± {half:.2f} of 4 ({part.size} episodes)")


if __name__ == "__main__":
    main()
