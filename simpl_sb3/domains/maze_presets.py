"""Presets of the maze."""

from dataclasses import replace
from typing import Any

from simpl_sb3.domains.preset import FAST_ADAPT, FAST_META, PAPER, Preset

__all__ = ["PRESETS"]

_MAZE: dict[str, Any] = {
    "domain": "maze",
    "n_trajectories": 3046,
    "collect": {"noise": 0.0},
}
_MAZE_FAST_ADAPT: dict[str, Any] = {
    **FAST_ADAPT,
    "train_freq": 2,
    "skill_kl_target": 1.0,
    "kl_clip": 5.0,
}

PRESETS = (
    replace(PAPER, name="maze-paper", **_MAZE),
    Preset(
        name="maze-fast",
        **_MAZE,
        skill_updates=8_000,
        meta_timesteps=250_000,
        extract={
            "encoder_hidden": (128,) * 3,
            "decoder_hidden": (128,) * 4,
            "prior_hidden": (128,) * 4,
            "norm": "none",
            "kl_weight": 3e-2,
            "prior_temperature": 0.5,
            "min_observation_std": 1e-6,
            "batch_size": 512,
            "learning_rate": 2e-3,
        },
        meta_train={**FAST_META, "context_reward_rows": 8, "skill_kl_targets": (0.5, 1.0), "kl_clip": 5.0},
        adapt={**_MAZE_FAST_ADAPT, "context_reward_rows": 8, "meta_policy_patience": None},
        spirl={
            **_MAZE_FAST_ADAPT,
            "context_reward_rows": 8,
            "n_exploration_episodes": 0,
            "skill_kl_multiplier": 0.05,
            "handle_timeout_termination": True,
        },
        sections={
            "sac": {"train_freq": 16},
            "mtrl_train": {
                "n_steps": 6,
                "hindsight": True,
                "handle_timeout_termination": True,
                "skill_kl_target": 1.0,
                "kl_clip": 5.0,
            },
        },
    ),
)
"""``maze-paper`` and ``maze-fast``."""
