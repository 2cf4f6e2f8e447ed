"""A user's own records, named on the command line by ``module:NAME`` or by a Python file."""

import importlib
import importlib.util
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from simpl_sb3.errors import SettingsError

__all__ = ["find_record", "load_object"]

T = TypeVar("T")


def find_record(text: str, kind: type[T], known: dict[str, T], what: str) -> T:
    """
    A record by its name, or a user's own.

    :param text: a name among ``known``; ``module:NAME``; or a Python file, ``path/to/file.py:NAME``, or
        ``path/to/file.py`` with one such record in it, or one that is called as its kind is: ``DOMAIN``, ``METHOD``
    :param kind: the record's class
    :param known: the records that come along, by name
    :param what: how messages call it: "preset", "method"
    :raises SettingsError: where there is none, with the names that there are
    """
    if text in known:
        return known[text]
    place, _, name = text.partition(":")
    if not place.endswith(".py") and not name:
        raise SettingsError(
            f"No {what} {text!r}: expected one of {', '.join(known)}, module:NAME, or a file that ends in .py."
        )
    module = _from_file(Path(place), what) if place.endswith(".py") else _imported(place, what)
    found = _attribute(module, name, text, what) if name else _only_one(module, kind, text, what)
    if not isinstance(found, kind):
        raise SettingsError(f"{text} is a {type(found).__name__}: expected a {kind.__name__} as the {what}.")
    return found


def load_object(reference: str) -> Any:
    """
    :param reference: ``module:name`` or ``path/to/file.py:name``
    :return: what that name stands for
    :raises SettingsError: where there is no such module or name
    """
    place, _, name = reference.rpartition(":")
    module = _from_file(Path(place), "object") if place.endswith(".py") else _imported(place, "object")
    return _attribute(module, name, reference, "object")


def _attribute(module: ModuleType, name: str, text: str, what: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = ", ".join(key for key in vars(module) if not key.startswith("_"))
            raise SettingsError(f"No {what} {text!r}: {name} is not in {module.__name__}, expected one of {public}.")
        found = getattr(found, part)
    return found


def _only_one(module: ModuleType, kind: type[T], text: str, what: str) -> T:
    records = {name: value for name, value in vars(module).items() if isinstance(value, kind)}
    if named := records.get(kind.__name__.upper()):
        return named
    if len(records) != 1:
        names = ", ".join(records) or "none"
        raise SettingsError(f"{text} holds {len(records)} {kind.__name__} records ({names}): expected {text}:NAME.")
    return next(iter(records.values()))


def _imported(name: str, what: str) -> ModuleType:
    here = str(Path.cwd())
    sys.path.insert(0, here)  # as ``python -m`` does
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(f"No {what} in module {name!r}: it cannot be imported ({error}).") from error
    finally:
        sys.path.remove(here)


def _from_file(path: Path, what: str) -> ModuleType:
    """The module of a file, executed once per process; beside it lies what it imports."""
    if not path.is_file():
        raise SettingsError(f"No {what} in {path}: there is no such file.")
    path = path.resolve()
    name = f"simpl_file_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look there
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except SettingsError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        raise SettingsError(f"{path.name} cannot be executed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module
