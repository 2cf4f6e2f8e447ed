"""
The file of a grid, in TOML: read and checked, all of it, before anything runs.

::

    domain = "maze"                         # or an environment id, an import path, a file beside this one
    preset = "fast"
    seeds = [0, 1, 2]                       # each: demonstrations and skills of its own
    trajectories = 3000                     # demonstrations; the preset's number by default
    skill_updates = 8000                    # of the extraction of skills; the preset's number by default
    collect = { noise = 0.1 }               # settings of the demonstrations, where they differ from the preset
    extract = { horizon = 10 }              # settings of the skills, likewise

    [[methods]]                             # a line of the comparison
    method = "simpl"                        # name, import path or file
    name = "no relabelling"                 # what results call it; the method's name by default
    train_seeds = [0, 1, 2]                 # meta-trainings over each skill model
    train_tasks = "train-20"                # task set, random:N:SEED, tasks, or a file
    total_timesteps = 250_000               # of meta-training; the preset's or the method's number by default
    train_minutes = 10                      # at which meta-training stops
    train = { hindsight = false }           # settings of meta-training, where they differ from the preset
    adapt = { gradient_steps = 2 }          # settings of adaptation, likewise
    collect = { noise = 0.2 }               # demonstrations and skills of its own, where they differ from the grid's:
    extract = { horizon = 5 }               #   settings,
    trajectories = 300                      #   and the number of demonstrations
    minutes = { meta-train = 30 }           # that its own stages take, where they differ from [minutes]

    [[tasks]]                               # what methods adapt to
    tasks = "target"
    agents_per_task = 3
    settings = { n_episodes = 105 }         # of adaptation, over the method's
    env = { noise = 2.0 }                   # of the environment
    methods = ["no relabelling"]            # which methods; all by default

    [minutes]                               # of one stage on one core, for the projection that is printed first
    collect = 0.5                           # kinds: collect, extract, meta-train, adapt
    meta-train = 9

    [cores]                                 # that a stage takes; 1 by default
    meta-train = 2

    [budgets.small]                         # a smaller form: --budget small
    seeds = [0]
    methods = ["no relabelling"]            # those that stay
    train_seeds = [0]                       # of every method; so are the next three
    train_tasks = "train-10"
    train_minutes = 2
    trajectories = 300
    skill_updates = 500
    tasks = ["target"]                      # task sets that stay
    agents_per_task = 1                     # of every task set
    n_episodes = 30                         # at most, where the grid says how many
    preset = "fast"
    minutes = { adapt = 1 }

In tables of settings the text "None" is None, which TOML has no word for. The seed of a meta-training is its
``train_seed``, over skills or demonstrations of its own for each of ``seeds``; of a method that starts from nothing it
is 100 x seed + train_seed. A stage is named by a fingerprint of everything that decides its outcome: methods that have
some in common share them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.grid import Budget, Grid, GridMethod, GridTasks
from simpl_sb3.experiments.stage import KINDS
from simpl_sb3.files import MOST_TEXT, read_regular

__all__ = ["find_grid", "read_grid", "shipped_grids"]

SHIPPED = Path(__file__).with_name("grids")
Record = TypeVar("Record")
NAMES = {str: "a text", int: "a whole number", float: "a number", tuple: "a list", Mapping: "a table of settings"}


def shipped_grids() -> dict[str, Path]:
    """The grids that come along, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def find_grid(text: str) -> Path:
    """
    :param text: a file, or the name of a grid that comes along
    :raises SettingsError: where there is none, with the names that there are
    """
    known = shipped_grids()
    if text in known and not Path(text).is_file():
        return known[text]
    if not Path(text).suffix and not Path(text).exists():
        raise SettingsError(f"No grid {text!r}: expected a file, or one of {', '.join(known)}.")
    return Path(text)


def read_grid(path: Path) -> Grid:
    """
    Read and check a grid file, all of it, before anything runs.

    :raises SettingsError: for a file that is none, a key, method, preset, task set or setting that there is not
    """
    try:
        data = tomllib.loads(read_regular(path, MOST_TEXT).decode())
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): expected a grid file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{path} is no TOML file: {error}.") from error
    try:
        files = [(data, "domain"), (data, "preset"), *((entry, "tasks") for entry in _list(data, "tasks"))]
        for entry, name in files:
            if isinstance(text := entry.get(name), str):
                entry[name] = _beside(path, text)
        for budget in _tables(data.get("budgets")):
            if isinstance(texts := budget.get("tasks"), list):
                budget["tasks"] = [_beside(path, text) if isinstance(text, str) else text for text in texts]
        parts = {
            "methods": [_record(GridMethod, entry, "[[methods]]") for entry in _list(data, "methods")],
            "tasks": [_record(GridTasks, entry, "[[tasks]]") for entry in _list(data, "tasks")],
            "budgets": _budgets(data.get("budgets", {})),
        }
        grid = _record(Grid, {**data, **parts}, "a grid")
        _check(grid)
        for form in (grid, *map(grid.within, grid.budgets)):
            _check_seeds(form)
            form.cells()
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
    return grid


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(entry, dict) for entry in found):
        raise SettingsError(f"expected at least one [[{name}]].")
    return found


