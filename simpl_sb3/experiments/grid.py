"""
A grid: methods x seeds x task sets, declared in one TOML file, as stages that share what they have in common.

::

    domain = "maze"
    preset = "fast"
    seeds = [0, 1, 2]                       # each: demonstrations and skills of its own

    [[methods]]
    name = "SiMPL"
    method = "simpl"
    train_seeds = [0, 1, 2]                 # meta-trainings over each skill model

    [[methods]]
    name = "SPiRL"
    method = "spirl"

    [[tasks]]                               # what every method adapts to
    tasks = "target"
    agents_per_task = 3
    settings = { n_episodes = 105 }

    [minutes]                               # of one stage on one core, for the projection that is printed first
    meta-train = 9

Further keys: ``trajectories``, ``collect`` and ``extract`` (settings) at the top; ``train_tasks``, ``total_timesteps``,
``train_minutes``, ``train`` (settings) and ``adapt`` (settings) of a method; ``methods`` (names) and ``env`` (settings)
of a task set.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.run_folder import state_of
from simpl_sb3.experiments.stage import KINDS, Stage
from simpl_sb3.experiments.stages import Experiment, adapt_stage, collect_stage, extract_stage, meta_train_stage
from simpl_sb3.methods import ARTEFACTS, find_method

__all__ = ["Cell", "Grid", "GridMethod", "GridTasks", "read_grid"]

STAGES = "stages"
RESULTS = "results"
Record = TypeVar("Record")
NAMES = {str: "a text", int: "a whole number", float: "a number", tuple: "a list", Mapping: "a table of settings"}


@dataclass(frozen=True, kw_only=True)
class GridMethod:
    """
    One line of the comparison.

    :param method: name, import path or file of the method
    :param name: what results call it; the method's name by default
    :param train_seeds: meta-trainings over each skill model; of a method that is not trained, runs
    :param train_tasks: tasks as text; None takes the preset's or the domain's
    :param total_timesteps: of meta-training; None takes the preset's
    :param train_minutes: at which meta-training stops; None for no limit
    :param train: settings of meta-training, where they differ from the preset
    :param adapt: settings of adaptation, where they differ from the preset
    """

    method: str
    name: str = ""
    train_seeds: tuple[int, ...] = (0,)
    train_tasks: str | None = None
    total_timesteps: int | None = None
    train_minutes: float | None = None
    train: Mapping[str, Any] = field(default_factory=dict)
    adapt: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GridTasks:
    """
    What methods adapt to.

    :param tasks: tasks as text
    :param agents_per_task: agents of each task, per method, skill model and meta-training
    :param settings: of adaptation, where they differ from the preset and the method's
    :param env: settings of the environment
    :param methods: names of the methods that adapt to it; none for all
    """

    tasks: str
    agents_per_task: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """
    One stage of a grid.

    :param name: for people
    :param stage: the stage; paths are relative to the grid's folder
    :param after: keys of the cells that it waits for
    """

    name: str
    stage: Stage
    after: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Fingerprint of the stage and, through its inputs, of all before it."""
        return self.stage.key

    def is_done(self, folder: Path) -> bool:
        """Whether its result lies in the grid's folder."""
        output = folder / self.stage.output
        if self.stage.kind == "collect":
            return (output / self.stage.settings["dataset"]).is_dir()
        if self.stage.kind == "adapt":
            return _is_whole(output.with_suffix(".json"))
        return state_of(output) == "finished"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """
    See the module for the file.

    :param domain: name, environment id, import path or file; a file's path is taken relative to the grid file
    :param preset: name, import path or file
    :param seeds: of demonstrations and skills
    :param trajectories: demonstrations; None takes the preset's number
    :param collect: settings of the demonstrations, where they differ from the preset
    :param extract: settings of the skills, where they differ from the preset
    :param methods: what is compared
    :param tasks: what each method adapts to
    :param minutes: by kind of stage, on one core
    """

    domain: str
    methods: tuple[GridMethod, ...]
    tasks: tuple[GridTasks, ...]
    preset: str | None = None
    seeds: tuple[int, ...] = (0,)
    trajectories: int | None = None
    collect: Mapping[str, Any] = field(default_factory=dict)
    extract: Mapping[str, Any] = field(default_factory=dict)
    minutes: Mapping[str, float] = field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """
        All stages, each once, those that others wait for first.

        :raises SettingsError: for a method, preset, task set or setting that there is not
        """
        cells: dict[str, Cell] = {}
        for cell in self._cells():
            cells.setdefault(cell.key, cell)
        return list(cells.values())

    def _cells(self) -> Iterator[Cell]:
        experiment = Experiment.find(self.domain, self.preset)
        for seed in self.seeds:
            collect = collect_stage(experiment, seed=seed, trajectories=self.trajectories, settings=self.collect)
            demonstrations = Cell(f"collect s{seed}", _into(collect))
            extract = extract_stage(
                experiment, "", seed=seed, datasets=demonstrations.stage.output, settings=self.extract
            )
            skills = Cell(f"extract s{seed}", _into(extract), (demonstrations.key,))
            yield from (demonstrations, skills)
            for entry in self.methods:
                for train_seed in entry.train_seeds:
                    yield from self._method(experiment, entry, (demonstrations, skills), seed, train_seed)

    def _method(
        self, experiment: Experiment, entry: GridMethod, made: tuple[Cell, Cell], seed: int, train_seed: int
    ) -> Iterator[Cell]:
        """
        :param made: demonstrations and skills
        """
        method, name = find_method(entry.method), entry.name or entry.method
        where = f"s{seed} t{train_seed}"
        source, path = _start(method.train_needs if method.needs == "meta-model" else method.needs, made)
        if method.needs == "meta-model":
            stage = meta_train_stage(
                experiment,
                path,
                "",
                method=entry.method,
                seed=train_seed,
                train_tasks=entry.train_tasks,
                total_timesteps=entry.total_timesteps,
                minutes=entry.train_minutes,
                settings=entry.train,
            )
            source = Cell(f"meta-train {name} {where}", _into(stage), _keys(source))
            path = f"{source.stage.output}/{ARTEFACTS['meta-model']}"
            yield source
        for asked in self.tasks:
            if asked.methods and name not in asked.methods:
                continue
            stage = adapt_stage(
                experiment,
                path,
                "",
                method=entry.method,
                seed=10_000 * seed + 100 * train_seed,
                tasks=asked.tasks,
                agents_per_task=asked.agents_per_task,
                variant="" if name in (method.name, method.label) else name,
                settings={**entry.adapt, **asked.settings},
                env=asked.env,
            )
            words = f"{name}-{asked.tasks.split('/')[-1]}-{where}".replace(" ", "-").replace(":", "-").replace(",", "_")
            output = f"{RESULTS}/{words[:80]}-{stage.key[:6]}.csv"
            cell = Cell(f"adapt {name} to {asked.tasks} {where}", replace(stage, output=output), _keys(source))
            yield cell


