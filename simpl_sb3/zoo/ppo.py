"""Hyperparameters of SB3's PPO over skills, for ``rl_zoo3``."""

from typing import Any

from simpl_sb3.zoo import ENVIRONMENTS

__all__ = ["hyperparams"]

SKILLS: dict[str, Any] = {
    "policy": "MlpPolicy",
    "n_envs": 8,
    "n_timesteps": 100_000.0,
    "n_steps": 256,
    "batch_size": 256,
    "gamma": 0.99,
    "policy_kwargs": {"net_arch": [128, 128]},
}
hyperparams: dict[str, dict[str, Any]] = {env_id: dict(SKILLS) for env_id in ENVIRONMENTS}
"""By environment; a timestep is a skill."""
