"""Presets of the kitchen."""

from typing import Any

from simpl_sb3.domains.preset import (
    FAST_ADAPT,
    FAST_META,
    PAPER_ADAPT,
    PAPER_META,
    PAPER_MULTI_TASK,
    PAPER_SKILLS,
    PAPER_SPIRL,
    Preset,
)

__all__ = ["PRESETS"]

_KITCHEN: dict[str, Any] = {
    "domain": "kitchen",
    "demo_episodes": 40,
    "n_trajectories": 700,
    "collect": {"noise": 0.1, "pushes": 0.02, "intended": True, "train_share": 0.7},
}
_KITCHEN_FAST_RETURN: dict[str, Any] = {"gamma": 0.95, "handle_timeout_termination": False}  # time is what runs out
_KITCHEN_FAST_LEARNER: dict[str, Any] = {
    **FAST_ADAPT,
    "skill_kl_target": 10.0,
    "kl_clip": 20.0,
}


PRESETS = (
    Preset(
        name="kitchen-paper",
        **_KITCHEN,
        skill_updates=200_000,
        meta_timesteps=640_000,
        extract={**PAPER_SKILLS, "decoder_hidden": (128,) * 6, "prior_hidden": (128,) * 7, "kl_weight": 5e-4},
        meta_train={
            **PAPER_META,
            "batch_size": 256,
            "buffer_size": 3_000,
            "context_buffer_size": 3_000,
            "net_arch": (128,) * 5,
            "task_latent_dim": 6,
            "context_sizes": (2, 1024),
            "tasks_per_update": (3, 27),
            "skill_kl_targets": (0.1, 4.0),
            "skill_kl_multipliers": (0.05, 0.03),
            "latent_kl_targets": (2.0, 10.0),
            "latent_kl_multipliers": (1e-3, 1e-4),
            "kl_clip": 6.0,
        },
        adapt={**PAPER_ADAPT, "skill_kl_target": 5.0, "kl_clip": 20.0},
        spirl={**PAPER_SPIRL, "net_arch": (128,) * 5, "skill_kl_target": 5.0, "skill_kl_multiplier": 1.0},
        sections={
            "pearl_train": {"n_steps": 1},
            "bc_pearl_train": {"n_steps": 1},
            "pearl_ft": {"n_steps": 1},
            "mtrl_train": {
                **PAPER_MULTI_TASK,
                "batch_size": 256,
                "buffer_size": 3_000,
                "net_arch": (128,) * 5,
                "skill_kl_target": 5.0,
                "skill_kl_multiplier": 1.0,
                "kl_clip": 20.0,
            },
        },
    ),
    Preset(
        name="kitchen-fast",
        **_KITCHEN,
        skill_updates=8_000,
        meta_timesteps=25_000,
        extract={"kl_weight": 0.1},
        meta_train={
            **FAST_META,
            **_KITCHEN_FAST_RETURN,
            "gradient_steps": 200,
            "task_latent_dim": 6,
            "net_arch": (256,) * 3,
            "context_reward_rows": 64,
            "skill_kl_targets": (0.5, 10.0),
            "exploration_latent_skills": None,
        },
        meta_train_env={"physics": "fast"},
        adapt={
            **_KITCHEN_FAST_LEARNER,
            "exploration": "posterior",
            "explore_until_reward": False,
            "meta_policy_patience": None,
            "exploration_latent_skills": None,
            "context_reward_rows": 64,
        },
        spirl={
            **_KITCHEN_FAST_LEARNER,
            **_KITCHEN_FAST_RETURN,
            "n_exploration_episodes": 0,
            "context_reward_rows": 8,
            "net_arch": (256,) * 3,
            "skill_kl_multiplier": 0.05,
        },
        sections={
            "sac": {"train_freq": 4},
            "mtrl_train": {
                **_KITCHEN_FAST_RETURN,
                "n_steps": 6,
                "hindsight": True,
                "net_arch": (256,) * 3,
                "skill_kl_target": 10.0,
                "kl_clip": 20.0,
            },
        },
    ),
)
"""``kitchen-paper`` and ``kitchen-fast``."""
