"""What a method is: its names, what it starts from, and the two functions that do the work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from simpl_sb3.errors import SettingsError
from simpl_sb3.references import load_object
from simpl_sb3.settings import Settings

__all__ = ["ARTEFACTS", "Adapter", "MakeEnv", "Method", "OnEpisode", "TrainedModel"]

Needs = Literal["nothing", "demonstrations", "skills", "meta-model"]
ARTEFACTS: Mapping[str, str] = {"skills": "skills.safetensors", "meta-model": "model.zip"}
"""The file that a stage writes, by what a method needs."""
OnEpisode = Callable[[int, int, Any], None]
"""Called with agent, episode (from 1), and a ``FinishedEpisode``."""


class MakeEnv(Protocol):
    """
    Makes vec envs of a domain.

    :ivar observation_space: of the environment itself
    :ivar action_space: of the environment itself, not that of skills
    :ivar goals: how the domain writes a task as a goal, ``Goals``; None where it does not
    """

    observation_space: Any
    action_space: Any
    goals: Any

    def __call__(self, skills: Any, n_envs: int, /) -> Any:
        """So many environments whose actions are these skills."""
        ...


class Adapter(Protocol):
    """
    What is ready to adapt: everything was read and checked, nothing was written.

    :ivar skills: what the environment's actions are
    :ivar settings: all settings that adaptation uses
    :ivar training_tasks: names of the tasks of the meta-training; None without one
    """

    skills: Any
    settings: Settings
    training_tasks: tuple[str, ...] | None

    def run(self, env: Any, tasks: Sequence[Any], seed: int, on_episode: OnEpisode) -> Sequence[Any]:
        """
        Adapt to every task. An adapter that goes on after a kill also takes ``checkpoints``, an
        ``AdaptationCheckpoints`` to go on from and to write; another one starts again.

        :param env: as many environments as tasks
        :param tasks: one per agent
        :param seed: of everything random
        :param on_episode: called with agent, episode (from 1), and a ``FinishedEpisode``
        :return: the adapted agents, in the tasks' order; each has ``predict``
        """
        ...


class TrainedModel(Protocol):
    """
    What ``train`` makes: a model that knows its environment and has not learned yet; SB3's algorithms are such. One
    with ``default_timesteps()`` needs no ``--total-timesteps``.
    """

    num_timesteps: int

    def set_logger(self, logger: Any) -> None:
        """Where metrics go."""

    def learn(self, total_timesteps: int, callback: Any = None, *, progress_bar: bool = False) -> Any:
        """Learn for a number of steps: skills, where actions are skills."""

    def save(self, path: Any) -> None:
        """Write a file that ``adapt`` reads."""


@dataclass(frozen=True)
class Method:
    """
    One method.

    :param name: what the command line, rows and files call it
    :param label: what figures and tables call it
    :param colour: of its lines in figures, "#RRGGBB"
    :param adapt: function ``(source, settings, make_env, device) -> Adapter``, or its ``module:name``
    :param needs: what adaptation starts from, and so what ``source`` is: the path of a "meta-model" or of "skills", the
        id of a dataset of "demonstrations", or None for "nothing"
    :param preset_section: where a preset holds what it changes in adaptation
    :param settings: class of adaptation's settings, or its ``module:name``
    :param unused: settings of that class that this method does not use; the command line refuses them
    :param follows_model: settings that are the meta-trained model's where they are not given
    :param train: function ``(source, settings, make_env, n_envs, seed, device, verbose) -> TrainedModel``; None for a
        method without meta-training
    :param train_needs: what meta-training starts from
    :param train_section: where a preset holds what it changes in meta-training
    :param train_settings: class of meta-training's settings
    :param shows_goal: whether the policy is shown its goal, so that only domains with ``goals`` can serve
    """

    name: str
    label: str
    colour: str
    adapt: str | Callable[..., Adapter]
    needs: Needs = "skills"
    preset_section: str = ""
    settings: str | type[Settings] = "simpl_sb3.algorithms.settings:AdaptationSettings"
    unused: tuple[str, ...] = ()
    follows_model: tuple[str, ...] = ()
    train: str | Callable[..., TrainedModel] | None = None
    train_needs: Needs = "skills"
    train_section: str = "meta_train"
    train_settings: str | type[Settings] = "simpl_sb3.algorithms.settings:MetaTrainingSettings"
    shows_goal: bool = False

    def __post_init__(self) -> None:
        if not self.name or set(self.name) & set(',"\r\n'):
            raise SettingsError(f"A method's name is {self.name!r}: expected a text without commas and line ends.")
        if not self.preset_section:
            object.__setattr__(self, "preset_section", self.name)

    def settings_class(self) -> type[Settings]:
        """Class of adaptation's settings."""
        return cast(type[Settings], _resolved(self.settings))

    def train_settings_class(self) -> type[Settings]:
        """
        Class of meta-training's settings.

        :raises SettingsError: for a method without meta-training
        """
        self.check_trains()
        return cast(type[Settings], _resolved(self.train_settings))

    def make_adapter(
        self, source: Path | str | None, settings: Mapping[str, Any], make_env: MakeEnv, device: str
    ) -> Adapter:
        """
        Read and check what adaptation needs.

        :param source: what ``needs`` says
        :param settings: settings that were asked for, by name
        :param make_env: (skills, number of environments) -> vec env
        :param device: torch device
        """
        return cast(Adapter, _resolved(self.adapt)(source, settings, make_env, device))

    def make_model(
        self,
        source: Path | str | None,
        settings: Mapping[str, Any],
        make_env: MakeEnv,
        *,
        n_envs: int,
        seed: int,
        device: str,
        verbose: int,
    ) -> TrainedModel:
        """
        A model that is ready for meta-training.

        :param source: what ``train_needs`` says; for "demonstrations" also the folder of a dataset
        :param n_envs: environments stepped at once
        :raises SettingsError: for a method without meta-training
        """
        self.check_trains()
        make = _resolved(self.train)
        return cast(
            TrainedModel, make(source, settings, make_env, n_envs=n_envs, seed=seed, device=device, verbose=verbose)
        )

    @property
    def training(self) -> tuple[Any, ...]:
        """All that decides what meta-training makes: methods of which it is equal share their models."""
        return self.train, self.train_needs, self.train_section, self.train_settings

    def check_trains(self) -> None:
        """
        :raises SettingsError: for a method without meta-training
        """
        if self.train is None:
            raise SettingsError(f"Method {self.name} has no meta-training: expected one that has, such as simpl.")


def _resolved(reference: Any) -> Any:
    return load_object(reference) if isinstance(reference, str) else reference
