"""Pictures and OpenGL: simulation needs none, its absence costs the picture alone, imports may come in any order."""

import os
import subprocess
import sys

import gymnasium as gym
import mujoco
import numpy as np
import pytest
import without_egl_for_tests as without_egl

from simpl_envs import drawing
from simpl_envs.drawing import OffScreenRenderer
from simpl_envs.errors import DrawingError, SimplError
from simpl_envs.maze.layout import PUBLISHED_LAYOUT
from simpl_envs.maze.physics import maze_xml

CHOICES = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "MUJOCO_EGL_DEVICE_ID", "DISPLAY", "WAYLAND_DISPLAY")
LIVE = """
import os
before = dict(os.environ)
import simpl_envs
assert dict(os.environ) == before
import gymnasium as gym
for name in ("SimplMaze-v0", "SimplKitchen-v0"):
    env = gym.make(name)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.close()
assert dict(os.environ) == before
env = gym.make("SimplMaze-v0", render_mode="rgb_array_top_down")
env.reset(seed=0)
assert env.render().std() > 10
"""
DRAW = """
import gymnasium as gym, simpl_envs
env = gym.make("SimplMaze-v0", render_mode="rgb_array")
env.reset(seed=0)
try:
    print("drawn" if env.render().std() > 10 else "blank")
except simpl_envs.SimplError as error:
    print(type(error).__name__, error)
env.close()
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name not in CHOICES} | environment
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(params=[False, True], ids=["not found", "mounted away"])
def mounts(request: pytest.FixtureRequest) -> bool:
    if request.param and not without_egl.may_mount():
        pytest.skip("this process may not mount")
    return bool(request.param)


@pytest.mark.parametrize("choice", ["egl", "osmesa", "disable", "nonsense"])
def test_simulation_needs_no_opengl(choice: str) -> None:
    lines(without_egl.run("-c", LIVE, MUJOCO_GL=choice))


def test_without_egl_only_the_picture_is_missing(mounts: bool) -> None:
    assert lines(without_egl.run("-c", LIVE, mounts=mounts)) == []
    for code in (DRAW, DRAW.replace("SimplMaze", "SimplKitchen")):
        (line,) = lines(without_egl.run("-c", code, mounts=mounts))
        assert line.startswith("DrawingError MuJoCo cannot draw here (egl: libEGL.so.1 cannot be loaded")
        assert "apt-get install libegl1" in line


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MUJOCO_GL": "egl"}, "egl: libEGL.so.1 cannot be loaded"),
        ({"MUJOCO_GL": "disable"}, "MUJOCO_GL=disable forbids drawing"),
        ({"MUJOCO_GL": "nonsense"}, "MUJOCO_GL is 'nonsense': expected one of egl, osmesa"),
        ({"MUJOCO_GL": "glx"}, "glx: GLFWError"),
        ({"MUJOCO_GL": "osmesa"}, "Unset MUJOCO_GL, which is 'osmesa'; where there is no EGL either: install EGL"),
        ({"DISPLAY": ":99"}, "; glfw: GLFWError"),
    ],
)
def test_what_keeps_it_from_drawing_is_said(environment: dict[str, str], said: str) -> None:
    (line,) = lines(without_egl.run("-c", DRAW, **environment))
    assert line.startswith("DrawingError ")
    assert said in line


@pytest.fixture(scope="module")
def draws() -> bool:
    """Whether this machine has EGL."""
    try:
        model = mujoco.MjModel.from_xml_string(maze_xml(PUBLISHED_LAYOUT))
        OffScreenRenderer(model, 8, 8).close()
    except DrawingError as error:
        pytest.skip(f"no picture here: {error}")
    return True


@pytest.mark.usefixtures("draws")
@pytest.mark.parametrize(
    ("first", "environment"),
    [
        ("", {}),
        ("mujoco", {}),
        ("gymnasium_robotics", {}),
        ("gymnasium.envs.mujoco", {"DISPLAY": ":99"}),
        ("OpenGL.GL, glfw", {"DISPLAY": ":99"}),
    ],
)
def test_imports_come_in_any_order(first: str, environment: dict[str, str]) -> None:
    code = f"import warnings; warnings.simplefilter('ignore'); import {first}\n" if first else ""
    assert lines(python(code + DRAW, **environment))[-1:] == ["drawn"]


@pytest.mark.usefixtures("draws")
@pytest.mark.parametrize("environment", [{"WAYLAND_DISPLAY": "wayland-9"}, {"MUJOCO_GL": "egl"}, {"MUJOCO_GL": "on"}])
def test_egl_serves_whatever_the_display(environment: dict[str, str]) -> None:
    assert lines(python(DRAW, **environment)) == ["drawn"]


def test_osmesa_serves_as_well() -> None:
    (line,) = lines(python(DRAW.replace("SimplMaze", "SimplKitchen"), MUJOCO_GL="osmesa"))
    if "libOSMesa.so.8 cannot be loaded" in line:
        pytest.skip("OSMesa is not installed")
    assert line == "drawn"


@pytest.mark.usefixtures("draws")
@pytest.mark.parametrize(("name", "value"), [("MUJOCO_EGL_DEVICE_ID", "99"), ("PYOPENGL_PLATFORM", "glx")])
def test_a_variable_that_shuts_out_egl_is_named(name: str, value: str) -> None:
    (line,) = lines(python(DRAW, **{name: value}))
    assert line.endswith(f"Unset {name}, which is '{value}', or correct it.")


@pytest.mark.usefixtures("draws")
def test_drawing_may_be_allowed_after_the_import() -> None:
    code = "import os, simpl_envs.maze.env\ndel os.environ['MUJOCO_GL']\n" + DRAW
    assert lines(python(code, MUJOCO_GL="disable")) == ["drawn"]


@pytest.mark.usefixtures("draws")
def test_equals_the_picture_of_mujoco() -> None:
    code = """
