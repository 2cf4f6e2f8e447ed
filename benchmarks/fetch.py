"""
A domain of one's own, as a file for the command line: carry a block to a place that the arm is not told, on
Gymnasium-Robotics' ``FetchPickAndPlace-v4``::

    domain="--domain benchmarks/fetch.py"
    simpl-sb3 collect $domain --trajectories 500
    simpl-sb3 extract $domain --output runs/fetch/skills
    simpl-sb3 meta-train $domain --skills runs/fetch/skills/skills.safetensors --output runs/fetch/meta --minutes 15
    simpl-sb3 adapt $domain --from runs/fetch/meta/model.zip --output runs/fetch/simpl.csv --n-episodes 65

What the arm sees is the ``observation`` part of the environment's own; a task is a place on a ring around the middle of
the table; the reward is 1, and the episode ends, once the block is within 5 cm of it. Demonstrations are scripted and
know no task: grasp the block, carry it to random places, never let go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import gymnasium_robotics
import numpy as np
from gymnasium_robotics.utils import mujoco_utils

from simpl_envs.simulator import mujoco
from simpl_sb3 import Episode
from simpl_sb3.domains import Demonstrator, Domain
from simpl_sb3.settings import Settings, setting

gym.register_envs(gymnasium_robotics)
# Gymnasium-Robotics 1.4.2 asserts ``numpy integer in (mjtJoint, mjtJoint)``, which MuJoCo 4 answers with no: plain ints
_JOINTS = {name: int(getattr(mujoco.mjtJoint, name)) for name in dir(mujoco.mjtJoint) if name.startswith("mjJNT")}
mujoco_utils.mujoco = SimpleNamespace(**{**vars(mujoco), "mjtJoint": SimpleNamespace(**_JOINTS)})

CENTRE = np.array([1.32, 0.75, 0.425])  # below the gripper's first position, at the table's height, metres
REACH = np.array([[1.08, 0.44, 0.43], [1.52, 1.06, 0.72]])  # corners of the box in which demonstrations carry


@dataclass(frozen=True)
class Place:
    """
    Bring the block to a place.

    :param goal: x, y, z, metres
    :param radius: largest distance that counts, metres
    """

    goal: tuple[float, float, float]
    radius: float = 0.05

    @property
    def name(self) -> str:
        return "_".join(f"{round(1000 * number)}" for number in self.goal)

    def rewards(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the observations (L, 25) that follow L env steps: rewards (L,) and whether each ends the episode (L,)."""
        reached = np.linalg.norm(observations[:, 3:6] - np.array(self.goal), axis=1) < self.radius
        return reached.astype(np.float32), reached


def random_places(n: int, seed: int) -> tuple[Place, ...]:
    """Places on a ring 24 cm from the middle of the table, 2 to 24 cm above it."""
    rng = np.random.default_rng(seed)
    angles, heights = 2 * np.pi * (np.arange(n) + rng.uniform(0, 1, n)) / n, rng.uniform(0.02, 0.24, n)
    offsets = np.stack([0.19 * np.cos(angles), 0.26 * np.sin(angles), heights], axis=1)
    return tuple(Place(tuple(round(float(number), 3) for number in place)) for place in CENTRE + offsets)


TASK_SETS = {"train": random_places(48, 0), "test": random_places(10, 1), "development": random_places(10, 2)}


