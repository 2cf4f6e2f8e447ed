"""The kitchen: complete four subtasks in a hidden order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simpl_envs import KITCHEN_TASK_SETS, SubtaskSequence
from simpl_envs.kitchen.tasks import SEQUENCE_LENGTH, SUBTASKS
from simpl_sb3.demonstrations.windows import Episode
from simpl_sb3.domains.kitchen_presets import PRESETS
from simpl_sb3.domains.record import Converter, Demonstrator, Domain, Traces
from simpl_sb3.errors import SettingsError
from simpl_sb3.results.episodes import EpisodeSummary, Whose
from simpl_sb3.results.facts import Measure
from simpl_sb3.results.published import published_curves
from simpl_sb3.results.traces import Completions
from simpl_sb3.settings import Settings, setting

__all__ = ["DOMAIN", "ConversionSettings", "KitchenSettings", "ScriptSettings"]

N_ORDERS = 7 * 6 * 5 * 4
"""Orders of four different subtasks among seven."""


@dataclass(frozen=True, kw_only=True)
class KitchenSettings(Settings):
    """
    Of the environment.

    :param noise: factor on the published noise of observations
    :param physics: "published", or "fast" with half as many simulation steps and fewer collision checks
    """

    noise: float = setting(1.0, at_least=0, at_most=100)
    physics: Literal["published", "fast"] = setting("published", one_of=("published", "fast"))


# ------------------------------------------------------------ tasks


def random_tasks(n: int, seed: int) -> tuple[SubtaskSequence, ...]:
    """
    Random orders of four subtasks, all different, none of them in a published set.

    :raises SettingsError: for more than there are
    """
    published = {task for tasks in KITCHEN_TASK_SETS.values() for task in tasks}
    if n > N_ORDERS - len(published):
        raise SettingsError(f"{n} random tasks; there are {N_ORDERS - len(published)} outside of the published sets")
    rng = np.random.default_rng(seed)
    drawn: dict[SubtaskSequence, None] = {}
    while len(drawn) < n:
        task = SubtaskSequence(tuple(int(subtask) for subtask in rng.permutation(len(SUBTASKS))[:4]))
        if task not in published:
            drawn[task] = None
    return tuple(drawn)


# ------------------------------------------------------------ demonstrations


@dataclass(frozen=True, kw_only=True)
class ScriptSettings(Settings):
    """
    Of the scripted arm.

    :param noise: standard deviation of the noise on the actions, which are in [-1, 1]
    :param jitter: half width of the uniform noise on waypoints, m
    :param pushes: probability per env step of being pushed off course
    :param intended: record the actions that were intended, without noise and pushes, instead of those executed
    :param train_share: share of demonstrations that show a published training task; the others show any order of any
        four subtasks, and none shows a target task
    :param max_attempts: at each subtask
    :param complete_only: drop demonstrations that do not complete their four subtasks, and make others instead
    :param observation_noise: factor on the published noise of observations
    :param physics: "published", or "fast"
    :param max_steps: longest demonstration, env steps
    :param steady_noise: factor on the noise while an object is grasped or moved
    """

    noise: float = setting(0.1, at_least=0, at_most=1)
    jitter: float = setting(0.006, at_least=0, at_most=0.1)
    pushes: float = setting(0.0, at_least=0, at_most=1)
    intended: bool = setting(False)
    train_share: float = setting(0.0, at_least=0, at_most=1)
    max_attempts: int = setting(3, at_least=1, at_most=100)
    complete_only: bool = setting(True)
    observation_noise: float = setting(1.0, at_least=0, at_most=100)
    physics: Literal["published", "fast"] = setting("published", one_of=("published", "fast"))
    max_steps: int = setting(500, at_least=1, at_most=100_000)
    steady_noise: float = setting(0.5, at_least=0, at_most=10)


def demonstrate(n: int, seed: int, first: int = 0, **settings: Any) -> Iterator[Episode]:
    """
    Scripted demonstrations.

    :param n: how many
    :param seed: equal seeds give equal demonstrations
    :param first: number of the first one
    :param settings: of ``ScriptSettings``
    """
    from simpl_envs.kitchen.demonstrator import demonstrate as script  # needs MuJoCo

    shown = script(n, seed, first=first, **settings)
    return (Episode(episode.observations, episode.actions, episode.number) for episode in shown)


@dataclass(frozen=True, kw_only=True)
class ConversionSettings(Settings):
    """
    Of the conversion of human demonstrations.

    :param max_steps: where longer runs of an HDF5 file are split, env steps
    """

    max_steps: int = setting(280, at_least=1)


def find_human_data(source: str) -> Any:
    """The source of human demonstrations, not read yet: :func:`~simpl_sb3.domains.kitchen_human.find_kitchen_data`."""
    from simpl_sb3.domains.kitchen_human import find_kitchen_data  # needs h5py and Minari

    return find_kitchen_data(source)


def convert_human_data(
    found: Any, dataset_id: str, *, root: Path | None = None, overwrite: bool, progress_bar: bool, **settings: int
) -> Path:
    """
    Write human demonstrations in the observations of this environment.

    :param found: what :func:`find_human_data` gave
    :param dataset_id: Minari id to write
    :param root: folder of Minari datasets to write to; None for Minari's own
    :param overwrite: replace an existing dataset
    :param progress_bar: show one
    :param settings: of ``ConversionSettings``
    :return: the dataset's folder
    """
    from simpl_sb3.domains.kitchen_human import convert_kitchen_data

    return convert_kitchen_data(
        found, dataset_id, root=root, overwrite=overwrite, progress_bar=progress_bar, **settings
    )


def refuse_human_data(dataset: Any, command: str) -> None:
    """
    :raises DatasetError: for human demonstrations that have not been converted
    """
    from simpl_sb3.domains.kitchen_human import refuse_unconverted_kitchen

    refuse_unconverted_kitchen(dataset, command)


# ------------------------------------------------------------ pictures


def trace(whose: Whose, task: SubtaskSequence, episode: EpisodeSummary) -> Completions | None:
    """Which subtasks an episode completed, and when."""
    if episode.observations is None:
        return None
    completed, rewarded = task.completion_steps(episode.observations[1:])
    return Completions(*whose, task.subtasks, rewarded, completed)


_EPISODES = (20, 40, 60, 80, 100, 160, 195)
"""Those that the publication's curves are read off at."""


