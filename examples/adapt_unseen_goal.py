"""
The meta-trained agent that comes along adapts to a goal of the maze that it never saw, and a picture shows how it goes
there: on the left in its first episode, exploring; on the right in its last.
"""

from pathlib import Path

import gymnasium as gym
import imageio.v3 as iio
import numpy as np
import tyro

from simpl_envs import PUBLISHED_LAYOUT, GoalTask
from simpl_envs.maze.picture import draw_maze
from simpl_sb3 import PRETRAINED, SkillActionWrapper, SkillPriorPEARL


def main(
    goal: tuple[float, float] = (12.0, 7.0),
    model: Path = PRETRAINED / "maze-fast" / "model.zip",
    episodes: int = 40,
    exploring: int = 20,
    seed: int = 0,
    output: Path = Path("adapted.png"),
) -> None:
    """
    Adapt to one unseen goal.

    :param goal: cell of the maze
    :param model: what ``simpl-sb3 meta-train`` wrote
    :param episodes: of adaptation
    :param exploring: how many of them come before fine-tuning
    :param seed: of everything random
    :param output: picture to write
    """
    agent = SkillPriorPEARL.load(model)
    env = SkillActionWrapper(gym.make("SimplMaze-v0"), agent.skills)
    task = GoalTask(goal)
    history = []

    def note(_: int, episode: int, finished) -> None:
        history.append(finished)
        ending = "reached the goal" if finished.success else "gave up"
        print(f"episode {episode:3d} {ending} after {finished.episode.env_steps} env steps")

    agent.adapt(env, task, seed=seed, on_episode=note, n_episodes=episodes, n_exploration_episodes=exploring)
    reached = np.mean([finished.success for finished in history[-5:]])
    print(f"Goal {task.name}: reached in {reached:.0%} of the last five episodes.")

    pictures = []
    for episode in (history[0].episode, history[-1].episode):
        path = np.concatenate([episode.observations[:1], episode.env_observations])
        pictures.append(draw_maze(PUBLISHED_LAYOUT, task.goal, task.radius, position=path[-1], trails=[path]))
    gap = np.full((len(pictures[0]), 8, 3), 255, np.uint8)
    iio.imwrite(output, np.hstack([pictures[0], gap, pictures[1]]))
    print(f"Picture: {output}")


if __name__ == "__main__":
    tyro.cli(main)
