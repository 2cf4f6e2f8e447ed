"""Algorithms of SB3 and sb3-contrib train on skills unchanged: on the wrapper, and on the vec env over both kinds."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from envs_for_tests import SKILL_DIM, LineEnv, line_envs, tiny_skills
from sb3_contrib import TQC, RecurrentPPO
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy

from simpl_sb3.skills.vec_env import SkillVecEnv, make_skill_vec_env
from simpl_sb3.skills.wrapper import SkillActionWrapper

ON_POLICY: dict[str, Any] = {"n_steps": 8, "batch_size": 8, "n_epochs": 1}
OFF_POLICY: dict[str, Any] = {"learning_starts": 4, "batch_size": 8, "buffer_size": 100}
NETS: dict[str, Any] = {"net_arch": [8]}
ALGORITHMS: dict[str, tuple[type[BaseAlgorithm], str, dict[str, Any]]] = {
    "SAC": (SAC, "MlpPolicy", OFF_POLICY | {"policy_kwargs": NETS}),
    "PPO": (PPO, "MlpPolicy", ON_POLICY | {"policy_kwargs": NETS}),
    "TQC": (TQC, "MlpPolicy", OFF_POLICY | {"policy_kwargs": NETS}),
    "RecurrentPPO": (RecurrentPPO, "MlpLstmPolicy", ON_POLICY | {"policy_kwargs": NETS | {"lstm_hidden_size": 8}}),
}


def native_mazes() -> SkillVecEnv:
    maze = gym.make("SimplMaze-v0")
    return make_skill_vec_env(
        "SimplMaze-v0", tiny_skills(maze.observation_space, maze.action_space), 2, max_episode_steps=14
    )


ENVIRONMENTS: dict[str, Callable[[], Any]] = {
    "wrapper": lambda: SkillActionWrapper(LineEnv(), tiny_skills()),
    "vec env": lambda: SkillVecEnv(line_envs(2), tiny_skills()),
    "native vec env": native_mazes,
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_trains(algorithm: str, environment: str) -> None:
    cls, policy, settings = deepcopy(ALGORITHMS[algorithm])  # SB3 writes into policy_kwargs
    env = ENVIRONMENTS[environment]()
    model = cls(policy, env, seed=0, device="cpu", **settings)  # type: ignore[call-arg, arg-type]
    before = [parameter.clone() for parameter in model.policy.parameters()]
    model.learn(24)
    assert model.num_timesteps >= 24
    assert model._n_updates > 0  # type: ignore[attr-defined]
    assert any((old != new).any() for old, new in zip(before, model.policy.parameters(), strict=True))
    infos = list(model.ep_info_buffer or [])
    assert infos
    assert all(np.isfinite(info["r"]) for info in infos)
    vec_env = model.get_env()
    assert vec_env is not None
    z, _ = model.predict(vec_env.reset())  # type: ignore[arg-type]
    assert z.shape == (vec_env.num_envs, SKILL_DIM)
    assert len(evaluate_policy(model, vec_env, 2, return_episode_rewards=True)[0]) == 2  # type: ignore[arg-type]
    vec_env.close()