DOMAIN = Domain(
    name="kitchen",
    env_id="SimplKitchen-v0",
    task_sets=KITCHEN_TASK_SETS,
    train_tasks="train",
    test_tasks="target",
    parse_task=SubtaskSequence.from_name,
    task_text="four different digits from 0 to 6 such as 5021",
    random_tasks=random_tasks,
    demonstrator=Demonstrator(
        demonstrate=demonstrate,
        numbered=True,
        settings=ScriptSettings,
        dataset_id="simpl/kitchen-scripted-v0",
        algorithm_name="scripted arm with retries",
        description="Ordered sequences of four subtasks, none of them a target task, without rewards or task labels.",
    ),
    converter=Converter(
        find=find_human_data,
        convert=convert_human_data,
        settings=ConversionSettings,
        dataset_id="simpl/kitchen-human-v0",
        description="Human demonstrations: a Minari dataset such as D4RL/kitchen/mixed-v2, or an HDF5 file of D4RL.",
        refuse=refuse_human_data,
    ),
    env_settings=KitchenSettings,
    measure=Measure("return", "subtasks completed (of 4)", 4.0),
    traces=Traces(
        trace=trace,
        subtasks=SUBTASKS,
        task_of=lambda subtasks: "".join(map(str, subtasks)),
        n_asked=SEQUENCE_LENGTH,
    ),
    film_demo=True,
    published=published_curves("SimplKitchen-v0"),
    episodes=_EPISODES,
    presets=PRESETS,
)
"""The record."""
