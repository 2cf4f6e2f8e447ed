"""
Skills judged before any reinforcement learning: how far does their prior get alone, and what does its temperature do?

One Gaussian that is fitted to several skills also covers what lies between them. ``prior_temperature`` multiplies its
standard deviation: high wanders about on the spot, low keeps to one way.
"""

from pathlib import Path

import numpy as np
import tyro

from simpl_sb3 import PRETRAINED, SkillModel
from simpl_sb3.domains import find_domain
from simpl_sb3.experiments.checking import live_prior


def main(
    skills: Path = PRETRAINED / "maze-fast" / "skills.safetensors",
    domain: str = "maze",
    tasks: str | None = None,
    temperatures: tuple[float, ...] = (1.0, 0.5, 0.25),
    episodes: int = 100,
    seed: int = 0,
) -> None:
    """
    Print a line per temperature.

    :param skills: what ``simpl-sb3 extract`` wrote
    :param domain: as on the command line
    :param tasks: a task set; the domain's training set by default
    :param temperatures: factors on the prior's standard deviation
    :param episodes: that the prior lives at each
    :param seed: of environments and skills
    """
    model, record = SkillModel.load(skills), find_domain(domain)
    print(f"as extracted: temperature {model.prior_temperature}")
    for temperature in temperatures:
        model.prior_temperature = temperature
        life = live_prior(model, record, tasks, n_episodes=episodes, seed=seed)
        hardest = life.tasks[int(np.argmin(life.shares))].name
        print(
            f"temperature {temperature:4}: an episode reaches a task with probability {life.shares.mean():.3f}, "
            f"20 episodes {life.coverage(20):.2f} of the tasks; hardest {hardest} ({life.shares.min():.2f})"
        )


if __name__ == "__main__":
    tyro.cli(main)
