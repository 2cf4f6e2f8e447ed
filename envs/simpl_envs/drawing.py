"""
MuJoCo's pictures without a display. The way to OpenGL is chosen when the first picture is drawn, not when anything is
imported, so that simulation never needs OpenGL and the order of imports does not matter.
"""

import ctypes
import importlib
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simpl_envs.errors import DrawingError
from simpl_envs.simulator import mujoco

__all__ = ["OffScreenRenderer"]

_UNDECIDED = ("", "enable", "enabled", "on", "true", "1")
_FORBIDDEN = ("disable", "disabled", "off", "false", "0")
_MODULES = {"egl": "egl", "osmesa": "osmesa", "glfw": "glfw", "glx": "glfw", "wgl": "glfw", "cgl": "cgl"}
"""By value of MUJOCO_GL: the part of MuJoCo that makes such an OpenGL context."""
_LIBRARIES = {"egl": ("libEGL.so.1",), "osmesa": ("libOSMesa.so", "libOSMesa.so.8")}
"""System libraries of which one loads first: a failed import leaves PyOpenGL in a state that shuts out the next."""
_ADVICE = (
    "Install EGL (Debian, Ubuntu: `apt-get install libegl1 libgl1-mesa-dri`), or set MUJOCO_GL to what there is: "
    "egl, osmesa or glfw."
)
_MAX_GEOMS = 10_000


def _advice() -> str:
    """What to do: what the user chose comes before what may have to be installed."""
    asked = os.environ.get("MUJOCO_GL", "").strip()
    for name, fits in (("MUJOCO_EGL_DEVICE_ID", {None}), ("PYOPENGL_PLATFORM", {None, "egl", asked.lower()})):
        if os.environ.get(name) not in fits:
            return f"Unset {name}, which is {os.environ[name]!r}, or correct it."
    if asked and asked.lower() not in ("egl", *_UNDECIDED):
        return f"Unset MUJOCO_GL, which is {asked!r}; where there is no EGL either: {_ADVICE[0].lower()}{_ADVICE[1:]}"
    return _ADVICE


def _ways() -> list[str]:
    """
    The ways to OpenGL to try, in order: what MUJOCO_GL says now, else those that need no display before the others.

    :raises DrawingError: MUJOCO_GL forbids drawing, or has an unknown value
    """
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if asked in _FORBIDDEN:
        raise DrawingError(f"MUJOCO_GL={asked} forbids drawing. Unset it, or set it to egl, osmesa or glfw.")
    if asked in _MODULES:
        return [asked]
    if asked not in _UNDECIDED:
        raise DrawingError(f"MUJOCO_GL is {asked!r}: expected one of {', '.join(_MODULES)}, or nothing.")
    if sys.platform == "linux":
        has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        return ["egl", "glfw"] if has_display else ["egl"]
    return ["cgl", "glfw"] if sys.platform == "darwin" else ["glfw"]


def _load_one(*libraries: str) -> None:
    """
    Load the first of some system libraries that is there.

    :raises ImportError: there is none
    """
    flaws = list[str]()
    for library in libraries:
        try:
            ctypes.CDLL(library)
            return
        except OSError as error:
            flaws.append(f"{library} cannot be loaded: {error}")
    if flaws:
        raise ImportError("; ".join(flaws))


def _context_class(way: str) -> Callable[[int, int], Any]:
    """
    MuJoCo's class of OpenGL contexts.

    :raises ImportError: a system library or a Python package is missing; other errors come out of PyOpenGL
    """
    if sys.platform == "linux":
        _load_one(*_LIBRARIES.get(way, ()))
    name = "PYOPENGL_PLATFORM"
    platform = os.environ.get(name)
    try:
        made: type = importlib.import_module(f"mujoco.{_MODULES[way]}").GLContext
    except BaseException:
        if platform is None:  # MuJoCo sets it and forgets it
            os.environ.pop(name, None)
        raise
    # its own finaliser would run before the renderer's, which still needs the context
    return type(f"Owned{made.__name__}", (made,), {"__del__": lambda self: None})


class OffScreenRenderer:
    """
    Draws the state of one model into arrays.

    :param model: what is drawn
    :param width: pixels
    :param height: pixels
    :raises DrawingError: no OpenGL is to be had here, in one line that says what to install; or the picture is larger
        than the model allows
    """

    def __init__(self, model: Any, width: int, height: int) -> None:
        self._context: Any = None
        self._resources: Any = None
        most = model.vis.global_.offwidth, model.vis.global_.offheight
        if not (0 < width <= most[0] and 0 < height <= most[1]):
            raise DrawingError(f"Expected a picture of 1x1 to {most[0]}x{most[1]} pixels, got {width}x{height}.")
        self.model = model
        self._shape = height, width, 3
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._options = mujoco.MjvOption()
        self.scene = mujoco.MjvScene(model=model, maxgeom=_MAX_GEOMS)
        self._open(width, height)

    def _open(self, width: int, height: int) -> None:
        """The first way that leads to a context."""
        flaws, cause = list[str](), None
        for way in _ways():
            try:
                self._try(way, width, height)
                return
            except DrawingError as error:
                self.close()
                flaws.append(str(error))
                cause = error
        raise DrawingError(f"MuJoCo cannot draw here ({'; '.join(flaws)}). {_advice()}") from cause

    def _try(self, way: str, width: int, height: int) -> None:
        try:
            self._make(way, width, height)
        except Exception as error:  # ImportError, OSError, PyOpenGL's and MuJoCo's own, and AttributeError of None
            raise DrawingError(f"{way}: {_first_line(error)}") from error

    def _make(self, way: str, width: int, height: int) -> None:
        made = _context_class(way)
        with warnings.catch_warnings():
            if _MODULES[way] == "glfw":  # it warns where others raise
                warnings.simplefilter("error", importlib.import_module("glfw").GLFWError)
            self._context = made(width, height)
            self._context.make_current()
        self._resources = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_150.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._resources)

    def picture(self, data: Any, camera: Any) -> npt.NDArray[np.uint8]:
        """
        :param data: the state, ``mujoco.MjData``
        :param camera: the view point, ``mujoco.MjvCamera``
        :return: RGB, (height, width, 3)
        """
        if self._resources is None:
            raise DrawingError("This renderer is closed: make a new one.")
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, data, self._options, None, camera, everything, self.scene)
        self._context.make_current()
        mujoco.mjr_render(self._rectangle, self.scene, self._resources)
        pixels = np.empty(self._shape, dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._rectangle, self._resources)
        return np.ascontiguousarray(pixels[::-1])  # OpenGL's first row is the lowest

    def close(self) -> None:
        """Free what OpenGL holds; a second call does nothing."""
        context, self._context = self._context, None
        resources, self._resources = self._resources, None
        if resources is not None:
            with context.as_current():
                resources.free()
        if context is not None:
            context.free()
            _trim()

    def __del__(self) -> None:
        self.close()


def _trim() -> None:
    """Have the C library give back what OpenGL's threads freed: 30 MB of each kitchen that was drawn and closed."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # glibc's alone
        return
    trim(0)


def _first_line(error: Exception) -> str:
    """An error in one line, with its kind where the text alone says little."""
    text = str(error).strip().split("\n")[0]
    return text if isinstance(error, ImportError | RuntimeError) and text else f"{type(error).__name__}: {text}"
