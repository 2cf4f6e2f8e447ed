"""
Directives whose text is read from the code while the site is built, so that it cannot fall behind.

``settings-of``    a settings dataclass: every setting, its type, default, range and description
``presets``        what each preset changes
``command-help``   what a verb of ``simpl-sb3`` says to ``--help``
``task-sets``      the task sets of a domain
``public-names``   the names of ``simpl_sb3`` or ``simpl_envs``, and where they live
``speed-figures``  what ``make benchmark`` measured, from the files in benchmarks/results/speed
``room``           reference of every module of a package, from its docstrings
"""

import contextlib
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import fields
from types import ModuleType
from typing import Any, ClassVar, get_type_hints

from docstring_parser import parse
from docutils import nodes
from docutils.statemachine import StringList
from speed_tables import speed_tables
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from simpl_sb3.experiments.cli import main, overview
from simpl_sb3.experiments.presets import PRESETS
from simpl_sb3.references import load_object
from simpl_sb3.settings import Settings

SECTIONS = ("collect", "extract", "meta_train", "meta_train_env", "adapt", "spirl")
NAMES = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "None": "none"}
LONGEST_SET = 12  # tasks that a table lists by name


# ------------------------------------------------------------ text


def descriptions(record: type[Settings]) -> dict[str, str]:
    """What the docstrings of a settings class and its bases say of each setting, the nearest first."""
    found: dict[str, str] = {}
    for base in record.__mro__:
        for parameter in parse(base.__doc__ or "").params:
            found.setdefault(parameter.arg_name, " ".join((parameter.description or "").split()))
    return found


def kind_of(annotation: Any) -> str:
    """A type as a table shows it."""
    text = str(annotation) if not isinstance(annotation, type) else annotation.__name__
    text = re.sub(r"\btyping\.|pathlib\.", "", text)
    text = re.sub(r"tuple\[(\w+), \.\.\.\]", r"list of \1", text).replace("tuple", "").replace(" | ", " or ")
    return re.sub(r"\b(int|float|str|bool|None)\b", lambda word: NAMES[word[1]], text)


def range_of(metadata: Mapping[str, Any]) -> str:
    """The range of a setting's values."""
    if names := metadata.get("one_of"):
        return ", ".join(f"`{name}`" for name in names)
    signs = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}
    return ", ".join(f"{signs[name]} {limit:g}" for name, limit in metadata.get("limits", {}).items())


