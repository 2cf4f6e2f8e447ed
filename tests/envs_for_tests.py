"""Small environments, tasks and skills that the tests of the reinforcement-learning half share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium.spaces import Box, Dict
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import KVWriter, Logger

from simpl_sb3.experience.episode import SkillEpisode
from simpl_sb3.skills.model import SkillModel

OBSERVATIONS = Box(-50.0, 50.0, (2,), np.float32)
ACTIONS = Box(-1.0, 1.0, (1,), np.float32)
HORIZON, SKILL_DIM = 4, 3


def tiny_skills(observation_space: Box = OBSERVATIONS, action_space: Box = ACTIONS, **arguments: Any) -> SkillModel:
    """A frozen skill model with random weights; ``seed`` chooses them."""
    seed = arguments.pop("seed", 0)
    sizes = {"encoder_hidden": (8,), "decoder_hidden": (8,), "prior_hidden": (8,)}
    sizes |= {"norm": "none", "prior_temperature": 1.0}
    with th.random.fork_rng():
        th.manual_seed(seed)
        model = SkillModel(
            observation_space, action_space, **({"horizon": HORIZON, "skill_dim": SKILL_DIM} | sizes | arguments)
        )
    return model.freeze()


def straight_skills(observation_space: Box, action_space: Box, horizon: int) -> SkillModel:
    """Skills of which each is a constant action, a = z / 2, with a prior of N(0, 1) everywhere."""
    action_dim = action_space.shape[0]
    model = SkillModel(
        observation_space,
        action_space,
        horizon=horizon,
        skill_dim=action_dim,
        decoder_hidden=(),
        prior_hidden=(),
        norm="none",
        prior_temperature=1.0,
    )
    with th.no_grad():
        for net in (model.decoder, model.prior_net):
            for parameter in net.parameters():
                parameter.zero_()
        (weight,) = (parameter for parameter in model.decoder.parameters() if parameter.dim() == 2)
        weight[:, -action_dim:] = 0.5 * th.eye(action_dim)
    return model.freeze()


class CountingEnv(gym.Env[Any, np.ndarray]):
    """
    Observes (env steps so far, number of the episode) and pays the number of the step: 1, 2, 3, ...

    It returns the same array at every step, changed in place, as some environments do.
    """

    def __init__(self, terminate_at: int = 10**6, truncate_at: int = 10**6, key: str | None = None) -> None:
        self.terminate_at, self.truncate_at, self.key = terminate_at, truncate_at, key
        self.action_space = ACTIONS
        self.observation_space = (
            OBSERVATIONS if key is None else Dict({key: OBSERVATIONS, "other": Box(0.0, 1.0, (3,))})
        )
        self.render_mode = None
        self.state = np.zeros(2, np.float32)
        self.actions: list[np.ndarray] = []

    def observe(self) -> Any:
        return self.state if self.key is None else {self.key: self.state, "other": np.zeros(3, np.float32)}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.state[:] = 0, self.state[1] + 1
        return self.observe(), {"count": 0}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        self.state[0] += 1
        count = int(self.state[0])
        info = {"count": count} | ({"only_at_two": True} if count == 2 else {})
        return self.observe(), float(count), count >= self.terminate_at, count >= self.truncate_at, info


@dataclass(frozen=True)
class LineTask:
    """Reach a place on a line."""

    goal: float

    @property
    def name(self) -> str:
        return f"{self.goal:g}"

    def rewards(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reached = np.abs(observations[:, 0] - self.goal) <= 1.0
        return reached.astype(np.float32), reached


class LineEnv(gym.Env[np.ndarray, np.ndarray]):
    """
    A point on a line, observed as (x, x at the start), moved by 0.3 of the action; truncated after ``limit`` env steps.

    :param limit: env steps
    """

    train_tasks = (LineTask(1.5), LineTask(-1.5), LineTask(30.0))
    test_tasks = (LineTask(2.0), LineTask(-2.0))

    def __init__(
        self, limit: int = 14, train_tasks: tuple[LineTask, ...] | None = None, render_mode: str | None = None
    ) -> None:
        self.observation_space, self.action_space = OBSERVATIONS, ACTIONS
        self.limit, self.render_mode = limit, render_mode
        self.train_tasks = train_tasks or LineEnv.train_tasks
        self.task = self.train_tasks[0]
        self.x = np.zeros(2, np.float32)
        self.steps = 0

    def set_task(self, task: LineTask) -> None:
        self.task = task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.task = (options or {}).get("task", self.task)
        self.x = np.full(2, self.np_random.uniform(-0.2, 0.2), np.float32)
        self.steps = 0
        return self.x.copy(), {"task": self.task.name, "is_success": False}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.x[0] += 0.3 * float(action[0])
        self.steps += 1
        (reward,), (terminated,) = self.task.rewards(self.x[None])
        info = {"task": self.task.name, "is_success": bool(terminated)}
        return self.x.copy(), float(reward), bool(terminated), self.steps >= self.limit, info

    def render(self) -> np.ndarray | None:
        return None if self.render_mode is None else np.full((4, 4, 3), int(self.x[0]) + 100, np.uint8)


def line_envs(number: int, **arguments: Any) -> list[Callable[[], LineEnv]]:
    return [lambda: LineEnv(**arguments)] * number


def numbered_episode(
    first: int, length: int, terminated: bool = False, skill_steps: int = HORIZON, truncated: bool = False
) -> SkillEpisode:
    """An episode whose rows hold their own number: first, first + 1, ...; the next observation is the next number."""
    number = np.arange(first, first + length, dtype=np.float32)
    last = np.arange(length) == length - 1
    return SkillEpisode(
        observations=np.repeat(number[:, None], 2, axis=1),
        actions=np.repeat(number[:, None], SKILL_DIM, axis=1),
        rewards=number.copy(),
        terminated=np.float32(last & terminated),
        next_observations=np.repeat(number[:, None] + 1, 2, axis=1),
        skill_steps=np.full(length, skill_steps, np.float32),
        truncated=np.float32(last & truncated),
    )


class Recorder(KVWriter):
    """Keeps what a logger writes."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None:
        pass


def recorded(model: BaseAlgorithm) -> list[dict[str, Any]]:
    """The rows that a model will log, one per dump."""
    recorder = Recorder()
    model.set_logger(Logger(None, [recorder]))
    return recorder.rows


def same_parameters(one: th.nn.Module, other: th.nn.Module) -> bool:
    """To the bit."""
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == theirs and th.equal(mine, value) for (name, mine), (theirs, value) in pairs)
