"""
MTRL: a policy for each training task over skills, distilled into a shared one, from which a new task is learned.

The paper's multi-task baseline (Nam et al., 2022), after Distral (Teh et al., 2017). Adaptation is SPiRL's, with the
shared policy in place of the skill prior.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from simpl_sb3.methods.record import Adapter, MakeEnv, TrainedModel
from simpl_sb3.methods.simpl import MetaPolicyAdapter
from simpl_sb3.methods.spirl import SPIRL

__all__ = ["MTRL"]


def train(
    source: Path, settings: Mapping[str, Any], make_env: MakeEnv, *, n_envs: int, device: str, **how: Any
) -> TrainedModel:
    """A ``SkillPriorMTRL`` over the skills of a file."""
    from simpl_sb3.algorithms.skill_prior_mtrl import SkillPriorMTRL
    from simpl_sb3.skills.model import SkillModel

    env = make_env(SkillModel.load(source, device=device), n_envs)
    return SkillPriorMTRL("MlpPolicy", env, device=device, **how, **settings)


def adapt(source: Path, settings: Mapping[str, Any], make_env: MakeEnv, device: str) -> Adapter:
    """The model of a file."""
    from simpl_sb3.algorithms.skill_prior_mtrl import SkillPriorMTRL

    return MetaPolicyAdapter(SkillPriorMTRL.load(source, device=device), settings)


MTRL = replace(
    SPIRL,
    name="mtrl",
    label="MTRL",
    colour="#CC79A7",
    adapt=adapt,
    needs="meta-model",
    preset_section="spirl",
    unused=(*SPIRL.unused, "net_arch", "activation_fn"),
    follows_model=("gamma", "gamma_per_env_step", "handle_timeout_termination", "matmul_precision"),
    train=train,
    train_section="mtrl_train",
    train_settings="simpl_sb3.algorithms.settings:MultiTaskSettings",
)