class FetchPlace(gym.Wrapper):
    """The arm with a block, and a task that its observation does not show; 100 env steps of 40 ms."""

    train_tasks, test_tasks = TASK_SETS["train"], TASK_SETS["test"]

    def __init__(self, render_mode: str | None = None, max_episode_steps: int = 100) -> None:
        super().__init__(gym.make("FetchPickAndPlace-v4", render_mode=render_mode, max_episode_steps=max_episode_steps))
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (25,), np.float32)
        self.task = self.train_tasks[0]

    def set_task(self, task: Place) -> None:
        self.task = task
        self.unwrapped.goal = np.array(task.goal)  # where it is drawn

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        options = dict(options or {})
        task = options.pop("task", self.task)
        observation, _ = self.env.reset(seed=seed, options=options)
        self.set_task(task)  # the environment has drawn a goal of its own
        return self._seen(observation), {"task": task.name, "is_success": False}

    def step(self, action: np.ndarray):
        observation, _, _, truncated, _ = self.env.step(np.clip(action, -1.0, 1.0).astype(np.float64))
        seen = self._seen(observation)
        (reward,), (reached,) = self.task.rewards(seen[None])
        return seen, float(reward), bool(reached), truncated, {"task": self.task.name, "is_success": bool(reached)}

    @staticmethod
    def _seen(observation: dict[str, np.ndarray]) -> np.ndarray:
        return observation["observation"].astype(np.float32)


class Script:
    """
    Grasp the block and carry it from one random place to the next.

    :param rng: of the places
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.target = rng, rng.uniform(*REACH)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """An action for an observation (25,)."""
        gripper, block, width = observation[:3], observation[3:6], observation[9] + observation[10]
        offset = block - gripper
        held = np.linalg.norm(offset) < 0.025
        if np.linalg.norm(offset[:2]) > 0.02:  # above the block, open
            move, fingers = offset + [0.0, 0.0, 0.08 if np.linalg.norm(offset[:2]) > 0.04 else 0.04], 1.0
        elif not held:  # down
            move, fingers = offset, 1.0
        elif width > 0.056:  # close: the block is 5 cm wide
            move, fingers = offset, -1.0
        else:
            if np.linalg.norm(self.target - block) < 0.03:
                self.target = self.rng.uniform(*REACH)
            move, fingers = self.target - block, -1.0
        speed = np.linalg.norm(move) * 8.0
        return np.append(move * 8.0 / max(1.0, speed), fingers)


def demonstrate(n: int, seed: int, noise: float = 0.2, max_episode_steps: int = 150) -> Iterator[Episode]:
    """
    Demonstrations without rewards and without tasks.

    :param n: how many
    :param seed: of places, block and noise
    :param noise: standard deviation of what is added to the actions in the simulator. Recorded are the intended ones,
        so that skills see the way back
    :param max_episode_steps: length of each
    """
    env, rng = FetchPlace(max_episode_steps=max_episode_steps), np.random.default_rng(seed)
    for index in range(n):
        script, truncated = Script(rng), False
        observation, _ = env.reset(seed=seed if index == 0 else None)
        observations, actions, drift = [observation], [], np.zeros(4)
        while not truncated:
            actions.append(script(observation))
            near = np.linalg.norm(observation[6:9]) < 0.1 and observation[5] < 0.45  # a grasp needs a calm hand
            drift = 0.7 * drift + 0.7 * rng.normal(0.0, noise / 3 if near else noise, 4) * [1.0, 1.0, 1.0, 0.0]
            observation, _, _, truncated, _ = env.step(actions[-1] + drift)
            observations.append(observation)
        yield Episode(np.array(observations), np.array(actions))
    env.close()


@dataclass(frozen=True, kw_only=True)
class ScriptSettings(Settings):
    """
    Of the demonstrations.

    :param noise: standard deviation of what is added to the actions in the simulator
    :param max_episode_steps: length of each, env steps
    """

    noise: float = setting(0.2, at_least=0.0, at_most=1.0)
    max_episode_steps: int = setting(150, at_least=1)


gym.register("FetchPlace-v0", entry_point=FetchPlace, disable_env_checker=True)

DOMAIN = Domain(
    name="fetch",
    env_id="FetchPlace-v0",
    task_sets=TASK_SETS,
    demonstrator=Demonstrator(
        demonstrate=demonstrate,
        settings=ScriptSettings,
        dataset_id="own/fetch-place-v0",
        algorithm_name="scripted arm",
        description="A block carried to random places, without rewards or task labels.",
    ),
)
