"""
A grid: methods x seeds x task sets, as stages that share what they have in common. ``grid_file`` has the file.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.run_folder import state_of
from simpl_sb3.experiments.stage import Stage
from simpl_sb3.experiments.stages import Experiment, adapt_stage, collect_stage, extract_stage, meta_train_stage
from simpl_sb3.methods import ARTEFACTS, Method, find_method

__all__ = ["Budget", "Cell", "Grid", "GridMethod", "GridTasks"]

STAGES = "stages"
RESULTS = "results"


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
    :param trajectories: demonstrations, where the number differs from the grid's
    :param collect: settings of the demonstrations, where they differ from the grid's
    :param extract: settings of the skills, where they differ from the grid's
    :param minutes: of its own stages, by kind, where they differ from the grid's
    """

    method: str
    name: str = ""
    train_seeds: tuple[int, ...] = (0,)
    train_tasks: str | None = None
    total_timesteps: int | None = None
    train_minutes: float | None = None
    train: Mapping[str, Any] = field(default_factory=dict)
    adapt: Mapping[str, Any] = field(default_factory=dict)
    trajectories: int | None = None
    collect: Mapping[str, Any] = field(default_factory=dict)
    extract: Mapping[str, Any] = field(default_factory=dict)
    minutes: Mapping[str, float] = field(default_factory=dict)

    @property
    def shown_name(self) -> str:
        """What results call it."""
        return self.name or self.method


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


