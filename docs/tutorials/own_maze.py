"""
A maze of one's own, from its map to adapted agents: demonstrations, skills, a check, meta-training, unseen goals.

The maze is small and an episode short, so that everything takes some minutes on one core.
"""

from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import tyro

from simpl_envs import MazeLayout, random_goals
from simpl_envs.maze.planner import plan_trajectories
from simpl_sb3 import (
    DemonstrationDataset,
    Episode,
    SkillExtractor,
    SkillPriorPEARL,
    make_skill_vec_env,
)

ROWS = (
    "##########",
    "#...#....#",
    "#.#.#.##.#",
    "#.#......#",
    "#.####.#.#",
    "#......#.#",
    "#.##.###.#",
    "#..#.....#",
    "##...#.#.#",
    "##########",
)
LAYOUT = MazeLayout(ROWS, start=(5, 4))  # `#` is a wall; the start is a free cell
GOALS = random_goals(LAYOUT, 26, seed=0, min_distance=3)
TRAIN, TEST = GOALS[:20], GOALS[20:]
EPISODE = 400  # env steps: 40 skills


def demonstrations(n: int) -> Iterator[Episode]:
    """A planner drives between random cells; it knows no goal of ours."""
    for observations, actions in plan_trajectories(n, 0, layout=LAYOUT, min_steps=30, max_steps=600):
        yield Episode(observations, actions)


def envs(skills, n: int):
    """So many mazes whose actions are skills."""
    sets = {"train_tasks": TRAIN, "test_tasks": TEST}
    return make_skill_vec_env("SimplMaze-v0", skills, n, layout=LAYOUT, max_episode_steps=EPISODE, **sets)


def main(
    output: Path = Path("own_maze"),
    trajectories: int = 400,
    updates: int = 1500,
    timesteps: int = 12_000,
    gradient_steps: int = 100,
    episodes: int = 30,
    seed: int = 0,
) -> None:
    """Prints how often unseen goals are reached, exploring and afterwards; writes the model into ``output``."""
    one = gym.make("SimplMaze-v0", layout=LAYOUT, train_tasks=TRAIN, test_tasks=TEST)
    spaces = one.observation_space, one.action_space
    data = DemonstrationDataset.from_episodes(demonstrations(trajectories), *spaces, horizon=10, id="own maze")
    print(data)
    sizes = {"encoder_hidden": (64, 64), "decoder_hidden": (128, 128), "prior_hidden": (128, 128)}
    extractor = SkillExtractor(data, seed=seed, prior_temperature=0.5, kl_weight=0.03, **sizes)
    skills = extractor.learn(updates)
    print(f"skills: action error {extractor.metrics['validation/action_mse']:.3f} on episodes set aside")

    small = {"net_arch": (96, 96), "tasks_per_update": (2, 8), "exploration_latent_skills": 20}
    model = SkillPriorPEARL("MlpPolicy", envs(skills, len(TRAIN)), seed=seed, gradient_steps=gradient_steps, **small)
    model.learn(timesteps)
    success = model.metrics()
    print({name: round(value, 2) for name, value in success.items() if "success" in name})
    output.mkdir(parents=True, exist_ok=True)
    model.save(output / "model.zip")

    reached = np.zeros((len(TEST), episodes))

    def note(agent: int, episode: int, finished) -> None:
        reached[agent, episode - 1] = finished.success

    share = {"n_episodes": episodes, "n_exploration_episodes": min(10, episodes)}
    model.adapt_tasks(envs(skills, len(TEST)), TEST, seed=seed, on_episode=note, **share)
    print(f"unseen goals: first 3 episodes {reached[:, :3].mean():.0%}, last 5 {reached[:, -5:].mean():.0%}")


if __name__ == "__main__":
    tyro.cli(main)
