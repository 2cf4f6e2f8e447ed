"""
Presets: what a set of experiments changes of the general defaults, by name.

A setting is named, documented and defaulted in its settings class; a preset holds only what differs, and is checked
against those classes when it is made. In Python: ``SkillPriorPEARL("MlpPolicy", env, **preset("paper").meta_train)``.
``default`` and ``paper`` are for every domain; ``fast`` and ``paper`` mean a domain's own preset where it has one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from simpl_sb3.algorithms.settings import MetaTrainingSettings
from simpl_sb3.errors import SettingsError
from simpl_sb3.methods import METHODS
from simpl_sb3.references import find_record
from simpl_sb3.settings import Settings, unknown_names
from simpl_sb3.skills.settings import ExtractionSettings, SkillModelSettings

__all__ = ["PRESETS", "PRETRAINED", "Preset", "find_preset", "preset", "split_settings"]

PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""Folder of the trained models that come along: ``PRETRAINED / "maze-fast" / "model.zip"``."""
DEFAULT_DOMAIN = "maze"
"""The domain of a command that names neither a domain nor a preset."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """
    What differs from the defaults, from demonstrations to adapted agents.

    :param name: what the command line calls it
    :param domain: name of the domain that it is for; None for any
    :param dataset_id: Minari dataset that ``collect`` writes and ``extract`` reads; None takes the domain's
    :param train_tasks: name of the task set for meta-training; None takes the domain's
    :param test_tasks: name of the task set to adapt to; None takes the domain's
    :param n_trajectories: demonstrations
    :param skill_updates: updates of the skill extractor
    :param meta_timesteps: skills of meta-training
    :param demo_episodes: episodes of each task in the demo: minutes, not an hour
    :param collect: of the domain's demonstrator
    :param extract: of ``SkillModelSettings`` and ``ExtractionSettings``
    :param meta_train: of ``MetaTrainingSettings``
    :param meta_train_env: of the environment in meta-training
    :param adapt: of ``AdaptationSettings``, for the method simpl
    :param spirl: of ``AdaptationSettings``, for the method spirl
    :param sections: the same for other methods, by their ``preset_section``
    :raises SettingsError: for a setting that there is not, or a value outside its range
    """

    name: str
    domain: str | None = None
    dataset_id: str | None = None
    train_tasks: str | None = None
    test_tasks: str | None = None
    n_trajectories: int = 1_000
    skill_updates: int = 8_000
    meta_timesteps: int = 250_000
    demo_episodes: int = 60
    collect: Mapping[str, Any] = field(default_factory=dict)
    extract: Mapping[str, Any] = field(default_factory=dict)
    meta_train: Mapping[str, Any] = field(default_factory=dict)
    meta_train_env: Mapping[str, Any] = field(default_factory=dict)
    adapt: Mapping[str, Any] = field(default_factory=dict)
    spirl: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("n_trajectories", "skill_updates", "meta_timesteps", "demo_episodes"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise SettingsError(f"Preset {self.name}: {name} is {getattr(self, name)!r}: expected at least 1.")
        try:
            split_settings(self.extract, SkillModelSettings, ExtractionSettings)
            MetaTrainingSettings.of(self.meta_train)
            for method in METHODS.values():
                method.settings_class().of(self.section(method.preset_section))
        except SettingsError as error:
            raise SettingsError(f"Preset {self.name}: {error}") from error

    def section(self, name: str) -> Mapping[str, Any]:
        """What it changes for a method or stage; nothing where it says nothing."""
        own = {declared.name for declared in fields(self)} - {"name", "sections"}
        found = getattr(self, name) if name in own else self.sections.get(name, {})
        return dict(found)


def split_settings(values: Mapping[str, Any], *records: type[Settings]) -> list[Settings]:
    """
    Settings by name, each in the class that declares it.

    :param values: settings of any of the classes
    :param records: the classes; their names do not overlap
    :return: one record of each class
    :raises SettingsError: for a name that none of them has, or a value outside its range
    """
    known = [name for record in records for name in record.names()]
    if unknown := [name for name in values if name not in known]:
        raise unknown_names(" and ".join(record.__name__ for record in records), unknown, known)
    return [record.of({name: values[name] for name in record.names() if name in values}) for record in records]


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
    "prior_temperature": 1.0,
    "min_observation_std": 1e-6,
}
_PAPER_LEARNER: dict[str, Any] = {
    "learning_rate": 3e-4,
    "tau": 0.005,
    "n_steps": 1,
    "multiplier_learning_rate": 3e-4,
    "multipliers_only_grow": True,
    "kl_clip": 5.0,
}
_PAPER_META: dict[str, Any] = {
    **_PAPER_LEARNER,
    "gradient_steps": -1,
    "hindsight": False,
    "exploration": "prior",
    "exploration_latent_skills": None,
    "task_encoder": "set-transformer",
    "context_reward_rows": 0,
    "skill_kl_targets": (0.5, 1.0),
}
_PAPER_ADAPT: dict[str, Any] = {
    **_PAPER_LEARNER,
    "exploration": "prior",
    "exploration_latent_skills": None,
    "explore_until_reward": False,
    "context_size": None,
    "reuse_exploration": False,
    "initial_updates": 0,
    "batch_size": 256,
    "context_reward_rows": 8,
    "skill_kl_target": 1.0,
}
_PAPER_SPIRL: dict[str, Any] = {**_PAPER_ADAPT, "n_exploration_episodes": 0, "kl_clip": 10.0}

_MAZE: dict[str, Any] = {
    "domain": "maze",
    "n_trajectories": 3046,
    "collect": {"noise": 0.0},
}
_KITCHEN: dict[str, Any] = {
    "domain": "kitchen",
    "demo_episodes": 40,
    "n_trajectories": 700,
    "collect": {"noise": 0.1, "pushes": 0.02, "intended": True, "train_share": 0.7},
}
_FAST_META: dict[str, Any] = {"n_steps": 6, "hindsight": True}
_MAZE_FAST_ADAPT: dict[str, Any] = {"train_freq": 2, "skill_kl_target": 1.0, "kl_clip": 5.0}
_KITCHEN_FAST_RETURN: dict[str, Any] = {"gamma": 0.95, "handle_timeout_termination": False}  # time is what runs out
_KITCHEN_FAST_LEARNER: dict[str, Any] = {
    "skill_kl_target": 10.0,
    "kl_clip": 20.0,
}

_PAPER_MAZE_META: dict[str, Any] = {
    **_PAPER_META,
    "batch_size": 1024,
    "net_arch": (256, 256, 256),
    "context_sizes": (4, 8192),
    "tasks_per_update": (4, 26),
    "skill_kl_multipliers": (3e-3, 1e-3),
}
_PAPER_MAZE_SPIRL: dict[str, Any] = {**_PAPER_SPIRL, "net_arch": (256, 256, 256), "skill_kl_multiplier": 0.05}

_PAPER = Preset(
    name="paper",
    skill_updates=200_000,
    meta_timesteps=16_000_000,
    extract=_PAPER_SKILLS,
    meta_train=_PAPER_MAZE_META,
    adapt=_PAPER_ADAPT,
    spirl=_PAPER_MAZE_SPIRL,
)

PRESETS: dict[str, Preset] = {
    "default": Preset(name="default", spirl={"n_exploration_episodes": 0}),
    "paper": _PAPER,
    "maze-paper": replace(_PAPER, name="maze-paper", **_MAZE),
    "maze-fast": Preset(
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
        meta_train={**_FAST_META, "context_reward_rows": 8, "skill_kl_targets": (0.5, 1.0), "kl_clip": 5.0},
        adapt={**_MAZE_FAST_ADAPT, "context_reward_rows": 8},
        spirl={**_MAZE_FAST_ADAPT, "context_reward_rows": 8, "n_exploration_episodes": 0, "skill_kl_multiplier": 0.05},
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
        meta_train={
            **_FAST_META,
            **_KITCHEN_FAST_RETURN,
            "gradient_steps": 200,
            "task_latent_dim": 6,
            "net_arch": (256,) * 3,
            "context_reward_rows": 64,
            "skill_kl_targets": (0.5, 10.0),
            "exploration_latent_skills": None,
        },
        meta_train_env={"physics": "fast"},
        adapt={**_KITCHEN_FAST_LEARNER, "exploration_latent_skills": None, "context_reward_rows": 64},
        spirl={
            **_KITCHEN_FAST_LEARNER,
            **_KITCHEN_FAST_RETURN,
            "n_exploration_episodes": 0,
            "context_reward_rows": 8,
            "net_arch": (256,) * 3,
            "skill_kl_multiplier": 0.05,
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


def find_preset(text: str | None, domain: str) -> Preset:
    """
    :param text: one of ``PRESETS``, a name without its domain (``fast``, ``paper``), or ``module:NAME`` or a Python
        file with a preset of your own; None takes the domain's ``fast``, or else ``default``
    :param domain: name of the domain that it is used for
    :raises SettingsError: where there is none, or it is for another domain
    """
    if text is None:
        return PRESETS.get(f"{domain}-fast", PRESETS["default"])
    found = PRESETS.get(f"{domain}-{text}") or find_record(text, Preset, PRESETS, "preset")
    if found.domain not in (None, domain):
        fitting = ", ".join(name for name, known in PRESETS.items() if known.domain in (None, domain))
        raise SettingsError(
            f"Preset {found.name} is for the domain {found.domain}, not for {domain}: expected one of {fitting}."
        )
    return found


def presets_domain(text: str | None) -> str | None:
    """The domain that a preset is for, by the preset's name; None where it says none or there is no such preset."""
    if text is None:
        return None
    if text in PRESETS:
        return PRESETS[text].domain
    return find_record(text, Preset, PRESETS, "preset").domain if ".py" in text or ":" in text else None
