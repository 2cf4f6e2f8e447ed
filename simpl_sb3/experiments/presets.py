"""
Presets: plain keyword arguments of the classes that they configure, by name.

A setting is named and documented in one place, the constructor that takes it; a preset holds only what differs from the
constructor's own defaults. In Python: ``SkillPriorPEARL("MlpPolicy", env, **preset("maze-paper").meta_train)``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import formatannotation, signature
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from simpl_sb3.errors import SettingsError

PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""Folder of the trained models that come along: ``PRETRAINED / "maze-fast" / "model.zip"``."""
NOT_SETTINGS = ("self", "policy", "env", "dataset", "model", "folder", "seed", "device", "verbose", "tensorboard_log")


@dataclass(frozen=True)
class Preset:
    """
    Everything from demonstrations to adapted agents, for one environment.

    :param name: what the command line calls it
    :param env_id: registered environment
    :param dataset_id: Minari dataset that ``collect`` writes and ``extract`` reads
    :param train_tasks: name of the task set for meta-training
    :param test_tasks: name of the task set to adapt to
    :param n_trajectories: demonstrations
    :param skill_updates: updates of the skill extractor
    :param meta_timesteps: skills of meta-training
    :param collect: of the environment's demonstrator: ``noise`` on its actions, and what else it takes
    :param extract: of ``SkillExtractor``
    :param meta_train: of ``SkillPriorPEARL``
    :param meta_train_env: of the environment in meta-training, where it differs from the registered one
    :param adapt: of ``AdaptationSettings``
    :param spirl: of ``AdaptationSettings``, for the same agent without meta-training
    """

    name: str
    env_id: str
    dataset_id: str
    train_tasks: str
    test_tasks: str
    n_trajectories: int
    skill_updates: int
    meta_timesteps: int
    collect: Mapping[str, Any] = field(default_factory=dict)
    extract: Mapping[str, Any] = field(default_factory=dict)
    meta_train: Mapping[str, Any] = field(default_factory=dict)
    meta_train_env: Mapping[str, Any] = field(default_factory=dict)
    adapt: Mapping[str, Any] = field(default_factory=dict)
    spirl: Mapping[str, Any] = field(default_factory=dict)


_PAPER_SKILLS: dict[str, Any] = {
    "encoder": "lstm",
    "encoder_hidden": (128,),
    "decoder_hidden": (128,) * 4,
    "prior_hidden": (128,) * 6,
    "norm": "batch",
    "optimizer": "radam",
    "batch_size": 128,
    "learning_rate_decay": "none",
    "normalize_observations": False,
    "kl_weight": 1e-2,
    "learning_rate": 1e-3,
}
_PAPER_LEARNER: dict[str, Any] = {
    "learning_rate": 3e-4,
    "tau": 0.005,
    "n_steps": 1,
    "multiplier_learning_rate": 3e-4,
    "multipliers_only_grow": True,
}
_PAPER_META: dict[str, Any] = {
    **_PAPER_LEARNER,
    "gradient_steps": -1,
    "hindsight": False,
    "exploration": "prior",
    "exploration_latent_skills": None,
    "task_encoder": "set-transformer",
    "context_reward_rows": 0,
}
_PAPER_ADAPT: dict[str, Any] = {
    **_PAPER_LEARNER,
    "exploration": "prior",
    "exploration_latent_skills": None,
    "context_size": None,
    "reuse_exploration": False,
    "initial_updates": 0,
    "updates_per_skill": 1.0,
    "batch_size": 256,
}
_PAPER_SPIRL: dict[str, Any] = {**_PAPER_ADAPT, "n_exploration_episodes": 0, "kl_clip": 10.0}

_MAZE: dict[str, Any] = {
    "env_id": "SimplMaze-v0",
    "dataset_id": "simpl/maze-planner-v0",
    "train_tasks": "train-40",
    "test_tasks": "target",
    "n_trajectories": 3046,
    "collect": {"noise": 0.0},
}
_KITCHEN: dict[str, Any] = {
    "env_id": "SimplKitchen-v0",
    "dataset_id": "simpl/kitchen-scripted-v0",
    "train_tasks": "train",
    "test_tasks": "target",
    "n_trajectories": 700,
    "collect": {"noise": 0.1, "pushes": 0.02, "intended": True, "train_share": 0.7},
}
_KITCHEN_FAST_RETURN: dict[str, Any] = {"gamma": 0.95, "handle_timeout_termination": False}  # time is what runs out
_FAST_LEARNER: dict[str, Any] = {"learning_rate": 5e-4, "n_steps": 4}
_KITCHEN_FAST_LEARNER: dict[str, Any] = {
    **_FAST_LEARNER,
    "updates_per_skill": 1.0,
    "skill_kl_target": 10.0,
    "kl_clip": 20.0,
}

