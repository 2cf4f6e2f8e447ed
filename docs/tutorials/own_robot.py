"""
An arm of one's own, from demonstrations to a page: Gymnasium-Robotics' Fetch carries a block to a place that it is not
told. The domain, its tasks and its demonstrator are one file, ``benchmarks/fetch.py``; here is what is done with it.

Each line is a command of ``simpl-sb3``; an interrupted run goes on with the same call.
"""

from pathlib import Path

import tyro

from simpl_sb3.experiments.cli import main as simpl_sb3

FETCH = Path(__file__).resolve().parents[2] / "benchmarks" / "fetch.py"


def main(
    output: Path = Path("runs/fetch"),
    domain: Path = FETCH,
    trajectories: int = 500,
    updates: int = 8_000,
    minutes: float = 15.0,
    episodes: int = 65,
    check_episodes: int = 100,
    seed: int = 0,
) -> None:
    """
    Demonstrations, skills, a check of them, meta-training, adaptation by SiMPL and SPiRL, a report.

    :param output: folder to make
    :param domain: a file with a Domain
    :param trajectories: demonstrations
    :param updates: of the skills
    :param minutes: of meta-training
    :param episodes: of each agent on its unseen place, 20 exploring ones included
    :param check_episodes: that the skill prior lives alone
    :param seed: of everything random
    """
    skills, model = output / "skills" / "skills.safetensors", output / "meta" / "model.zip"
    explore = ["--n-exploration-episodes", str(min(20, episodes))]
    commands = {
        "collect": ["--trajectories", str(trajectories), "--overwrite"],
        "extract": ["--output", str(output / "skills"), "--total-updates", str(updates)],
        "check-skills": [str(skills), "--output", str(output / "check"), "--episodes", str(check_episodes)],
        "meta-train": ["--skills", str(skills), "--output", str(output / "meta"), "--minutes", str(minutes)],
        "adapt": ["--from", str(model), "--output", str(output / "simpl.csv"), "--n-episodes", str(episodes), *explore],
    }
    for verb, flags in commands.items():
        simpl_sb3([verb, "--domain", str(domain), "--seed", str(seed), "--no-progress-bar", *flags])
    beside = ["--from", str(skills), "--output", str(output / "spirl.csv"), "--n-episodes", str(episodes)]
    simpl_sb3(
        ["adapt", "--domain", str(domain), "--method", "spirl", "--seed", str(seed), "--no-progress-bar", *beside]
    )
    simpl_sb3(["report", str(output), "--domain", str(domain), "--output", str(output / "report")])


if __name__ == "__main__":
    tyro.cli(main)
