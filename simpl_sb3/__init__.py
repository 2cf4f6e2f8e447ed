"""Skill-based meta-reinforcement learning (SiMPL) for Stable-Baselines3."""

from importlib.metadata import version

from simpl_sb3.config import PRESETS, PRETRAINED, AdaptationSettings, Preset, preset
from simpl_sb3.datasets import load_minari, write_minari
from simpl_sb3.demonstrations import DemonstrationDataset, Episode
from simpl_sb3.errors import SimplError
from simpl_sb3.skill_extractor import SkillExtractor
from simpl_sb3.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.skill_prior_sac import SkillPriorSAC
from simpl_sb3.skills import SkillModel
from simpl_sb3.vec_env import SkillVecEnv, make_skill_vec_env
from simpl_sb3.wrappers import SkillActionWrapper

__all__ = [
    "PRESETS",
    "PRETRAINED",
    "AdaptationSettings",
    "DemonstrationDataset",
    "Episode",
    "Preset",
    "SimplError",
    "SkillActionWrapper",
    "SkillExtractor",
    "SkillModel",
    "SkillPriorPEARL",
    "SkillPriorSAC",
    "SkillVecEnv",
    "__version__",
    "load_minari",
    "make_skill_vec_env",
    "preset",
    "write_minari",
]

__version__ = version("simpl-sb3")
