"""Skill-based meta-reinforcement learning (SiMPL) for Stable-Baselines3."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints
    from simpl_sb3.algorithms.callbacks import AdaptationEvalCallback
    from simpl_sb3.algorithms.checkpoints import TrainingCheckpointCallback, load_checkpoint
    from simpl_sb3.algorithms.session import AdaptationSession
    from simpl_sb3.algorithms.settings import AdaptationSettings
    from simpl_sb3.algorithms.skill_prior_maml import SkillPriorMAML
    from simpl_sb3.algorithms.skill_prior_mtrl import SkillPriorMTRL
    from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
    from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
    from simpl_sb3.demonstrations.minari import load_minari, write_minari
    from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode
    from simpl_sb3.errors import SimplError
    from simpl_sb3.experience.collector import FinishedEpisode
    from simpl_sb3.experience.episode import RecordedEpisode
    from simpl_sb3.experiments.episode_log import EpisodeLog
    from simpl_sb3.experiments.live_pictures import PicturesCallback
    from simpl_sb3.experiments.presets import PRESETS, PRETRAINED, Preset, preset
    from simpl_sb3.hub.sharing import load_from_hub, push_to_hub
    from simpl_sb3.skills.base import Skills
    from simpl_sb3.skills.cloned import ClonedActions
    from simpl_sb3.skills.extractor import SkillExtractor
    from simpl_sb3.skills.model import SkillModel
    from simpl_sb3.skills.primitive import PrimitiveActions
    from simpl_sb3.skills.vec_env import SkillVecEnv, make_skill_vec_env
    from simpl_sb3.skills.wrapper import SkillActionWrapper

_HOMES = {
    "PRESETS": "experiments.presets",
    "PRETRAINED": "experiments.presets",
    "AdaptationCheckpoints": "algorithms.adaptation_checkpoints",
    "AdaptationEvalCallback": "algorithms.callbacks",
    "AdaptationSession": "algorithms.session",
    "AdaptationSettings": "algorithms.settings",
    "ClonedActions": "skills.cloned",
    "DemonstrationDataset": "demonstrations.windows",
    "Episode": "demonstrations.windows",
    "EpisodeLog": "experiments.episode_log",
    "FinishedEpisode": "experience.collector",
    "PicturesCallback": "experiments.live_pictures",
    "Preset": "experiments.presets",
    "PrimitiveActions": "skills.primitive",
    "RecordedEpisode": "experience.episode",
    "SimplError": "errors",
    "SkillActionWrapper": "skills.wrapper",
    "SkillExtractor": "skills.extractor",
    "SkillModel": "skills.model",
    "SkillPriorMAML": "algorithms.skill_prior_maml",
    "SkillPriorMTRL": "algorithms.skill_prior_mtrl",
    "SkillPriorPEARL": "algorithms.skill_prior_pearl",
    "SkillPriorSAC": "algorithms.skill_prior_sac",
    "SkillVecEnv": "skills.vec_env",
    "Skills": "skills.base",
    "TrainingCheckpointCallback": "algorithms.checkpoints",
    "load_checkpoint": "algorithms.checkpoints",
    "load_from_hub": "hub.sharing",
    "load_minari": "demonstrations.minari",
    "make_skill_vec_env": "skills.vec_env",
    "preset": "experiments.presets",
    "push_to_hub": "hub.sharing",
    "write_minari": "demonstrations.minari",
}
"""Where each public name lives; a module is imported when its first name is asked for (PEP 562)."""

__all__ = [
    "PRESETS",
    "PRETRAINED",
    "AdaptationCheckpoints",
    "AdaptationEvalCallback",
    "AdaptationSession",
    "AdaptationSettings",
    "ClonedActions",
    "DemonstrationDataset",
    "Episode",
    "EpisodeLog",
    "FinishedEpisode",
    "PicturesCallback",
    "Preset",
    "PrimitiveActions",
    "RecordedEpisode",
    "SimplError",
    "SkillActionWrapper",
    "SkillExtractor",
    "SkillModel",
    "SkillPriorMAML",
    "SkillPriorMTRL",
    "SkillPriorPEARL",
    "SkillPriorSAC",
    "SkillVecEnv",
    "Skills",
    "TrainingCheckpointCallback",
    "__version__",
    "load_checkpoint",
    "load_from_hub",
    "load_minari",
    "make_skill_vec_env",
    "preset",
    "push_to_hub",
    "write_minari",
]

__version__ = version("simpl-sb3")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
