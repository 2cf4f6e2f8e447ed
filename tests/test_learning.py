"""
Do they learn? On a line whose ends are the goals, with skills that push one way, a prior that pushes none (minutes).

A random walk of the prior rarely gets to an end; the task is which one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from envs_for_tests import ACTIONS, OBSERVATIONS, LineEnv, LineTask, straight_skills

from simpl_sb3.rollouts import FinishedEpisode
from simpl_sb3.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.skill_prior_sac import SkillPriorSAC
from simpl_sb3.vec_env import SkillVecEnv, make_skill_vec_env

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

TRAIN = tuple(LineTask(goal) for goal in (-9.0, -8.0, -7.0, -6.0, 6.0, 7.0, 8.0, 9.0))
TEST = (LineTask(-8.5), LineTask(-6.5), LineTask(6.5), LineTask(8.5))
LIMIT, HORIZON, GAMMA = 80, 5, 0.95


def line(number: int) -> SkillVecEnv:
    skills = straight_skills(OBSERVATIONS, ACTIONS, HORIZON)
    return make_skill_vec_env(LineEnv, skills, number, limit=LIMIT, train_tasks=TRAIN, seed=0)


def successes(model: Any, tasks: Sequence[LineTask], number: int) -> float:
    """Share of episodes in which a sampled skill sequence gets to the goal."""
    env = line(number * len(tasks))
    for i in range(env.num_envs):
        env.env_method("set_task", tasks[i % len(tasks)], indices=[i])
    observations = env.reset()
    reached = np.zeros(env.num_envs, bool)
    ended = np.zeros(env.num_envs, bool)
    for _ in range(LIMIT // HORIZON):
        z, _ = model.predict(observations)
        observations, _, dones, infos = env.step(z)
        reached |= ~ended & dones & np.array([info["is_success"] for info in infos])
        ended |= dones
    assert ended.all()
    return float(reached.mean())


def test_skill_prior_sac_learns_a_task() -> None:
    env = line(8)
    env.env_method("set_task", LineTask(6.0))
    model = SkillPriorSAC(
        "MlpPolicy",
        env,
        learning_rate=1e-3,
        gradient_steps=4,
        batch_size=64,
        n_steps=4,
        net_arch=(64, 64),
        tau=0.02,
        seed=0,
        device="cpu",
    )
    before = successes(model, [LineTask(6.0)], 200)
    model.learn(8_000)
    assert before < 0.15
    assert successes(model, [LineTask(6.0)], 200) > 0.85


def test_skill_prior_pearl_learns_to_learn() -> None:
    """The posterior knows which way to go; an unseen task is inferred from a few episodes and solved."""
    model = SkillPriorPEARL(
        "MlpPolicy",
        line(len(TRAIN)),
        gradient_steps=40,
        batch_size=32,
        net_arch=(64, 64),
        encoder_width=64,
        task_latent_dim=2,
        context_sizes=(4, 64),
        tasks_per_update=(2, 6),
        tau=0.02,
        seed=0,
        device="cpu",
    )
    before = successes(model, TEST, 50)
    model.learn(12_000)
    results = {name: float(np.mean(values)) for name, values in model._results.items()}
    assert before < 0.15
    assert results["rollout/success_posterior"] > 0.6

    later: dict[int, list[bool]] = {}

    def on_episode(agent: int, episode: int, finished: FinishedEpisode) -> None:
        if episode > 15:
            later.setdefault(agent, []).append(finished.success)

    tasks = TEST * 2
    model.adapt_tasks(
        line(len(tasks)),
        tasks,
        seed=0,
        on_episode=on_episode,
        n_episodes=30,
        n_exploration_episodes=10,
        initial_updates=50,
    )
    assert np.mean([np.mean(values) for values in later.values()]) > 0.7