def _beside(path: Path, text: str) -> str:
    """A text as it stands; where it names a file beside another one, that file."""
    return str((path.parent / text).resolve()) if (path.parent / text).is_file() else text


def _tables(data: Any) -> list[dict[str, Any]]:
    return [entry for entry in data.values() if isinstance(entry, dict)] if isinstance(data, dict) else []


def _budgets(data: Any) -> dict[str, Budget]:
    if not isinstance(data, dict) or len(_tables(data)) < len(data):
        raise SettingsError(f"budgets is {data!r}: expected tables, [budgets.NAME].")
    return {name: _record(Budget, entry, f"[budgets.{name}]") for name, entry in data.items()}


def _record(record: type[Record], values: Mapping[str, Any], where: str) -> Record:
    """
    :raises SettingsError: for keys that it does not have, or values of another kind
    """
    known = {declared.name: declared for declared in fields(record)}  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in known]:
        raise SettingsError(f"{where} has no key {', '.join(unknown)}: expected {', '.join(known)}.")
    taken = {name: _plain(value) for name, value in values.items()}
    try:
        made = record(**taken)
    except TypeError as error:
        raise SettingsError(f"{where}: {error}.") from None
    for name, declared in known.items():
        value, kinds = getattr(made, name), _kinds(declared.type)
        if not isinstance(value, kinds) or isinstance(value, bool):
            wanted = " or ".join(NAMES[kind] for kind in kinds if kind in NAMES)
            raise SettingsError(f"{name} of {where} is {value!r}: expected {wanted}.")
    return made


def _plain(value: Any) -> Any:
    """A value as the records have it: tuples, and None for the text "None" in a table of settings."""
    if isinstance(value, dict):
        return {name: None if entry == "None" else entry for name, entry in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _kinds(annotation: Any) -> tuple[type, ...]:
    parts = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    kinds = [get_origin(part) or part for part in parts]
    return (*kinds, int) if float in kinds else tuple(kinds)


def _check(grid: Grid) -> None:
    """
    :raises SettingsError: for names that occur twice or not at all, and seeds that are none
    """
    names = [entry.shown_name for entry in grid.methods]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"two [[methods]] are called {', '.join(double)}: give each a name.")
    for asked in grid.tasks:
        if unknown := [name for name in asked.methods if name not in names]:
            raise SettingsError(f"[[tasks]] {asked.tasks} names {', '.join(unknown)}: expected {', '.join(names)}.")
    _check_numbers("[minutes]", grid.minutes, 1e9, (int, float))
    _check_numbers("[cores]", grid.cores, 1e4, (int,))
    for entry in grid.methods:
        _check_numbers(f"minutes of {entry.shown_name}", entry.minutes, 1e9, (int, float))
    for name, budget in grid.budgets.items():
        _check_budget(grid, name, budget, names)


def _check_numbers(where: str, values: Mapping[str, Any], most: float, wanted: Any) -> None:
    """
    :param values: by kind of stage
    :param wanted: their types
    :raises SettingsError: for a kind that there is not, or a value out of range
    """
    if unknown := [kind for kind in values if kind not in KINDS]:
        raise SettingsError(f"{where} names {', '.join(unknown)}: expected {', '.join(KINDS)}.")
    for kind, value in values.items():
        if not isinstance(value, wanted) or isinstance(value, bool) or not 0 < value <= most:
            raise SettingsError(f"{kind} of {where} is {value!r}: expected a number above 0.")


def _check_seeds(grid: Grid) -> None:
    """
    :raises SettingsError: for seeds that are none, or occur twice
    """
    for name, seeds in (("seeds", grid.seeds), *(("train_seeds", entry.train_seeds) for entry in grid.methods)):
        whole = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 100 for seed in seeds)
        if not seeds or not whole or len(set(seeds)) < len(seeds):
            raise SettingsError(f"{name} is {list(seeds)}: expected different whole numbers from 0 to 99.")


def _check_budget(grid: Grid, name: str, budget: Budget, methods: list[str]) -> None:
    """
    :raises SettingsError: for methods and task sets that the grid does not have
    """
    sets = [asked.tasks for asked in grid.tasks]
    for part, given, known in (("methods", budget.methods, methods), ("tasks", budget.tasks, sets)):
        if given is not None and (not given or set(given) - set(known)):
            raise SettingsError(f"{part} of [budgets.{name}] is {list(given)}: expected some of {', '.join(known)}.")
