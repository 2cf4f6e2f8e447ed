"""What can be done: skills, their extraction from demonstrations, and environments whose actions are skills."""

from simpl_sb3.skills.model import SkillModel

__all__ = ["SkillModel"]