@dataclass(frozen=True, kw_only=True)
class Budget:
    """
    A smaller form of a grid, for a first look; what is None stays as it is.

    :param preset: in place of the grid's
    :param seeds: in place of the grid's
    :param methods: names of the methods that stay
    :param train_seeds: of every method
    :param train_tasks: of every method
    :param trajectories: demonstrations of every method
    :param skill_updates: in place of the grid's
    :param train_minutes: at which every meta-training stops
    :param tasks: task sets that stay, as the grid names them
    :param agents_per_task: of every task set
    :param n_episodes: at most, where the grid says how many
    :param minutes: in place of the grid's
    """

    preset: str | None = None
    seeds: tuple[int, ...] | None = None
    methods: tuple[str, ...] | None = None
    train_seeds: tuple[int, ...] | None = None
    train_tasks: str | None = None
    trajectories: int | None = None
    skill_updates: int | None = None
    train_minutes: float | None = None
    tasks: tuple[str, ...] | None = None
    agents_per_task: int | None = None
    n_episodes: int | None = None
    minutes: Mapping[str, float] = field(default_factory=dict)

    def of_method(self, entry: GridMethod) -> GridMethod:
        """A method in this form."""
        given = {name: getattr(self, name) for name in ("train_seeds", "train_tasks", "train_minutes", "trajectories")}
        kept = {name: value for name, value in given.items() if value is not None}
        return replace(entry, **kept, adapt=self._shorter(entry.adapt), minutes={})

    def of_tasks(self, asked: GridTasks) -> GridTasks:
        """A task set in this form."""
        agents = asked.agents_per_task if self.agents_per_task is None else self.agents_per_task
        return replace(asked, agents_per_task=agents, settings=self._shorter(asked.settings))

    def _shorter(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.n_episodes is None or not isinstance(settings.get("n_episodes"), int):
            return settings
        return {**settings, "n_episodes": min(settings["n_episodes"], self.n_episodes)}


@dataclass(frozen=True)
class Cell:
    """
    One stage of a grid.

    :param name: for people
    :param stage: the stage; paths are relative to the grid's folder
    :param after: keys of the cells that it waits for
    :param minutes: on one core, where the grid says it of this very method
    """

    name: str
    stage: Stage
    after: tuple[str, ...] = ()
    minutes: float | None = None

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
    :param cores: that a stage takes, by its kind; 1 by default
    :param skill_updates: of the extraction of skills; None takes the preset's number
    :param budgets: smaller forms, by name
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
    cores: Mapping[str, int] = field(default_factory=dict)
    skill_updates: int | None = None
    budgets: Mapping[str, Budget] = field(default_factory=dict)

    def within(self, name: str) -> "Grid":
        """
        The smaller form of a name.

        :raises SettingsError: for a name that there is not
        """
        if name not in self.budgets:
            expected = ", ".join(self.budgets) or "none, as the grid declares no [budgets]"
            raise SettingsError(f"No budget {name!r}: expected {expected}.")
        budget = self.budgets[name]
        kept = [entry for entry in self.methods if budget.methods is None or entry.shown_name in budget.methods]
        names = {entry.shown_name for entry in kept}
        asked = [entry for entry in self.tasks if budget.tasks is None or entry.tasks in budget.tasks]
        asked = [
            replace(entry, methods=tuple(name for name in entry.methods if name in names))
            for entry in asked
            if not entry.methods or names & set(entry.methods)
        ]
        given = {part: getattr(budget, part) for part in ("preset", "seeds", "trajectories", "skill_updates")}
        return replace(
            self,
            **{part: value for part, value in given.items() if value is not None},
            methods=tuple(map(budget.of_method, kept)),
            tasks=tuple(map(budget.of_tasks, asked)),
            minutes={**self.minutes, **budget.minutes},
            budgets={},
        )

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
            for entry in self.methods:
                made = self._made(experiment, entry, seed)
                yield from self._wanted(entry, made)
                for train_seed in entry.train_seeds:
                    yield from self._method(experiment, entry, made, seed, train_seed)

    def _made(self, experiment: Experiment, entry: GridMethod, seed: int) -> tuple[Cell, Cell]:
        """Demonstrations and skills of a method."""
        own = entry.shown_name
        number = self.trajectories if entry.trajectories is None else entry.trajectories
        collect = collect_stage(experiment, seed=seed, trajectories=number, settings={**self.collect, **entry.collect})
        same = not entry.collect and entry.trajectories in (None, self.trajectories)
        demonstrations = Cell(f"collect {'' if same else f'{own} '}s{seed}", _into(collect))
        extract = extract_stage(
            experiment,
            "",
            seed=seed,
            datasets=demonstrations.stage.output,
            total_updates=self.skill_updates,
            settings={**self.extract, **entry.extract},
        )
        named = "" if same and not entry.extract else f"{own} "
        return demonstrations, Cell(f"extract {named}s{seed}", _into(extract), (demonstrations.key,))

    @staticmethod
    def _wanted(entry: GridMethod, made: tuple[Cell, Cell]) -> tuple[Cell, ...]:
        """Of demonstrations and skills, what a method starts from."""
        needs = _first_needs(find_method(entry.method))
        return {"skills": made, "demonstrations": made[:1]}.get(needs, ())

    def _method(
        self, experiment: Experiment, entry: GridMethod, made: tuple[Cell, Cell], seed: int, train_seed: int
    ) -> Iterator[Cell]:
        """
        :param made: demonstrations and skills
        """
        method, name = find_method(entry.method), entry.shown_name
        where = f"s{seed} t{train_seed}"
        source, path = _start(_first_needs(method), made)
        if method.needs == "meta-model":
            stage = meta_train_stage(
                experiment,
                path,
                "",
                method=entry.method,
                seed=train_seed if source else 100 * seed + train_seed,
                train_tasks=entry.train_tasks,
                total_timesteps=entry.total_timesteps,
                minutes=entry.train_minutes,
                settings=entry.train,
            )
            taken = entry.minutes.get("meta-train")
            source = Cell(f"meta-train {name} {where}", _into(stage), _keys(source), taken)
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
            task_set = asked.tasks.split("/")[-1]
            words = f"{name}-{task_set}-{where}".replace(" ", "-").replace(":", "-").replace(",", "_")
            output = f"{RESULTS}/{words[:80]}-{stage.key[:6]}.csv"
            told, taken = f"adapt {name} to {task_set} {where}", entry.minutes.get("adapt")
            yield Cell(told, replace(stage, output=output), _keys(source), taken)


def _first_needs(method: Method) -> str:
    """What the first stage of a method starts from."""
    return method.train_needs if method.needs == "meta-model" else method.needs


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
