"""How a domain is found: by name, by environment id, by import path, or in a Python file."""

import importlib
import pkgutil
import re
from functools import lru_cache
from typing import Any

import gymnasium as gym

from simpl_sb3.domains.record import Domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.references import find_record, load_object

__all__ = ["DEFAULT_DOMAIN", "built_in_domains", "find_domain", "generic_domain", "refuse_unconverted"]

DEFAULT_DOMAIN = "maze"
"""The domain of a command that names neither a domain nor a preset."""
EXPECTED = "a Python file with DOMAIN = Domain(name=..., env_id=..., task_sets={...})"
ENV_ID = re.compile(r"(?:(?P<module>[\w.]+):)?(?P<id>(?:[\w.\-]+/)?[\w.\-]+-v\d+)")
"""An environment id with a version, and perhaps the module that registers it."""
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
"""The import path of a module in a package."""


@lru_cache(maxsize=1)
def built_in_domains() -> dict[str, Domain]:
    """The domains that come along, by name: the modules of this folder that define ``DOMAIN``."""
    folder = importlib.import_module("simpl_sb3.domains").__path__
    names = sorted(module.name for module in pkgutil.iter_modules(folder))
    helpers = {"finding", "preset", "record"}
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
    if found := ENV_ID.fullmatch(text):
        return _by_id(text, found["module"], found["id"])
    place, _, name = text.partition(":")
    if place.endswith(".py") or name:
        return _own(text)
    if MODULE.fullmatch(text):
        return _own(f"{text}:DOMAIN")
    raise _unknown(text)


def _own(reference: str) -> Domain:
    """
    A user's own record.

    :param reference: a Python file, or ``module:NAME``
    """
    try:
        return find_record(reference, Domain, built_in_domains(), "domain")
    except Exception as error:
        kind = "" if isinstance(error, SettingsError) else f"{type(error).__name__}: "
        raise SettingsError(f"{reference}: {kind}{str(error).rstrip('.')}; expected {EXPECTED}.") from error


def _unknown(text: str) -> SettingsError:
    names = ", ".join(built_in_domains())
    return SettingsError(
        f"No domain {text!r}: expected one of {names}, an environment id such as Own-v0 or my_pkg:Own-v0, an import "
        "path such as my_pkg.my_domain, or a file such as own.py."
    )


# ------------------------------------------------------------ from an environment id


def _by_id(text: str, module: str | None, env_id: str) -> Domain:
    known = {domain.env_id: domain for domain in built_in_domains().values()}
    if env_id in known:
        return known[env_id]
    if module is not None:
        try:
            load_object(f"{module}:__name__")
        except Exception as error:
            raise SettingsError(f"{text}: {module} cannot be imported ({error}).") from error
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
