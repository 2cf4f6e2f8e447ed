"""
An environment and a dataset of one's own. The first half is what you bring: an environment with tasks, and a
controller that knows none. The second half, ``main``, is how they are used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import tyro

from simpl_sb3 import Episode, SkillExtractor, SkillPriorPEARL, load_minari, make_skill_vec_env, write_minari


@dataclass(frozen=True)
class Reach:
    """A task is plain data; it has a name, and knows what a trajectory of observations (L, O) would have earned."""

    angle: float

    @property
    def name(self) -> str:
        return f"{self.angle:.2f}"

    def rewards(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        goal = 5 * np.array([np.cos(self.angle), np.sin(self.angle)])
        reached = np.hypot(*(observations - goal).T) < 1.0
        return reached.astype(np.float32), reached


class PointEnv(gym.Env[np.ndarray, np.ndarray]):
    """A point that sees where it is, and not where it should go."""

    train_tasks = tuple(Reach(2 * np.pi * k / 12) for k in range(12))
    test_tasks = tuple(Reach(2 * np.pi * (k + 0.25) / 6) for k in range(6))

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(-20.0, 20.0, (2,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.task = self.train_tasks[0]

    def set_task(self, task: Reach) -> None:
        self.task = task

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n_steps, self.position = 0, self.np_random.normal(0.0, 0.1, 2).astype(np.float32)
        return self.position, {"is_success": False}

    def step(self, action):
        self.n_steps += 1
        self.position = np.clip(self.position + 0.3 * action, -20, 20).astype(np.float32)
        (reward,), (reached,) = self.task.rewards(self.position[None])
        return self.position, float(reward), bool(reached), self.n_steps >= 60, {"is_success": bool(reached)}


def demonstrations(n: int, rng: np.random.Generator) -> Iterator[Episode]:
    """A controller walks to random places; no rewards, no task labels."""
    for _ in range(n):
        position, observations, actions = rng.uniform(-6, 6, 2), [], []
        for _ in range(3):
            target = rng.uniform(-6, 6, 2)
            while (distance := np.linalg.norm(target - position)) > 0.3:
                actions.append(np.clip((target - position) / distance + rng.normal(0.0, 0.1, 2), -1, 1))
                observations.append(position)
                position = position + 0.3 * actions[-1]
        yield Episode(np.array([*observations, position]), np.array(actions))


def main(output: Path = Path("own_env"), updates: int = 1000, timesteps: int = 8000, episodes: int = 40, seed: int = 0):
    """Writes dataset and model into ``output``; prints how often unseen tasks are solved, before and after."""
    env, rng = PointEnv(), np.random.default_rng(seed)
    spaces, here = (env.observation_space, env.action_space), {"root": output}  # the folder for datasets
    write_minari("own/point-v0", demonstrations(200, rng), *spaces, overwrite=True, **here)

    small = {"encoder_hidden": (64, 64), "decoder_hidden": (64, 64), "prior_hidden": (64, 64), "batch_size": 256}
    data = load_minari("own/point-v0", horizon=8, **here)
    extractor = SkillExtractor(data, horizon=8, skill_dim=4, seed=seed, **small)
    skills = extractor.learn(updates, progress_bar=True)

    envs = make_skill_vec_env(PointEnv, skills, n_envs=len(env.train_tasks))
    small = {"net_arch": (64, 64), "batch_size": 64, "tasks_per_update": (2, 6), "gradient_steps": 100}
    model = SkillPriorPEARL("MlpPolicy", envs, seed=seed, **small).learn(timesteps, progress_bar=True)
    model.save(output / "model.zip")

    success = np.zeros((len(env.test_tasks), episodes))

    def note(agent: int, episode: int, finished) -> None:
        success[agent, episode - 1] = finished.success

    envs = make_skill_vec_env(PointEnv, skills, n_envs=len(env.test_tasks))
    shares = {"n_episodes": episodes, "n_exploration_episodes": episodes // 3}
    model.adapt_tasks(envs, env.test_tasks, seed=seed, on_episode=note, **shares)
    print(f"Unseen tasks solved: first 2 episodes {success[:, :2].mean():.0%}, last 5 {success[:, -5:].mean():.0%}")


if __name__ == "__main__":
    tyro.cli(main)