PRESETS: dict[str, Preset] = {
    "maze-paper": Preset(
        name="maze-paper",
        **_MAZE,
        skill_updates=200_000,
        meta_timesteps=16_000_000,
        extract=_PAPER_SKILLS,
        meta_train={
            **_PAPER_META,
            "batch_size": 1024,
            "net_arch": (256, 256, 256),
            "context_sizes": (4, 8192),
            "tasks_per_update": (4, 26),
            "skill_kl_multipliers": (3e-3, 1e-3),
        },
        adapt=_PAPER_ADAPT,
        spirl={**_PAPER_SPIRL, "net_arch": (256, 256, 256), "skill_kl_multiplier": 0.05},
    ),
    "maze-fast": Preset(
        name="maze-fast",
        **_MAZE,
        skill_updates=8_000,
        meta_timesteps=250_000,
        extract={"kl_weight": 3e-2, "prior_temperature": 0.5},
        meta_train={"n_steps": 6},
        adapt=_FAST_LEARNER,
        spirl={**_FAST_LEARNER, "n_exploration_episodes": 0},
    ),
    "kitchen-paper": Preset(
        name="kitchen-paper",
        **_KITCHEN,
        skill_updates=200_000,
        meta_timesteps=640_000,
        extract={**_PAPER_SKILLS, "decoder_hidden": (128,) * 6, "prior_hidden": (128,) * 7, "kl_weight": 5e-4},
        meta_train={
            **_PAPER_META,
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
        adapt={**_PAPER_ADAPT, "skill_kl_target": 5.0, "kl_clip": 20.0},
        spirl={**_PAPER_SPIRL, "net_arch": (128,) * 5, "skill_kl_target": 5.0, "skill_kl_multiplier": 1.0},
    ),
    "kitchen-fast": Preset(
        name="kitchen-fast",
        **_KITCHEN,
        skill_updates=8_000,
        meta_timesteps=25_000,
        extract={
            "encoder_hidden": (256,) * 3,
            "decoder_hidden": (256,) * 4,
            "prior_hidden": (256,) * 4,
            "norm": "layer",
            "kl_weight": 0.1,
            "batch_size": 256,
            "learning_rate": 1e-3,
            "min_observation_std": 0.01,
            "prior_temperature": 0.6,
        },
        meta_train={
            **_KITCHEN_FAST_RETURN,
            "n_steps": 6,
            "gradient_steps": 200,
            "task_latent_dim": 6,
            "net_arch": (256,) * 3,
            "context_reward_rows": 64,
            "skill_kl_targets": (0.5, 10.0),
            "kl_clip": 10.0,
            "exploration_latent_skills": None,
        },
        meta_train_env={"physics": "fast"},
        adapt={**_KITCHEN_FAST_LEARNER, "exploration_latent_skills": None, "context_reward_rows": 64},
        spirl={
            **_KITCHEN_FAST_LEARNER,
            **_KITCHEN_FAST_RETURN,
            "n_exploration_episodes": 0,
            "net_arch": (256,) * 3,
        },
    ),
}


def preset(name: str) -> Preset:
    """
    :param name: one of ``PRESETS``
    :raises SettingsError: for any other
    """
    if name not in PRESETS:
        raise SettingsError(f"No preset {name!r}: expected one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def parse_overrides(assignments: Sequence[str], target: Callable[..., Any], more: Sequence[str] = ()) -> dict[str, Any]:
    """
    Settings from the command line, such as ``learning_rate=3e-4`` or ``net_arch=[256,256]``.

    :param assignments: ``name=value`` each, the value in JSON; anything else is taken as text
    :param target: the class or function whose keyword arguments these must be
    :param more: further names that are allowed
    :raises SettingsError: for a name that ``target`` does not take, a value of another kind, or without ``=``
    """
    parameters = signature(target, eval_str=True).parameters
    hints = {name: one.annotation for name, one in parameters.items() if one.annotation is not one.empty}
    taken = [name for name in parameters if not name.startswith("_") and name not in NOT_SETTINGS]
    known = [*taken, *more]
    settings: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in known:
            raise SettingsError(f"--set {assignment}: expected name=value with one of the names {', '.join(known)}.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        value = tuple(value) if isinstance(value, list) else value
        if not _is_of(value, hints.get(name, Any)):
            raise SettingsError(
                f"--set {assignment}: expected {formatannotation(hints[name])} in JSON: 3, 0.1, true, null, [1, 2]."
            )
        settings[name] = value
    return settings


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value from JSON is of an annotation's kind, such as ``int | None`` or ``tuple[float, float]``."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_is_of(value, one) for one in inner)
    if origin in (tuple, Sequence):
        alike = isinstance(value, tuple) and (origin is Sequence or inner[-1] is ...)
        wanted = inner[:1] * len(value) if alike else inner
        return isinstance(value, tuple) and len(value) == len(wanted) and all(map(_is_of, value, wanted))
    if kind in (int, float):
        return not isinstance(value, bool) and isinstance(value, int if kind is int else int | float)
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)
