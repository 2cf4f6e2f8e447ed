"""
Any algorithm of Stable-Baselines3 learns over skills: here SAC or TQC on the maze, with the skills that come along.
One timestep is one skill, up to ten env steps. A few hundred show that it runs; to learn the goal takes many thousand.
"""

from pathlib import Path
from typing import Literal

import gymnasium as gym
import tyro
from sb3_contrib import TQC
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from simpl_envs import MAZE_TASK_SETS
from simpl_sb3 import PRETRAINED, SkillActionWrapper


def main(
    algorithm: Literal["SAC", "TQC"] = "SAC",
    timesteps: int = 300,
    skills: Path = PRETRAINED / "maze-fast" / "skills.safetensors",
    seed: int = 0,
    output: Path | None = None,
) -> None:
    """
    Learn one near goal of the maze over skills.

    :param algorithm: which
    :param timesteps: skills to live through
    :param skills: file of extracted skills
    :param seed: of everything random
    :param output: file for the trained model; nothing is written without it
    """
    env = Monitor(SkillActionWrapper(gym.make("SimplMaze-v0"), skills))
    env.get_wrapper_attr("set_task")(MAZE_TASK_SETS["easy"][0])
    constructor = {"SAC": SAC, "TQC": TQC}[algorithm]
    model = constructor("MlpPolicy", env, learning_starts=timesteps // 2, seed=seed)
    model.learn(timesteps, progress_bar=True)
    mean_return, _ = evaluate_policy(model, env, n_eval_episodes=2)
    print(f"{algorithm} after {timesteps} skills: {mean_return:.0%} of two episodes reach the goal")
    if output is not None:
        model.save(output)


if __name__ == "__main__":
    tyro.cli(main)