import mujoco, numpy as np, simpl_envs
from simpl_envs.drawing import OffScreenRenderer
from simpl_envs.maze.layout import PUBLISHED_LAYOUT
from simpl_envs.maze.physics import maze_xml
model = mujoco.MjModel.from_xml_string(maze_xml(PUBLISHED_LAYOUT))
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
theirs = mujoco.Renderer(model, 48, 64)
theirs.update_scene(data, camera="top")
view = mujoco.MjvCamera()
view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera("top").id
ours, other = OffScreenRenderer(model, 64, 48), OffScreenRenderer(model, 64, 48)
for renderer in (ours, other, ours):  # each makes its own context current
    np.testing.assert_array_equal(renderer.picture(data, view), theirs.render())
ours.close()
ours.close()
np.testing.assert_array_equal(other.picture(data, view), theirs.render())
"""
    lines(python(code, MUJOCO_GL="egl"))


@pytest.mark.usefixtures("draws")
def test_a_closed_renderer_and_a_large_picture_are_refused() -> None:
    env = gym.make("SimplKitchen-v0", render_mode="rgb_array", width=100_000)
    env.reset(seed=0)
    with pytest.raises(SimplError, match=r"Expected a picture of 1x1 to \d+x\d+ pixels, got 100000x480"):
        env.render()
    model = mujoco.MjModel.from_xml_string(maze_xml(PUBLISHED_LAYOUT))
    renderer = OffScreenRenderer(model, 8, 8)
    renderer.close()
    with pytest.raises(DrawingError, match="closed"):
        renderer.picture(mujoco.MjData(model), mujoco.MjvCamera())


@pytest.mark.usefixtures("draws")
def test_rendering_again_after_close() -> None:
    env = gym.make("SimplMaze-v0", render_mode="rgb_array")
    env.reset(seed=0)
    first = env.unwrapped.render()
    env.unwrapped.close()
    np.testing.assert_array_equal(env.unwrapped.render(), first)
    env.close()


@pytest.mark.parametrize("library", [OSError("none here"), object()])
def test_memory_is_given_back_where_the_c_library_can(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing._trim()

    def load(name: None) -> object:
        if isinstance(library, Exception):
            raise library
        return library

    monkeypatch.setattr("simpl_envs.drawing.ctypes.CDLL", load)
    drawing._trim()
