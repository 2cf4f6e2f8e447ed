"""
What can be done: skills, their extraction from demonstrations, and environments whose actions are skills.

A module is imported when its first name is asked for, so that :mod:`~simpl_sb3.skills.settings` loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simpl_sb3.skills.base import Skills
    from simpl_sb3.skills.cloned import ClonedActions
    from simpl_sb3.skills.model import SkillModel
    from simpl_sb3.skills.primitive import PrimitiveActions

__all__ = ["ClonedActions", "PrimitiveActions", "SkillModel", "Skills"]

_HOMES = {"ClonedActions": "cloned", "PrimitiveActions": "primitive", "SkillModel": "model", "Skills": "base"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
