"""The record of a domain: an environment, its tasks, its demonstrator, its measure, its pictures."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpl_sb3.demonstrations.windows import Episode
from simpl_sb3.domains.preset import Preset
from simpl_sb3.errors import SettingsError, SimplError
from simpl_sb3.experience.goals import Goals
from simpl_sb3.methods.record import Method
from simpl_sb3.results.episodes import EpisodeSummary, Whose
from simpl_sb3.results.facts import DEFAULT_EPISODES, SUCCESS, Facts, Measure, PublishedCurve, Walls
from simpl_sb3.results.traces import Trace
from simpl_sb3.settings import Settings

__all__ = ["Converter", "Demonstrator", "Domain", "Goals", "Traces"]

MAX_TASK_FILE_BYTES = 1_000_000
MAX_NAME = 150
"""Longest list of tasks in place of a set's name, characters."""
MAX_LABEL = 60
"""Longest text in the rows' column ``task_set`` that lists tasks one by one, characters."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Demonstrator:
    """
    What ``simpl-sb3 collect`` writes.

    :param demonstrate: gives episodes for a number of episodes, a seed, and the settings by name
    :param numbered: whether ``demonstrate`` also takes ``first`` and gives its episodes their numbers, each of which
        depends on seed and number alone: a collection that was killed then goes on; others start again
    :param settings: class of its settings
    :param dataset_id: Minari id of the dataset that is written by default
    :param algorithm_name: how it works, in a few words
    :param description: what it shows, in a sentence
    """

    demonstrate: Callable[..., Iterator[Episode]]
    numbered: bool = False
    settings: type[Settings] = Settings
    dataset_id: str
    algorithm_name: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Converter:
    """
    What ``simpl-sb3 convert`` does: the demonstrations of others, written in the observations of this domain.

    :param find: the source by its path or Minari id, not yet read; asked before the folder of datasets changes
    :param convert: writes what ``find`` gave as a Minari dataset: (found, dataset_id, root, overwrite,
        progress_bar, and settings by name) -> its folder
    :param settings: class of its settings
    :param dataset_id: Minari id of the dataset that is written by default
    :param description: where sources come from, for ``--help``
    :param refuse: raises DatasetError for an open Minari dataset that has to be converted first; the second argument
        is the command that does
    """

    find: Callable[[str], Any]
    convert: Callable[..., Path]
    settings: type[Settings] = Settings
    dataset_id: str
    description: str = ""
    refuse: Callable[[Any, str], None] = lambda dataset, command: None


@dataclass(frozen=True, kw_only=True, eq=False)
class Traces:
    """
    What an episode leaves for pictures. The report knows how each kind of trace is drawn.

    :param trace: (whose, task, episode with observations) -> a trace, or None where there is nothing to show
    :param episodes: which of an agent's n episodes leave one: n -> numbers from 1; all of them by default
    :param walls: what paths are drawn over
    :param subtasks: names of all subtasks, where traces are completions of subtasks
    :param task_at: the text of the task that a place on the walls' map asks for: observed x, y -> text for
        ``parse_task``
    :param task_of: the text of the task that asks for subtasks in order: their indices -> text for ``parse_task``
    :param n_asked: how many subtasks a task asks for
    """

    trace: Callable[[Whose, Any, EpisodeSummary], Trace | None]
    episodes: Callable[[int], Iterable[int]] = lambda n: range(1, n + 1)
    walls: Walls | None = None
    subtasks: tuple[str, ...] = ()
    task_at: Callable[[float, float], str] | None = None
    task_of: Callable[[Sequence[int]], str] | None = None
    n_asked: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Domain:
    """
    One environment, and everything that is particular to it.

    :param name: short name, such as "maze"
    :param env_id: id that Gymnasium knows it by
    :param task_sets: task sets by name, or a function that gives them
    :param train_tasks: name of the set for meta-training
    :param test_tasks: name of the set to adapt to
    :param parse_task: a task from its text, such as "12-7"; it raises a SimplError or ValueError for a text that is
        none. Without it, only tasks of the sets can be named
    :param task_text: what ``parse_task`` expects, for messages
    :param random_tasks: random tasks outside the sets for a number and a seed; None where there are none
    :param demonstrator: for ``collect``; None where demonstrations come from elsewhere
    :param converter: for ``convert``; None where nothing is converted
    :param env_settings: class of the environment's settings, its keyword arguments that a user may change; None takes
        any name, and leaves the check to the environment
    :param measure: what is counted
    :param traces: what episodes leave for pictures; None for none
    :param goals: how a task is written as a goal, for methods that are shown it; None where a task is no goal
    :param film_demo: whether the demo ends with a film
    :param film_mode: the environment's render mode for films while a training runs: the fastest that shows enough
    :param published: curves to compare with
    :param episodes: the episodes N whose values tables show
    :param presets: its own presets; their names begin with its own: ``maze-fast``
    :raises SettingsError: for a part of another kind
    """

    name: str
    env_id: str
    task_sets: Mapping[str, tuple[Any, ...]] | Callable[[], Mapping[str, tuple[Any, ...]]]
    train_tasks: str = "train"
    test_tasks: str = "test"
    parse_task: Callable[[str], Any] | None = None
    task_text: str = "the name of a task of a set"
    random_tasks: Callable[[int, int], Sequence[Any]] | None = None
    demonstrator: Demonstrator | None = None
    converter: Converter | None = None
    env_settings: type[Settings] | None = None
    measure: Measure = SUCCESS
    traces: Traces | None = None
    goals: Goals | None = None
    film_demo: bool = False
    film_mode: str = "rgb_array"
    published: tuple[PublishedCurve, ...] = ()
    episodes: tuple[int, ...] = DEFAULT_EPISODES
    presets: tuple[Preset, ...] = ()

    def __post_init__(self) -> None:
        for part in ("name", "env_id", "train_tasks", "test_tasks"):
            if not isinstance(getattr(self, part), str) or not getattr(self, part).strip():
                raise SettingsError(f"Domain: {part} is {getattr(self, part)!r}: expected a text.")
        kinds: dict[str, tuple[type, ...]] = {
            "demonstrator": (Demonstrator,),
            "converter": (Converter,),
            "traces": (Traces,),
            "goals": (Goals,),
        }
        for part, kind in kinds.items():
            if not isinstance(getattr(self, part), (*kind, type(None))):
                raise SettingsError(f"Domain {self.name}: {part} is {getattr(self, part)!r}: expected {kind[0]}.")
        if not isinstance(self.measure, Measure):
            raise SettingsError(f"Domain {self.name}: measure is {self.measure!r}: expected a Measure.")
        for each in self.presets:
            if not isinstance(each, Preset) or each.domain != self.name or not each.name.startswith(f"{self.name}-"):
                raise SettingsError(
                    f"Domain {self.name}: presets holds {getattr(each, 'name', each)!r}: expected a Preset with "
                    f"domain={self.name!r} and a name that begins with {self.name}-."
                )
        if not callable(self.task_sets) and not isinstance(self.task_sets, Mapping):
            raise SettingsError(
                f"Domain {self.name}: task_sets is {self.task_sets!r}: expected tuples of tasks by name."
            )

    # ------------------------------------------------------------ tasks

    @property
    def sets(self) -> Mapping[str, tuple[Any, ...]]:
        """The task sets by name."""
        return self.task_sets() if callable(self.task_sets) else self.task_sets

    def tasks(self, text: str) -> tuple[Any, ...]:
        """
        Tasks from a text: the name of a set; ``random:N:SEED``; tasks separated by commas; or a file with one task per
        line, or a JSON list of them.

        :raises SettingsError: for anything else, naming the text and what is allowed
        """
        sets = self.sets
        if not text.strip():
            raise SettingsError(f"Tasks are {text!r}: expected one of {', '.join(sets)}, or {self.task_text}.")
        if text in sets:
            return tuple(sets[text])
        if text.startswith("random:") or text == "random":
            return self._random(text)
        if names_a_file(text):
            return self._parse_all(read_task_file(Path(text)), f"{text}: ")
        return self._parse_all([part.strip() for part in text.split(",")], "")

    def set_name(self, tasks: Iterable[Any]) -> str:
        """
        :param tasks: tasks, or their names
        :return: the name of the set that consists of these tasks, or else the tasks' names, the first of very many
        """
        names = tuple(task if isinstance(task, str) else task.name for task in tasks)
        known = {tuple(task.name for task in members): name for name, members in self.sets.items()}
        listed = ", ".join(names)
        if len(listed) > MAX_NAME:
            listed = f"{len(names)} tasks: {listed[: listed.rindex(',', 0, MAX_NAME)]}, ..."
        return known.get(names, listed)

    def set_label(self, text: str) -> str:
        """
        :param text: as :meth:`tasks` takes it
        :return: the same as the rows' column ``task_set`` can hold it, without commas and colons
        """
        if text in self.sets:
            return text
        if names_a_file(text):
            return Path(text).stem
        label = "+".join(part.strip() for part in text.split(",")).replace(":", "-")
        return label if len(label) <= MAX_LABEL else f"{label.count('+') + 1} tasks"

    def _random(self, text: str) -> tuple[Any, ...]:
        numbers = [int(number) for number in text.split(":")[1:] if number.isdecimal() and len(number) < 10]
        if self.random_tasks is None or text.count(":") != 2 or len(numbers) != 2 or numbers[0] < 1:
            raise SettingsError(self._expected(text))
        try:
            return tuple(self.random_tasks(*numbers))
        except (SimplError, ValueError) as error:
            raise SettingsError(f"{text} for {self.name}: {error}") from error

    def _parse_all(self, texts: Sequence[str], place: str) -> tuple[Any, ...]:
        tasks = [self._parse(text, place) for text in texts]
        names = [task.name for task in tasks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SettingsError(f"{place}task {twice[0]} is given twice: expected each task once.")
        if not tasks:
            raise SettingsError(f"{place}no task: expected one or more, each {self.task_text}.")
        return tuple(tasks)

    def _parse(self, text: str, place: str) -> Any:
        if self.parse_task is None:
            for task in (task for members in self.sets.values() for task in members):
                if task.name == text:
                    return task
            raise SettingsError(f"{place}{self._expected(text)}")
        try:
            task = self.parse_task(text)
        except (SimplError, ValueError) as error:
            raise SettingsError(f"{place}{self._expected(text)} ({error})") from error
        if task is None:
            raise SettingsError(f"{place}{self._expected(text)}")
        return task

    def _expected(self, text: str) -> str:
        """The message for a text that names no tasks."""
        random = "random:N:SEED, " if self.random_tasks is not None else ""
        return (
            f"No task set or task {text!r} for {self.name}: expected one of {', '.join(self.sets)}, {random}"
            f"a file of tasks, or tasks separated by commas, each {self.task_text}."
        )

    # ------------------------------------------------------------ settings

    def check_env_settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """
        :param given: keyword arguments of the environment, by name
        :return: the same as plain data, without the defaults of those that were not given
        :raises SettingsError: for an unknown name, or a value outside its range
        """
        if self.env_settings is None:
            return dict(given)
        checked = self.env_settings.of(given).as_dict()
        return {name: checked[name] for name in given}

    def check_serves(self, method: Method) -> None:
        """
        :raises SettingsError: for a method that is shown the goal, where a task is none
        """
        if method.shows_goal and self.goals is None:
            raise SettingsError(
                f"Method {method.name} is shown the goal, and the domain {self.name} does not say how a task is "
                "written as one: expected another method, or a domain whose record has goals, such as maze."
            )

    def needs_demonstrator(self) -> Demonstrator:
        """
        The demonstrator.

        :raises SettingsError: where there is none
        """
        if self.demonstrator is None:
            raise SettingsError(
                f"The domain {self.name} has no demonstrator: write demonstrations with simpl_sb3.write_minari, "
                "or give its record a Demonstrator."
            )
        return self.demonstrator

    @property
    def facts(self) -> Facts:
        """What a report has to know where rows do not say it."""
        walls = None if self.traces is None else self.traces.walls
        try:
            names = {name: tuple(task.name for task in tasks) for name, tasks in self.sets.items()}
        except SimplError:  # of an environment that cannot be asked
            names = {}
        return Facts(self.measure, self.published, walls, self.episodes, names)


def names_a_file(text: str) -> bool:
    """Whether a text is the name of a file of tasks, by its ending or because the file is there."""
    try:
        return text.endswith((".txt", ".json")) or Path(text).is_file()
    except OSError:  # too long for a name
        return False


def read_task_file(path: Path) -> list[str]:
    """
    Tasks as text.

    :param path: one task per line, ``#`` begins a comment; or a JSON list of texts
    :raises SettingsError: for a file that is missing, too large, or something else
    """
    if not path.is_file() or path.stat().st_size > MAX_TASK_FILE_BYTES:
        raise SettingsError(f"{path} is no file of tasks: expected a text file of at most {MAX_TASK_FILE_BYTES} bytes.")
    try:
        content = path.read_text(encoding="utf-8")
        listed = json.loads(content) if path.suffix == ".json" else content.splitlines()
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read ({error}): expected a task per line, or a JSON list.") from error
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise SettingsError(f"{path} holds no list of texts: expected a task per line, or a JSON list of them.")
    texts = [entry.partition("#")[0].strip() for entry in listed]
    return [text for text in texts if text]
