"""
Do they learn? On a line whose ends are the goals, with skills that push one way, a prior that pushes none (minutes).

A random walk of the prior rarely gets to an end; the task is which one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from envs_for_tests import ACTIONS, OBSERVATIONS, LineEnv, LineTask, straight_skills

from simpl_envs import KITCHEN_TASK_SETS
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.experiments.presets import PRETRAINED, preset
from simpl_sb3.skills.vec_env import SkillVecEnv, make_skill_vec_env

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

TRAIN = tuple(LineTask(goal) for goal in (-9.0, -8.0, -7.0, -6.0, 6.0, 7.0, 8.0, 9.0))
TEST = (LineTask(-8.5), LineTask(-6.5), LineTask(6.5), LineTask(8.5))
LIMIT, HORIZON, GAMMA = 80, 5, 0.95


LINE: dict[str, Any] = {
    "gradient_steps": 40,
    "batch_size": 32,
    "gamma": GAMMA,
    "tau": 0.02,
    "n_steps": 6,
    "kl_clip": 5.0,
    "skill_kl_targets": (0.5, 1.0),
    "context_reward_rows": 8,
    "net_arch": (64, 64),
    "encoder_width": 64,
    "task_latent_dim": 2,
    "context_sizes": (4, 64),
    "tasks_per_update": (2, 6),
    "device": "cpu",
}
"""Settings of meta-training on the line."""
SKILLS = straight_skills(OBSERVATIONS, ACTIONS, HORIZON)


def line(number: int) -> SkillVecEnv:
    return make_skill_vec_env(LineEnv, SKILLS, number, limit=LIMIT, train_tasks=TRAIN, seed=0)


def successes(model: Any, tasks: Sequence[LineTask], number: int) -> float:
    """Share of episodes in which sampled skills get to the goal."""
    env = line(number * len(tasks))
    for i in range(env.num_envs):
        env.env_method("set_task", tasks[i % len(tasks)], indices=[i])
    observations = env.reset()
    reached, ended = np.zeros(env.num_envs, bool), np.zeros(env.num_envs, bool)
    state, starts = None, np.ones(env.num_envs, bool)
    for _ in range(LIMIT // HORIZON):
        z, state = model.predict(observations, state, starts)
        observations, _, starts, infos = env.step(z)
        reached |= ~ended & starts & np.array([info["is_success"] for info in infos])
        ended |= starts
    assert ended.all()
    return float(reached.mean())


def test_skill_prior_sac_learns_a_task() -> None:
    env = line(8)
    env.env_method("set_task", LineTask(6.0))
    model = SkillPriorSAC(
        "MlpPolicy",
        env,
        learning_rate=1e-3,
        gradient_steps=2,
        batch_size=64,
        gamma=GAMMA,
        tau=0.02,
        n_steps=4,
        net_arch=(64, 64),
        skill_kl_multiplier=0.02,
        seed=0,
        device="cpu",
    )
    before = successes(model, [LineTask(6.0)], 200)
    model.learn(4_000)
    assert before < 0.2
    assert successes(model, [LineTask(6.0)], 200) > 0.9


@pytest.mark.parametrize("seed", [0, 1])
def test_skill_prior_pearl_learns_to_learn(seed: int) -> None:
    """
    The posterior knows which way to go; unseen tasks are inferred from a few episodes, and solved.

    Without the skill prior as a way to explore, meta-training of seed 1 never finds one of the ends.
    """
    model = SkillPriorPEARL("MlpPolicy", line(len(TRAIN)), **LINE, seed=seed)
    before = successes(model, TEST, 50)
    model.learn(6_000)
    assert before < 0.2
    assert np.mean(model._results["rollout/success_posterior"]) > 0.8

    later: list[bool] = []

    def on_episode(agent: int, episode: int, finished: FinishedEpisode) -> None:
        if episode > 10:
            later.append(finished.success)

    tasks = TEST * 3
    model.adapt_tasks(
        line(len(tasks)),
        tasks,
        seed=0,
        on_episode=on_episode,
        n_episodes=25,
        n_exploration_episodes=10,
        initial_updates=50,
        gamma=GAMMA,
    )
    assert len(later) == 15 * len(tasks)
    assert np.mean(later) > 0.8


@dataclass(frozen=True)
class Cost:
    """Every env step costs the distance to a place; nothing ends, and nothing is called a success."""

    goal: float

    @property
    def name(self) -> str:
        return f"{self.goal:g}"

    def rewards(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return -np.abs(observations[:, 0] - self.goal) / 10, np.zeros(len(observations), bool)


class CostEnv(LineEnv):
    """The line with costs."""

    train_tasks, test_tasks = (tuple(Cost(task.goal) for task in tasks) for tasks in (TRAIN, TEST))

    def __init__(self) -> None:
        super().__init__(LIMIT, CostEnv.train_tasks)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        *step, info = super().step(action)
        return *step, {"task": info["task"]}


@pytest.mark.filterwarnings("ignore:The environment's infos hold neither")
@pytest.mark.parametrize("seed", [0, 1])
def test_costs_without_any_success(seed: int) -> None:
    """
    Dense and negative rewards: the return is the measure, and what tells the task is the cheapest rows.

    To stay at the start costs 60 in the mean over the tasks, to go straight to the place 9.
    """
    model = SkillPriorPEARL("MlpPolicy", make_skill_vec_env(CostEnv, SKILLS, len(TRAIN), seed=0), **LINE, seed=seed)
    model.learn(6_000)
    assert np.mean(model._results["rollout/return_posterior"]) > -32.0

    first: list[float] = []
    later: list[float] = []

    def on_episode(agent: int, episode: int, finished: FinishedEpisode) -> None:
        if episode == 1 or episode > 10:
            (first if episode == 1 else later).append(finished.episode.total_reward)

    tasks = CostEnv.test_tasks * 3
    how = {"n_episodes": 25, "n_exploration_episodes": 10, "initial_updates": 50, "gamma": GAMMA}
    env = make_skill_vec_env(CostEnv, SKILLS, len(tasks))
    model.adapt_tasks(env, tasks, seed=0, on_episode=on_episode, **how)
    assert np.mean(first) < -45.0
    assert np.mean(later) > -32.0


def test_the_kitchen_agents_that_come_along_adapt() -> None:
    """At least the paper's 1.72 subtasks in the first ten episodes after exploring, on its ten target tasks."""
    model = SkillPriorPEARL.load(PRETRAINED / "kitchen-fast" / "model.zip", device="cpu")
    tasks = KITCHEN_TASK_SETS["target"]
    paid: list[float] = []

    def on_episode(agent: int, episode: int, finished: FinishedEpisode) -> None:
        if episode > 20:
            paid.append(finished.episode.total_reward)

    env = make_skill_vec_env("SimplKitchen-v0", model.skills, len(tasks))
    settings = {**preset("kitchen-fast").adapt, "n_episodes": 30}
    model.adapt_tasks(env, tasks, seed=100, on_episode=on_episode, **settings)
    assert len(paid) == 100
    assert np.mean(paid) > 1.72
