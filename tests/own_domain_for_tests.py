"""A domain as a user writes one: a Python file with an environment, its tasks, a demonstrator, and ``DOMAIN``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from simpl_sb3 import Episode
from simpl_sb3.domains import Demonstrator, Domain, Goals
from simpl_sb3.settings import Settings, setting


@dataclass(frozen=True, eq=False)
class Reach:
    """Reach a place on a line; equal to the same task of a copy of this file, which others may have loaded last."""

    goal: float

    def __eq__(self, other: object) -> bool:
        return type(self).__name__ == type(other).__name__ and self.goal == getattr(other, "goal", None)

    def __hash__(self) -> int:
        return hash(self.goal)

    @property
    def name(self) -> str:
        return f"at{self.goal:+.0f}"

    def rewards(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reached = np.abs(observations[:, 0] - self.goal) < 1.0
        return reached.astype(np.float32), reached


class LineEnv(gym.Env[np.ndarray, np.ndarray]):
    """A point on a line."""

    train_tasks = (Reach(-3.0), Reach(3.0))
    test_tasks = (Reach(2.0),)
    observation_space = gym.spaces.Box(-20.0, 20.0, (1,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, speed: float = 0.5, render_mode: str | None = None) -> None:
        self.speed, self.render_mode, self.task = speed, render_mode, self.train_tasks[0]

    def set_task(self, task: Reach) -> None:
        self.task = task

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.task = (options or {}).get("task", self.task)
        self.position = np.zeros(1, np.float32)
        return self.position.copy(), {"is_success": False, "task": self.task.name}

    def step(self, action: np.ndarray) -> Any:
        self.position = np.clip(self.position + self.speed * action, -20.0, 20.0).astype(np.float32)
        (reward,), (reached,) = self.task.rewards(self.position[None])
        return self.position.copy(), float(reward), bool(reached), False, {"is_success": bool(reached)}


@dataclass(frozen=True, kw_only=True)
class WalkSettings(Settings):
    """
    Of the walker.

    :param noise: standard deviation of the noise on actions
    """

    noise: float = setting(0.1, at_least=0.0)


def walk(n: int, seed: int, noise: float) -> Iterator[Episode]:
    rng = np.random.default_rng(seed)
    for _ in range(n):
        actions = np.clip(rng.choice([-1.0, 1.0]) + rng.normal(0.0, noise, (16, 1)), -1.0, 1.0)
        yield Episode(np.cumsum(np.concatenate([np.zeros((1, 1)), 0.5 * actions]), axis=0), actions)


gym.registry.pop("TestLine-v0", None)  # of a copy of this file
gym.register("TestLine-v0", LineEnv, max_episode_steps=20)

DOMAIN = Domain(
    name="line",
    env_id="TestLine-v0",
    task_sets={"train": LineEnv.train_tasks, "test": LineEnv.test_tasks},
    goals=Goals(
        goal=lambda task: np.array([task.goal]),
        achieved=lambda observations: observations[:, :1],
        reached=lambda places, goals: np.abs(places[:, 0] - goals[:, 0]) < 1.0,
    ),
    demonstrator=Demonstrator(demonstrate=walk, settings=WalkSettings, dataset_id="own/line-v0"),
)
