"""
MuJoCo, for simulation, whatever OpenGL this machine has: ``from simpl_envs.simulator import mujoco``.

``import mujoco`` itself also imports the OpenGL library that MUJOCO_GL names, and fails without it. A simulation needs
none of it; how pictures are drawn is decided where they are drawn (drawing.py).
"""

import importlib
import os
import sys
from typing import Any

__all__ = ["Rollout", "mujoco"]


def _import_mujoco() -> Any:
    """
    MuJoCo as the user's MUJOCO_GL asks for; without OpenGL where that cannot be had.

    :raises ImportError: if MuJoCo itself cannot be imported
    """
    before = {name: os.environ.get(name) for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    try:
        return importlib.import_module("mujoco")
    except Exception as error:  # with MUJOCO_GL=egl and no libEGL, an AttributeError of PyOpenGL
        if not before["MUJOCO_GL"]:
            raise ImportError(f"MuJoCo cannot be imported ({type(error).__name__}: {error})") from error
    try:
        os.environ["MUJOCO_GL"] = "disable"  # read while mujoco is imported, and nowhere else
        return importlib.import_module("mujoco")
    finally:
        for name, value in before.items():  # the failed import has set PyOpenGL's
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# a user's own `import mujoco` that came first, and worked, is the one that is used
mujoco: Any = sys.modules.get("mujoco") or _import_mujoco()
Rollout: Any = importlib.import_module("mujoco.rollout").Rollout
