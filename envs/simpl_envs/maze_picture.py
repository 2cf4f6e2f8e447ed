"""The former place of ``simpl_envs.maze.picture``."""

import warnings
from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("simpl_envs.maze.picture"), name)
    text = f"simpl_envs.maze_picture.{name} is deprecated: import it from simpl_envs.maze.picture"
    warnings.warn(text, DeprecationWarning, stacklevel=2)
    return value