def cell(text: str) -> str:
    """A text as a cell of a Markdown table; what is a role or a literal in reStructuredText as a literal."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def settings_table(record: type[Settings]) -> str:
    """
    :raises ValueError: for a setting that no docstring describes
    """
    said, hints = descriptions(record), get_type_hints(record)
    rows = ["| setting | type | default | range | what it is |", "|---|---|---|---|---|"]
    for part in fields(record):
        if not said.get(part.name):
            raise ValueError(f"{record.__name__}.{part.name} has no description")
        kind, default = cell(kind_of(hints[part.name])), cell(repr(part.default))
        rows.append(f"| `{part.name}` | {kind} | `{default}` | {range_of(part.metadata)} | {cell(said[part.name])} |")
    return "\n".join(rows)


def preset_tables() -> str:
    """Every preset: its numbers, and what each of its sections changes."""
    parts = []
    for preset in PRESETS.values():
        numbers = {name: getattr(preset, name) for name in ("n_trajectories", "skill_updates", "meta_timesteps")}
        shown = ", ".join(f"{name} {value:,}" for name, value in numbers.items() if value is not None)
        parts += [f"### `{preset.name}`", f"For {preset.domain or 'any domain'}; {shown}.", ""]
        rows = [
            f"| {section} | `{name}` | `{json.dumps(value)}` |"
            for section in SECTIONS
            for name, value in getattr(preset, section).items()
        ]
        parts += ["| section | setting | value |", "|---|---|---|", *rows, ""] if rows else ["Changes nothing.", ""]
    return "\n".join(parts)


def help_of(verb: str) -> str:
    """What ``simpl-sb3 VERB --help`` prints, 100 characters wide and without colours; for "" the overview."""
    if not verb:
        return overview()
    said, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main([*verb.split(), "--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return re.sub(r"\x1b\[[\d;]*m", "", said.getvalue()).rstrip()


def task_table(name: str) -> str:
    """The task sets of a domain."""
    from simpl_sb3.domains import find_domain

    rows = ["| set | tasks | |", "|---|---|---|"]
    for label, tasks in find_domain(name).sets.items():
        listed = ", ".join(task.name for task in tasks[:LONGEST_SET])
        rows.append(f"| `{label}` | {len(tasks)} | {listed}{', ...' if len(tasks) > LONGEST_SET else ''} |")
    return "\n".join(rows)


def name_table(package: str) -> str:
    """The names that a package offers, each with the module it lives in."""
    module = importlib.import_module(package)
    rows = ["| name | lives in |", "|---|---|"]
    for name in module.__all__:
        home = getattr(module, "_HOMES", {}).get(name)
        where = f"{package}.{home}" if home else getattr(getattr(module, name), "__module__", "") or package
        rows.append(f"| `{name}` | `{where}` |" if where.startswith("simpl") else f"| `{name}` | `{package}` |")
    return "\n".join(rows)


def modules_of(package: str) -> list[str]:
    """
    A package or module, and every module in it, but for what is run as a program; of ``package:modules`` the modules
    that are no packages.
    """
    package, _, which = package.partition(":")
    if which == "modules":
        inside = pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}.")
        return [each.name for each in inside if not each.ispkg and not each.name.endswith("__main__")]
    module = importlib.import_module(package)
    found = [package]
    if hasattr(module, "__path__"):
        found += [each.name for each in pkgutil.walk_packages(module.__path__, f"{package}.")]
    return [name for name in found if not name.endswith("__main__")]


def public_names(module_name: str) -> list[str]:
    """
    Names that a module defines for others, and does not only pass on: those of ``__all__``, or without one the classes
    and functions without an underscore.
    """
    module = importlib.import_module(module_name)
    listed = getattr(module, "__all__", None)
    names = [name for name in vars(module) if not name.startswith("_")] if listed is None else listed
    return [name for name in names if not name.startswith("_") and _is_own(module, name, listed is not None)]


def _is_own(module: ModuleType, name: str, listed: bool) -> bool:
    if name in getattr(module, "_HOMES", {}):
        return False
    value = getattr(module, name)
    if inspect.ismodule(value):
        return False
    if inspect.isclass(value) or inspect.isfunction(value) or hasattr(value, "__wrapped__"):
        return value.__module__ == module.__name__
    return listed and re.search(rf"^{name}\b.*=", inspect.getsource(module), re.MULTILINE) is not None


def _is_value(module: str, name: str) -> bool:
    value = getattr(importlib.import_module(module), name)
    return not (inspect.isclass(value) or inspect.isfunction(value) or hasattr(value, "__wrapped__"))


def reference(package: str) -> str:
    """Every module of a package, as autodoc reads it."""
    parts = []
    for name in modules_of(package):
        members = ", ".join(public_names(name))
        which = f":members: {members}" if members else ":no-members:"
        told = {attribute for _, attribute in ModuleAnalyzer.for_module(name).find_attr_docs()}
        values = [member for member in public_names(name) if _is_value(name, member) and member not in told]
        untold = "".join(f"\n.. py:data:: {value}\n   :module: {name}\n" for value in values)
        parts += [f"## {name}", f"```{{eval-rst}}\n.. automodule:: {name}\n   {which}\n{untold}```", ""]
    return "\n".join(parts)


# ------------------------------------------------------------ directives


class Generated(SphinxDirective):
    """A directive that is replaced by Markdown."""

    has_content = False
    optional_arguments = 1
    final_argument_whitespace = True
    fenced: ClassVar[bool] = False

    def text(self, argument: str) -> str:
        """The Markdown; of a fenced one, what stands in the fence."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse the text in place of the directive; the page is read at every build, as the code may have changed."""
        self.env.note_reread()
        text = self.text(self.arguments[0] if self.arguments else "")
        if self.fenced:
            return [nodes.literal_block(text, text, language="text")]
        place = nodes.Element()
        self.state.nested_parse(StringList(text.splitlines(), source=""), self.content_offset, place)
        return place.children


class SettingsOf(Generated):
    """``settings-of``: the argument is ``module:Class``."""

    def text(self, argument: str) -> str:
        return settings_table(load_object(argument))


class Presets(Generated):
    """``presets``: all of them."""

    def text(self, argument: str) -> str:
        return preset_tables()


class CommandHelp(Generated):
    """``command-help``: the argument is a verb, with flags that choose its settings."""

    fenced = True

    def text(self, argument: str) -> str:
        return help_of(argument)


class TaskSets(Generated):
    """``task-sets``: the argument is a domain."""

    def text(self, argument: str) -> str:
        return task_table(argument)


class PublicNames(Generated):
    """``public-names``: the argument is a package."""

    def text(self, argument: str) -> str:
        return name_table(argument)


class SpeedFigures(Generated):
    """``speed-figures``: of every run that is kept."""

    def text(self, argument: str) -> str:
        return speed_tables()


class Room(Generated):
    """``room``: the argument is a package or module."""

    def text(self, argument: str) -> str:
        return reference(argument)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    kinds = {
        "settings-of": SettingsOf,
        "presets": Presets,
        "command-help": CommandHelp,
        "task-sets": TaskSets,
        "public-names": PublicNames,
        "speed-figures": SpeedFigures,
        "room": Room,
    }
    for name, kind in kinds.items():
        app.add_directive(name, kind)
    return {"parallel_read_safe": False}
