"""
An environment and a dataset of one's own. The first half is what you bring: an environment with tasks, and a controller that knows
none. The second half, ``main``, is all it takes to use them. Less than a minute on one core: ``python own_env.py --output own_env``
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np

from simpl_sb3 import Episode, SkillExtractor, SkillPriorPEARL, load_minari, make_skill_vec_env, write_minari


@dataclass(frozen=True)
class Reach:
    """A task is plain data with a name, and says what a trajectory of observations (L, O) would have earned."""

    x: float
    y: float

    @property
    def name(self) -> str:
        return f"{self.x:.1f}_{self.y:.1f}"

    def rewards(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reached = np.linalg.norm(observations - np.array([self.x, self.y]), axis=1) < 1.0
        return reached.astype(np.float32), reached


def ring(n: int, turn: float) -> tuple[Reach, ...]:
    return tuple(Reach(5 * np.cos(angle), 5 * np.sin(angle)) for angle in 2 * np.pi * (np.arange(n) + turn) / n)


class PointEnv(gym.Env[np.ndarray, np.ndarray]):
    """A point that starts in the middle; it sees where it is, and not where it should go."""

    train_tasks, test_tasks = ring(12, 0.0), ring(6, 0.25)

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(-20.0, 20.0, (2,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.task = self.train_tasks[0]

    def set_task(self, task: Reach) -> None:
        self.task = task

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.n_steps = self.np_random.normal(0.0, 0.1, 2).astype(np.float32), 0
        return self.position, {"is_success": False}

    def step(self, action):
        self.position, self.n_steps = np.clip(self.position + 0.3 * action, -20, 20).astype(np.float32), self.n_steps + 1
        (reward,), (reached,) = self.task.rewards(self.position[None])
        return self.position, float(reward), bool(reached), self.n_steps >= 60, {"is_success": bool(reached)}


def demonstrations(n: int, rng: np.random.Generator) -> Iterator[Episode]:
    """A controller walks to random places, one after the other; no rewards, no task labels."""
    for _ in range(n):
        position, observations, actions = rng.uniform(-6, 6, 2), [], []
        for _ in range(3):
            target = rng.uniform(-6, 6, 2)
            while np.linalg.norm(target - position) > 0.3:
                direction = (target - position) / np.linalg.norm(target - position)
                actions.append(np.clip(direction + rng.normal(0.0, 0.1, 2), -1, 1))
                observations.append(position)
                position = position + 0.3 * actions[-1]
        yield Episode(np.array([*observations, position]), np.array(actions))


def main(output: Path, seed: int, updates: int, skills_lived: int, episodes: int) -> None:
    os.environ["MINARI_DATASETS_PATH"] = str(output.resolve())  # where Minari keeps datasets
    env, rng = PointEnv(), np.random.default_rng(seed)
    write_minari("own/point-v0", demonstrations(200, rng), env.observation_space, env.action_space, overwrite=True)

    dataset = load_minari("own/point-v0", horizon=8)
    small = {"encoder_hidden": (64, 64), "decoder_hidden": (64, 64), "prior_hidden": (64, 64), "batch_size": 256}
    skills = SkillExtractor(dataset, horizon=8, skill_dim=4, seed=seed, **small).learn(updates, progress_bar=True)

    envs = make_skill_vec_env(PointEnv, skills, n_envs=len(env.train_tasks))
    small = {"net_arch": (64, 64), "encoder_width": 64, "batch_size": 64, "tasks_per_update": (2, 6), "gradient_steps": 60}
    model = SkillPriorPEARL("MlpPolicy", envs, seed=seed, **small).learn(skills_lived, progress_bar=True)
    model.save(output / "model.zip")

    success = np.zeros((len(env.test_tasks), episodes))

    def note(agent: int, episode: int, finished) -> None:
        success[agent, episode - 1] = finished.success

    envs = make_skill_vec_env(PointEnv, skills, n_envs=len(env.test_tasks))
    shorter = {"n_episodes": episodes, "n_exploration_episodes": episodes // 3, "initial_updates": 50}
    model.adapt_tasks(envs, env.test_tasks, seed=seed, on_episode=note, **shorter)
    print(f"Success on {len(success)} unseen tasks: first two episodes {success[:, :2].mean():.0%}, last five {success[:, -5:].mean():.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("own_env"), help="folder for dataset and model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--updates", type=int, default=1_000, help="of the skills")
    parser.add_argument("--skills-lived", type=int, default=3_000, help="of meta-training")
    parser.add_argument("--episodes", type=int, default=30, help="of adaptation, per task")
    main(**vars(parser.parse_args()))
