"""Hyperparameters of sb3-contrib's TQC over skills, for ``rl_zoo3``: those of SAC."""

from typing import Any

from simpl_sb3.zoo import ENVIRONMENTS
from simpl_sb3.zoo.sac import SKILLS

__all__ = ["hyperparams"]

hyperparams: dict[str, dict[str, Any]] = {env_id: dict(SKILLS) for env_id in ENVIRONMENTS}
"""By environment; a timestep is a skill."""
