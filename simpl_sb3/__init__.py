"""Skill-based meta-reinforcement learning (SiMPL) for Stable-Baselines3."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("simpl-sb3")
