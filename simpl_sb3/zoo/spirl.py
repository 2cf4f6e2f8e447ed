"""Hyperparameters of ``SkillPriorSAC`` (SPiRL) for ``rl_zoo3``: those of each domain's ``fast`` preset."""

from typing import Any

from simpl_sb3.algorithms.settings import SkillPriorSACSettings
from simpl_sb3.experiments.presets import preset
from simpl_sb3.zoo import ENVIRONMENTS, written

__all__ = ["hyperparams"]

hyperparams: dict[str, dict[str, Any]] = {
    env_id: {
        "policy": "MlpPolicy",
        "n_timesteps": 20_000.0,
        **written(
            {
                name: value
                for name, value in preset(f"{domain}-fast").spirl.items()
                if name in SkillPriorSACSettings.names()
            }
        ),
    }
    for env_id, domain in ENVIRONMENTS.items()
}
"""By environment; a timestep is a skill."""
