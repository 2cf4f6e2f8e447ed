"""How a domain is found: by name, by environment id, by import path, or in a Python file."""

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym

from simpl_sb3.domains.record import Domain
from simpl_sb3.errors import SettingsError

__all__ = ["built_in_domains", "find_domain", "generic_domain", "refuse_unconverted"]

EXPECTED = "a Python file with DOMAIN = Domain(name=..., env_id=..., task_sets={...})"
ENV_ID = re.compile(r"(?:(?P<module>[\w.]+):)?(?P<id>(?:[\w.\-]+/)?[\w.\-]+-v\d+)")
"""An environment id with a version, and perhaps the module that registers it."""


@lru_cache(maxsize=1)
def built_in_domains() -> dict[str, Domain]:
    """The domains that come along, by name: the modules of this folder that define ``DOMAIN``."""
    folder = importlib.import_module("simpl_sb3.domains").__path__
    names = sorted(module.name for module in pkgutil.iter_modules(folder))
    helpers = {"finding", "record"}
    modules = [
        importlib.import_module(f"simpl_sb3.domains.{name}")
        for name in names
        if name not in helpers and "_" not in name  # a name with an underscore is a part of another domain
    ]
    return {module.DOMAIN.name: module.DOMAIN for module in modules}


def find_domain(text: str) -> Domain:
    """
    A domain by what a user types.

    :param text: a name (``maze``), a registered environment id (``Own-v0``, or ``my_pkg:Own-v0`` where ``my_pkg``
        registers it), an import path (``my_pkg.my_domain``, ``my_pkg.my_domain:DOMAIN``), or a file (``own.py``,
        ``own.py:DOMAIN``)
    :return: the record; of an environment id that no domain is about, one made from its tasks
    :raises SettingsError: where there is none, or the file is wrong; it says which part
    """
    built_in = built_in_domains()
    if text in built_in:
        return built_in[text]
    place, colon, name = text.rpartition(":")
    if text.endswith(".py") or place.endswith(".py"):
        path, attribute = (text, "DOMAIN") if text.endswith(".py") else (place, name)
        return _domain_of(_load(path), path, attribute)
    if found := ENV_ID.fullmatch(text):
        return _by_id(text, found["module"], found["id"])
    if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*(:\w+)?", text):
        module, attribute = (place, name) if colon else (text, "DOMAIN")
        if "." in module or colon or importable(module):
            return _domain_of(_import(module), module, attribute)
    raise _unknown(text)


def _unknown(text: str) -> SettingsError:
    names = ", ".join(built_in_domains())
    return SettingsError(
        f"No domain {text!r}: expected one of {names}, an environment id such as Own-v0 or my_pkg:Own-v0, an import "
        "path such as my_pkg.my_domain, or a file such as own.py."
    )


# ------------------------------------------------------------ from files and modules


def _domain_of(module: ModuleType, place: str, attribute: str) -> Domain:
    found = getattr(module, attribute, None)
    if not isinstance(found, Domain):
        kind = "nothing" if found is None else f"a {type(found).__name__}"
        raise SettingsError(f"{place} has {kind} named {attribute}: expected {EXPECTED}.")
    return found


def _load(text: str) -> ModuleType:
    """
    :raises SettingsError: for a file that is missing or raises
    """
    path = Path(text)
    if not path.is_file():
        raise SettingsError(f"{text} does not exist: expected {EXPECTED}.")
    return _load_once(path.resolve(), path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _load_once(path: Path, changed: int) -> ModuleType:
    """A file's module; of an unchanged file the same one, so that its tasks are equal. ``changed``: time, ns."""
    name = f"simpl_sb3_domain_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{abs(hash((path, changed))):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SettingsError(f"{path.name} cannot be loaded: expected {EXPECTED}.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise SettingsError(f"{path.name}: {type(error).__name__}: {error}; expected {EXPECTED}.") from error
    return module


def importable(module: str) -> bool:
    """Whether there is a module of this name, here or in the working folder."""
    with _working_folder_on_path():
        return importlib.util.find_spec(module) is not None


def _import(module: str) -> ModuleType:
    """
    :raises SettingsError: for a module that is missing or raises
    """
    try:
        with _working_folder_on_path():
            return importlib.import_module(module)
    except Exception as error:
        raise SettingsError(
            f"{module} cannot be imported ({type(error).__name__}: {error}): expected the import path of {EXPECTED}."
        ) from error


@contextmanager
def _working_folder_on_path() -> Iterator[None]:
    """Modules of the working folder can be imported within it, as ``python -m`` allows."""
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before


# ------------------------------------------------------------ from an environment id


def _by_id(text: str, module: str | None, env_id: str) -> Domain:
    known = {domain.env_id: domain for domain in built_in_domains().values()}
    if env_id in known:
        return known[env_id]
    if module is not None:
        _import(module)
    if env_id not in gym.registry:
        hint = f"; {module} does not register it" if module else "; name the module that registers it: my_pkg:Own-v0"
        raise SettingsError(f"{_unknown(text)} Gymnasium knows no environment {env_id}{hint}.")
    return generic_domain(env_id)


def generic_domain(env_id: str) -> Domain:
    """
    A record from an environment id alone: success rate, no pictures, tasks by their names.

    :param env_id: registered environment
    """

    @lru_cache(maxsize=1)
    def task_sets() -> dict[str, tuple[Any, ...]]:
        """
        :raises SettingsError: for an environment that cannot be made, or has no tasks
        """
        try:
            env = gym.make(env_id)
        except Exception as error:
            raise SettingsError(f"{env_id} cannot be made ({type(error).__name__}: {error}).") from error
        try:
            sets = {name: tuple(env.get_wrapper_attr(f"{name}_tasks")) for name in ("train", "test")}
        except (AttributeError, TypeError) as error:
            raise SettingsError(
                f"{env_id} has no tasks ({error}): expected attributes train_tasks and test_tasks, tuples of tasks."
            ) from error
        finally:
            env.close()
        for name, tasks in sets.items():
            if unnamed := [task for task in tasks if not isinstance(getattr(task, "name", None), str)]:
                raise SettingsError(f"{env_id}: {name}_tasks holds {unnamed[0]!r}: expected tasks with a name.")
        return sets

    return Domain(name=env_id, env_id=env_id, task_sets=task_sets)


def refuse_unconverted(dataset: Any, command: str) -> None:
    """
    For whoever extracts skills: data that a domain has a converter for, and that has not been converted.

    :param dataset: an open Minari dataset
    :param command: that converts it, for the message
    :raises DatasetError: for such a dataset
    """
    for domain in built_in_domains().values():
        if domain.converter is not None:
            domain.converter.refuse(dataset, command)
