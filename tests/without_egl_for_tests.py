"""
A machine without EGL and OSMesa, for one process: ``python without_egl_for_tests.py -m module ...`` (or ``-c code``).

Where this process may mount (`unshare -m`), the system's ``libEGL*.so*`` and ``libOSMesa.so*`` become empty files.
Elsewhere ``ctypes``, by which PyOpenGL loads libraries, does not find them.
"""

import ctypes
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HIDE = """
found=$(ldconfig -p | sed -n 's/.*=> \\(.*lib\\(EGL\\|OSMesa\\)[^ ]*\\)$/\\1/p' | xargs -r readlink -f | sort -u)
for library in $found; do
    mount --bind /dev/null "$library"
done
exec "$@"
"""


def may_mount() -> bool:
    """Whether a process of ours may have mounts of its own."""
    if not (shutil.which("unshare") and shutil.which("ldconfig")):
        return False
    tried = subprocess.run(
        ["unshare", "-m", "mount", "--bind", "/dev/null", "/dev/zero"], check=False, capture_output=True
    )
    return tried.returncode == 0


def run(*arguments: str, mounts: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """
    Run Python where EGL is hidden.

    :param arguments: of the interpreter: "-c" and code, or "-m", a module and its arguments
    :param mounts: hide the library from the whole process, not only from ``ctypes``; see :func:`may_mount`
    :param environment: variables that are set; those that choose OpenGL or a display are unset otherwise
    """
    choices = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "MUJOCO_EGL_DEVICE_ID", "DISPLAY", "WAYLAND_DISPLAY")
    variables = {name: value for name, value in os.environ.items() if name not in choices} | environment
    hidden = ["unshare", "-m", "sh", "-ec", HIDE, "sh", sys.executable] if mounts else [sys.executable, __file__]
    return subprocess.run([*hidden, *arguments], env=variables, capture_output=True, text=True, check=False)


class WithoutEGL(ctypes.CDLL):
    """Loads every library but these two."""

    def __init__(self, name: Any, *args: Any, **kwargs: Any) -> None:
        if name and Path(str(name)).name.startswith(("libEGL", "EGL", "libOSMesa")):
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        super().__init__(name, *args, **kwargs)


if __name__ == "__main__":
    ctypes.CDLL = ctypes.cdll._dlltype = WithoutEGL  # type: ignore[misc,attr-defined]
    kind, target, *rest = sys.argv[1:]
    sys.argv = [target if kind == "-m" else "-c", *rest]
    sys.path[0] = ""
    if kind == "-m":
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        exec(target, {"__name__": "__main__"})
