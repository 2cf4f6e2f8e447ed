"""
The record of a preset: what a set of experiments changes of the general defaults, by name; and the presets for every
domain. Those of one domain stand beside its record.

A setting is named, documented and defaulted in its settings class; a preset holds only what differs, and is checked
against those classes when it is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from simpl_sb3.errors import SettingsError
from simpl_sb3.methods import METHODS
from simpl_sb3.settings import Settings, unknown_names
from simpl_sb3.skills.settings import ExtractionSettings, SkillModelSettings

__all__ = [
    "DEFAULT",
    "FAST_ADAPT",
    "FAST_META",
    "PAPER",
    "PAPER_ADAPT",
    "PAPER_META",
    "PAPER_MULTI_TASK",
    "PAPER_SKILLS",
    "PAPER_SPIRL",
    "Preset",
    "split_settings",
]


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
    :param meta_timesteps: skills of meta-training; None leaves it to the method
    :param demo_episodes: episodes of each task in the demo: minutes, not an hour
    :param collect: of the domain's demonstrator
    :param extract: of ``SkillModelSettings`` and ``ExtractionSettings``
    :param meta_train: of ``MetaTrainingSettings``
    :param meta_train_env: of the environment in meta-training
    :param adapt: of ``AdaptationSettings``, for the method simpl
    :param spirl: of ``AdaptationSettings``, for the method spirl
    :param sections: the same for other methods, by their ``preset_section`` and ``train_section``
    :raises SettingsError: for a setting that there is not, or a value outside its range
    """

    name: str
    domain: str | None = None
    dataset_id: str | None = None
    train_tasks: str | None = None
    test_tasks: str | None = None
    n_trajectories: int = 1_000
    skill_updates: int = 8_000
    meta_timesteps: int | None = None
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
            if name == "meta_timesteps" and self.meta_timesteps is None:
                continue
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise SettingsError(f"Preset {self.name}: {name} is {getattr(self, name)!r}: expected at least 1.")
        try:
            split_settings(self.extract, SkillModelSettings, ExtractionSettings)
            for method in METHODS.values():
                method.settings_class().of(self.section(method.preset_section))
                if method.train is not None:
                    method.train_settings_class().of(self.section(method.train_section))
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


PAPER_SKILLS: dict[str, Any] = {
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
"""Published settings of skill extraction, of both experiments."""
_PAPER_LEARNER: dict[str, Any] = {
    "learning_rate": 3e-4,
    "tau": 0.005,
    "n_steps": 1,
    "multiplier_learning_rate": 3e-4,
    "multipliers_only_grow": True,
    "kl_clip": 5.0,
}
PAPER_META: dict[str, Any] = {
    **_PAPER_LEARNER,
    "handle_timeout_termination": True,
    "gradient_steps": -1,
    "hindsight": False,
    "exploration": "prior",
    "exploration_latent_skills": None,
    "exploration_skill_prior": 0.0,
    "task_encoder": "set-transformer",
    "context_reward_rows": 0,
    "skill_kl_targets": (0.5, 1.0),
}
"""Published settings of meta-training, of both experiments."""
PAPER_MULTI_TASK: dict[str, Any] = {
    **_PAPER_LEARNER,
    "handle_timeout_termination": True,
    "gradient_steps": -1,
    "hindsight": False,
    "skill_kl_target": 1.0,
}
PAPER_ADAPT: dict[str, Any] = {
    **_PAPER_LEARNER,
    "exploration": "prior",
    "explore_until_reward": False,
    "meta_policy_patience": None,
    "exploration_latent_skills": None,
    "exploration_skill_prior": 0.0,
    "context_size": None,
    "reuse_exploration": False,
    "initial_updates": 0,
    "batch_size": 256,
    "context_reward_rows": 8,
    "skill_kl_target": 1.0,
}
"""Published settings of adaptation, of both experiments."""
PAPER_SPIRL: dict[str, Any] = {
    **PAPER_ADAPT,
    "n_exploration_episodes": 0,
    "kl_clip": 10.0,
    "handle_timeout_termination": True,
}
"""Published settings of SPiRL, of both experiments."""
FAST_META: dict[str, Any] = {
    "n_steps": 6,
    "hindsight": True,
    "exploration_skill_prior": 0.0,
    "handle_timeout_termination": True,
}
"""What the presets made for minutes share in meta-training."""
FAST_ADAPT: dict[str, Any] = {"exploration_skill_prior": 0.0}
"""What the presets made for minutes share."""

PAPER = Preset(
    name="paper",
    skill_updates=200_000,
    meta_timesteps=16_000_000,
    extract=PAPER_SKILLS,
    meta_train={
        **PAPER_META,
        "batch_size": 1024,
        "net_arch": (256, 256, 256),
        "context_sizes": (4, 8192),
        "tasks_per_update": (4, 26),
        "skill_kl_multipliers": (3e-3, 1e-3),
    },
    adapt=PAPER_ADAPT,
    spirl={**PAPER_SPIRL, "net_arch": (256, 256, 256), "skill_kl_multiplier": 0.05},
    sections={
        "pearl_train": {"n_steps": 1},
        "bc_pearl_train": {"n_steps": 1},
        "pearl_ft": {"n_steps": 1},
        "mtrl_train": {**PAPER_MULTI_TASK, "batch_size": 256, "net_arch": (256, 256, 256)},
    },
)
"""The published settings, at the sizes of its navigation experiment."""
DEFAULT = Preset(name="default", spirl={"n_exploration_episodes": 0})
"""The general recipe."""
