"""Hyperparameters of SB3's SAC over skills, for ``rl_zoo3``."""

from typing import Any

from simpl_sb3.zoo import ENVIRONMENTS

__all__ = ["hyperparams"]

SKILLS: dict[str, Any] = {
    "policy": "MlpPolicy",
    "n_timesteps": 20_000.0,
    "learning_starts": 500,
    "buffer_size": 20_000,
    "batch_size": 128,
    "gamma": 0.99,
    "train_freq": 1,
    "gradient_steps": 1,
    "policy_kwargs": {"net_arch": [128, 128, 128]},
}
hyperparams: dict[str, dict[str, Any]] = {env_id: dict(SKILLS) for env_id in ENVIRONMENTS}
"""By environment; a timestep is a skill."""
