"""Where a number comes from, as plain data: command, revision, versions, machine. No host name, no absolute path."""

import dataclasses
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence, Set
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from simpl_sb3.errors import SettingsError

__all__ = ["command_line", "git_revision", "machine", "package_versions", "plain"]

PACKAGES = (
    *("simpl-sb3", "torch", "stable-baselines3", "sb3-contrib", "gymnasium", "gymnasium-robotics"),
    *("mujoco", "minari", "numpy", "safetensors"),
)
ABSOLUTE_PATH = re.compile(r"(?<![\w.~/\-])(?:file://)?/(?!/)[^\s'\",;:=()\[\]{}]+")
"""A path from the root inside a text; neither ``a/b`` nor ``https://host/page``."""


def package_versions() -> dict[str, str]:
    """Version of Python and of each package that a result depends on, as far as it is installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def machine() -> dict[str, Any]:
    """What the machine is, without its name: ``cpu``, ``cores`` usable here, ``memory_gib``, ``platform``."""
    release = re.match(r"[\d.]*", platform.release())
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu_model(),
        "cores": usable,
        "memory_gib": _memory_gib(),
        "platform": f"{platform.system()} {release[0] if release else ''} {platform.machine()}",
    }


def _cpu_model() -> str:
    try:
        if sys.platform == "darwin":
            return _output_of(["sysctl", "-n", "machdep.cpu.brand_string"], Path.cwd())
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, subprocess.SubprocessError, StopIteration):
        return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (OSError, ValueError):
        return None


@cache
def git_revision() -> Mapping[str, Any]:
    """
    The commit of this library, when it runs from a checkout; as of the first call in this process.

    :return: ``commit``, its full hash, and ``dirty``, whether tracked files differ from it; None outside a checkout
    """
    here = Path(__file__).resolve()
    try:
        _output_of(
            ["git", "ls-files", "--error-unmatch", here.name], here.parent
        )  # installed below a foreign checkout?
        commit = _output_of(["git", "rev-parse", "HEAD"], here.parent)
        dirty = bool(_output_of(["git", "status", "--porcelain", "--untracked-files=no"], here.parent))
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def _output_of(command: Sequence[str], folder: Path) -> str:
    """What a command prints; raises when it fails, is missing, or takes ten seconds."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.strip()


def command_line(arguments: Sequence[str] | None = None) -> str:
    """
    A command as one would type it.

    :param arguments: program and arguments; None for this process's own
    :return: quoted for a shell, absolute paths shortened as by :func:`plain`
    """
    program, *rest = sys.argv if arguments is None else arguments
    path = PurePath(program)
    if path.name == "__main__.py":
        words = ["python", "-m", path.parent.name]
    elif path.suffix == ".py":
        words = ["python", plain(program)]
    else:
        words = [path.name or "python"]
    return shlex.join([*words, *(plain(argument) for argument in rest)])


def plain(value: Any, where: str = "settings") -> Any:
    """
    Settings as data that JSON can hold, without absolute paths: below the working folder a path becomes relative to it,
    anywhere else only its name is kept, ``.../name``.

    :param value: mappings, sequences, sets, dataclasses, paths, arrays, text, finite numbers, bool, None
    :param where: how messages call it
    :return: dict, list, str, int, float, bool or None
    :raises SettingsError: for anything else
    """
    if value is None or isinstance(value, bool | int | str | float | np.generic):
        return _plain_number_or_text(value, where)
    if isinstance(value, PurePath):
        return _shorten(os.fspath(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {plain(str(key), where): plain(entry, f"{where}.{key}") for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Set):
        value = sorted(value, key=str)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(entry, f"{where}[{index}]") for index, entry in enumerate(value)]
    raise SettingsError(f"{where} is a {type(value).__name__}; expected plain data: text, numbers, lists, mappings")


def _plain_number_or_text(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        raise SettingsError(f"{where} is {value}; expected a finite number")
    if isinstance(value, str):
        return _shorten(value) if value.startswith("/") else ABSOLUTE_PATH.sub(lambda path: _shorten(path[0]), value)
    return value


def _shorten(path: str) -> str:
    pure = PurePath(path.removeprefix("file://"))
    if not pure.is_absolute():
        return path
    folder = Path.cwd()
    return pure.relative_to(folder).as_posix() if pure.is_relative_to(folder) else f".../{pure.name}".rstrip("/")
