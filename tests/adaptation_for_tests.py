"""A small meta-policy, and adaptations of three agents whose episodes are noted."""

from collections import defaultdict
from typing import Any

import numpy as np
from envs_for_tests import LineTask, line_envs, tiny_skills
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.skills.vec_env import SkillVecEnv

QUICK: dict[str, Any] = {
    "n_episodes": 5,
    "n_exploration_episodes": 2,
    "explore_until_reward": False,
    "meta_policy_patience": None,
    "exploration_skill_prior": 0.0,
    "initial_updates": 1,
    "updates_per_skill": 0.5,
    "batch_size": 6,
    "buffer_size": 100,
}
TASKS = [LineTask(1.3), LineTask(30.0), LineTask(-1.3)]
"""Reached after a few skills, never, and after a few skills."""
PROBE = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
Log = dict[int, list[tuple[int, FinishedEpisode]]]


def trained() -> SkillPriorPEARL:
    """A meta-policy, trained a little, so that no two of its outputs agree by chance."""
    model = SkillPriorPEARL(
        "MlpPolicy",
        SkillVecEnv(line_envs(4), tiny_skills()),
        learning_rate=0.01,
        batch_size=8,
        buffer_size=100,
        context_buffer_size=100,
        gradient_steps=5,
        net_arch=(8,),
        encoder_width=8,
        task_latent_dim=2,
        context_sizes=(2, 8),
        tasks_per_update=(1, 2),
        seed=0,
        device="cpu",
    )
    return model.learn(60)


def vec_env(number: int = len(TASKS)) -> SkillVecEnv:
    return SkillVecEnv(line_envs(number), tiny_skills())


def settings(**changes: Any) -> AdaptationSettings:
    return AdaptationSettings.of(QUICK | changes)


def run(
    meta: SkillPriorPEARL | None, env: VecEnv | None = None, **changes: Any
) -> tuple[list[SkillPriorSAC], Log, Adaptation]:
    """Adapt to all tasks; agents, what was told of each one's episodes, and the adaptation."""
    log: Log = defaultdict(list)

    def on_episode(agent: int, episode: int, finished: FinishedEpisode) -> None:
        log[agent].append((episode, finished))

    if meta is None:
        changes = {"net_arch": (8,), "n_exploration_episodes": 0} | changes
    adaptation = Adaptation(
        env or vec_env(),
        TASKS,
        tiny_skills(),
        meta,
        settings(**changes),
        seed=0,
        on_episode=on_episode,
    )
    return adaptation.run(), log, adaptation