def _start(needs: str, made: tuple[Cell, Cell]) -> tuple[Cell | None, str | None]:
    """
    The cell that a method starts from, and the path of what it makes; None for a method that starts from nothing.

    :param needs: "demonstrations", "skills" or "nothing"
    :param made: demonstrations and skills
    """
    demonstrations, skills = made
    if needs == "demonstrations":
        return demonstrations, f"{demonstrations.stage.output}/{demonstrations.stage.settings['dataset']}"
    return (skills, f"{skills.stage.output}/{ARTEFACTS['skills']}") if needs == "skills" else (None, None)


def _keys(source: Cell | None) -> tuple[str, ...]:
    return () if source is None else (source.key,)


def _is_whole(results: Path) -> bool:
    """Whether the JSON beside some rows says that no episode is missing."""
    try:
        return not json.loads(results.read_text(encoding="utf-8"))["settings"].get("interrupted", False)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def _into(stage: Stage) -> Stage:
    """The same stage with an output that is named by what it does."""
    return replace(stage, output=f"{STAGES}/{stage.kind}-{stage.key}")


# ------------------------------------------------------------ the file


def read_grid(path: Path) -> Grid:
    """
    Read and check a grid file, all of it, before anything runs.

    :raises SettingsError: for a file that is none, a key, method, preset, task set or setting that there is not
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): expected a grid file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML file: {error}.") from error
    try:
        files = [(data, "domain"), (data, "preset"), *((entry, "tasks") for entry in _list(data, "tasks"))]
        for entry, name in files:
            if isinstance(text := entry.get(name), str) and (path.parent / text).is_file():
                entry[name] = str((path.parent / text).resolve())
        parts = {
            "methods": [_record(GridMethod, entry, "[[methods]]") for entry in _list(data, "methods")],
            "tasks": [_record(GridTasks, entry, "[[tasks]]") for entry in _list(data, "tasks")],
        }
        grid = _record(Grid, {**data, **parts}, "a grid")
        _check(grid)
        grid.cells()
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
    return grid


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(entry, dict) for entry in found):
        raise SettingsError(f"expected at least one [[{name}]].")
    return found


def _record(record: type[Record], values: Mapping[str, Any], where: str) -> Record:
    """
    :raises SettingsError: for keys that it does not have, or values of another kind
    """
    known = {declared.name: declared for declared in fields(record)}  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in known]:
        raise SettingsError(f"{where} has no key {', '.join(unknown)}: expected {', '.join(known)}.")
    taken = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
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


def _kinds(annotation: Any) -> tuple[type, ...]:
    parts = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    kinds = [get_origin(part) or part for part in parts]
    return (*kinds, int) if float in kinds else tuple(kinds)


def _check(grid: Grid) -> None:
    """
    :raises SettingsError: for names that occur twice or not at all, and seeds that are none
    """
    names = [entry.name or entry.method for entry in grid.methods]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"two [[methods]] are called {', '.join(double)}: give each a name.")
    for asked in grid.tasks:
        if unknown := [name for name in asked.methods if name not in names]:
            raise SettingsError(f"[[tasks]] {asked.tasks} names {', '.join(unknown)}: expected {', '.join(names)}.")
    for name, seeds in (("seeds", grid.seeds), *(("train_seeds", entry.train_seeds) for entry in grid.methods)):
        whole = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 100 for seed in seeds)
        if not seeds or not whole or len(set(seeds)) < len(seeds):
            raise SettingsError(f"{name} is {list(seeds)}: expected different whole numbers from 0 to 99.")
    if unknown := [kind for kind in grid.minutes if kind not in KINDS]:
        raise SettingsError(f"[minutes] names {', '.join(unknown)}: expected {', '.join(KINDS)}.")
