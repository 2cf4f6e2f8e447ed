"""
PEARL: the same meta-training and inference over the environment's own actions, without skills (Rakelly et al., 2019).

A wide Gaussian stands for the skill prior, so that the KL to it is the entropy bonus of PEARL but for a constant and a
pull to small actions. After the exploring episodes an agent acts with the inferred task latent and learns nothing more.
``methods.pearl_ft`` fine-tunes it after them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simpl_sb3.algorithms.settings import EXPLORATION, AdaptationSettings, MetaTrainingSettings
from simpl_sb3.errors import SettingsError
from simpl_sb3.methods.record import MakeEnv, TrainedModel
from simpl_sb3.methods.simpl import SIMPL, meta_policy
from simpl_sb3.settings import setting

__all__ = ["PEARL", "PearlAdaptationSettings", "PearlTrainingSettings", "primitive_policy"]

NATS_PER_ACTION = 2.0
"""KL budget of an action's dimension: SAC's target of -1 nat of entropy is 1.9 nats from N(0, 1)."""


@dataclass(frozen=True, kw_only=True)
class PearlTrainingSettings(MetaTrainingSettings):
    """
    Those of ``MetaTrainingSettings``, by default without what this library adds to the paper but for ``n_steps``; a
    skill is an action.

    :param n_steps: env steps that a transition spans at most; 20 are two skills of ten. Note: 1 in the paper, with
        which a rare reward is hardly learned of within the updates that two cores make (``benchmarks``)
    :param buffer_size: env steps kept, per task: as many as 20,000 skills of ten
    :param context_buffer_size: as ``buffer_size``
    :param gradient_steps: as there
    :param hindsight: as there
    :param exploration: as there
    :param exploration_latent_skills: as there, in env steps
    :param exploration_skill_prior: share of the exploring episodes whose actions are random
    :param skill_kl_targets: budgets of KL(policy || N(0, 1)), nats; None takes (0.5, 2 per action dimension)
    :param skill_kl_multipliers: their multipliers at the start; a nat is paid for at every env step
    """

    n_steps: int = setting(20, at_least=1, at_most=10_000)
    buffer_size: int = setting(200_000, at_least=1, at_most=100_000_000)
    context_buffer_size: int = setting(200_000, at_least=1, at_most=100_000_000)
    gradient_steps: int = setting(200, at_least=-1, at_most=10_000_000)
    hindsight: bool | None = False
    exploration: str = setting("prior", one_of=EXPLORATION[:2])
    exploration_latent_skills: int | None = setting(None, at_least=1)
    exploration_skill_prior: float = setting(0.0, at_least=0.0, at_most=1.0)
    skill_kl_targets: tuple[float, float] | None = setting(None, at_least=0.0)  # type: ignore[assignment]
    skill_kl_multipliers: tuple[float, float] = setting((1e-3, 1e-3), above=0.0)


@dataclass(frozen=True, kw_only=True)
class PearlAdaptationSettings(AdaptationSettings):
    """
    Those of ``AdaptationSettings``, without learning and without what this library adds.

    :param gradient_steps: updates per round; 0 only infers
    :param exploration: as there
    :param explore_until_reward: as there
    :param meta_policy_patience: as there
    :param exploration_latent_skills: as there, in env steps
    :param exploration_skill_prior: share of the exploring episodes whose actions are random
    :param reuse_exploration: as there
    :param initial_updates: as there
    """

    gradient_steps: int = setting(0, at_least=-1, at_most=1_000_000)
    exploration: str = setting("posterior", one_of=EXPLORATION)
    explore_until_reward: bool = False
    meta_policy_patience: int | None = setting(None, at_least=1)
    exploration_latent_skills: int | None = setting(None, at_least=1)
    exploration_skill_prior: float = setting(0.0, at_least=0.0, at_most=1.0)
    reuse_exploration: bool = False
    initial_updates: int = setting(0, at_least=0, at_most=10_000_000)


def train(source: Path | None, settings: Mapping[str, Any], make_env: MakeEnv, **how: Any) -> TrainedModel:
    """A ``SkillPriorPEARL`` over primitive actions."""
    from simpl_sb3.skills.primitive import PrimitiveActions

    if source is not None:
        raise SettingsError(f"PEARL starts from nothing: expected no --skills, not {source}.")
    return primitive_policy(
        PrimitiveActions(make_env.observation_space, make_env.action_space), settings, make_env, **how
    )


def primitive_policy(actions: Any, settings: Mapping[str, Any], make_env: MakeEnv, **how: Any) -> TrainedModel:
    """
    A ``SkillPriorPEARL`` over skills of one env step, whose KL budget is by default one per action dimension.

    :param actions: ``PrimitiveActions``
    """
    budgets = settings.get("skill_kl_targets") or (0.5, NATS_PER_ACTION * actions.skill_dim)
    return meta_policy(actions, {**settings, "skill_kl_targets": budgets}, make_env, **how)


PEARL = replace(
    SIMPL,
    name="pearl",
    label="PEARL",
    colour="#009E73",
    preset_section="pearl",
    train=train,
    train_needs="nothing",
    train_section="pearl_train",
    settings=PearlAdaptationSettings,
    train_settings=PearlTrainingSettings,
)
"""The record."""
