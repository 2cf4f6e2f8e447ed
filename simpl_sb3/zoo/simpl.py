"""
Hyperparameters of ``SkillPriorPEARL`` (SiMPL) for ``rl_zoo3``: the meta-training of each domain's ``fast`` preset.

Note: under the zoo the kitchen's meta-training runs in the published physics; the preset's is faster.
"""

from typing import Any

from simpl_sb3.experiments.presets import preset
from simpl_sb3.zoo import ENVIRONMENTS, written

__all__ = ["hyperparams"]

N_ENVS = 20  # stepped one after the other

hyperparams: dict[str, dict[str, Any]] = {
    env_id: {
        "policy": "MlpPolicy",
        "n_envs": N_ENVS,
        "n_timesteps": float(preset(f"{domain}-fast").meta_timesteps or 0),
        **written(preset(f"{domain}-fast").meta_train),
    }
    for env_id, domain in ENVIRONMENTS.items()
}
"""By environment; a timestep is a skill."""
