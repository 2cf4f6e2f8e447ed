"""The verbs of ``simpl-sb3``: what each takes, and the stage or function that it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.check_verb import CheckVerb
from simpl_sb3.experiments.flags import (
    Chosen,
    Verb,
    WithBar,
    WithDevice,
    WithDomain,
    WithEnv,
    WithMethod,
    WithOverwrite,
    WithPictures,
    WithSeed,
    WithSettings,
    parse_pairs,
    say,
)
from simpl_sb3.experiments.grid_verb import GridVerb
from simpl_sb3.experiments.play_verb import Play
from simpl_sb3.experiments.presets import split_settings
from simpl_sb3.experiments.push_verb import Push
from simpl_sb3.experiments.report_verb import Report
from simpl_sb3.experiments.stage import RunOptions
from simpl_sb3.experiments.stages import (
    adapt_stage,
    collect_stage,
    extract_stage,
    meta_timesteps,
    meta_train_stage,
    run_stage,
)
from simpl_sb3.settings import Settings, setting
from simpl_sb3.skills.settings import ExtractionSettings, SkillModelSettings

__all__ = ["VERBS"]


@dataclass(frozen=True, kw_only=True)
class Collect(WithDomain, WithEnv, WithSettings, WithOverwrite, WithSeed, WithBar):
    """
    Write scripted demonstrations of a domain as a Minari dataset.

    :param trajectories: how many
    :param dataset: Minari id to write; the domain's by default
    :param output: folder of Minari datasets, instead of MINARI_DATASETS_PATH
    """

    trajectories: int = setting(1_000, at_least=1)
    dataset: str | None = None
    output: Path | None = None

    @classmethod
    def records(cls, chosen: Chosen) -> Sequence[Settings]:
        experiment = chosen.experiment
        return [experiment.domain.needs_demonstrator().settings.of(experiment.preset.collect)]

    @classmethod
    def defaults(cls, chosen: Chosen) -> Mapping[str, Any]:
        return {"trajectories": chosen.experiment.preset.n_trajectories}

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        stage = collect_stage(
            chosen.experiment,
            "" if self.output is None else self.output,
            seed=self.seed,
            trajectories=self.trajectories,
            dataset=self.dataset,
            settings=given,
            env=parse_pairs("--env", self.env),
        )
        path = run_stage(stage, RunOptions(overwrite=self.overwrite, progress_bar=self.progress_bar))
        say(f"Demonstrations: {path}")


@dataclass(frozen=True, kw_only=True)
class Convert(WithSettings, WithOverwrite, WithBar):
    """
    Write the demonstrations of others as a Minari dataset, in the observations of a domain.

    The kitchen's come from Minari: pip install "minari[hf]", then minari download D4RL/kitchen/mixed-v2. Or they are
    the HDF5 file of D4RL's kitchen-mixed-v0, kitchen_microwave_kettle_bottomburner_light-v0.hdf5. Then: simpl-sb3
    extract --preset kitchen-paper --dataset simpl/kitchen-human-v0

    :param source: a Minari dataset on this machine, such as D4RL/kitchen/mixed-v2, or an HDF5 file
    :param domain: whose observations; by default the only domain that converts any
    :param dataset: Minari id to write; the domain's by default
    :param output: folder of Minari datasets to write to, instead of MINARI_DATASETS_PATH, where sources are looked for
    """

    positional: ClassVar[frozenset[str]] = frozenset({"source"})
    source: Annotated[str, tyro.conf.arg(metavar="SOURCE")]
    domain: str | None = None
    dataset: str | None = None
    output: Path | None = None

    @classmethod
    def records(cls, chosen: Chosen) -> Sequence[Settings]:
        return [converting_domain(chosen).converter.settings()]

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        converter = converting_domain(chosen).converter
        settings = converter.settings.of(given).as_dict()
        found = converter.find(self.source)
        root = None if self.output is None else self.output.resolve()
        dataset = self.dataset or converter.dataset_id
        path = converter.convert(
            found, dataset, root=root, overwrite=self.overwrite, progress_bar=self.progress_bar, **settings
        )
        say(f"Demonstrations: {path}")


def converting_domain(chosen: Chosen) -> Any:
    """
    The domain that was named, or else the first that converts demonstrations.

    :raises SettingsError: for one that converts none
    """
    from simpl_sb3.domains import built_in_domains

    able = [domain for domain in built_in_domains().values() if domain.converter is not None]
    domain = chosen.experiment.domain if chosen.domain_given else able[0]
    if domain.converter is None:
        names = ", ".join(known.name for known in able)
        raise SettingsError(f"The domain {domain.name} converts no demonstrations: expected one of {names}.")
    return domain


@dataclass(frozen=True, kw_only=True)
class Extract(WithDomain, WithSettings, WithOverwrite, WithSeed, WithDevice, WithPictures):
    """
    Extract skills from a Minari dataset.

    :param output: folder for skills.safetensors, metrics and checkpoints
    :param dataset: Minari id; the domain's by default
    :param observation_key: which part of Dict observations to read
    :param total_updates: updates in all
    :param verbose: 1 prints the metrics
    """

    output: Path
    dataset: str | None = None
    observation_key: str | None = None
    total_updates: int = setting(8_000, at_least=1)
    verbose: int = setting(0, at_least=0)

    @classmethod
    def records(cls, chosen: Chosen) -> Sequence[Settings]:
        return split_settings(chosen.experiment.preset.extract, SkillModelSettings, ExtractionSettings)

    @classmethod
    def defaults(cls, chosen: Chosen) -> Mapping[str, Any]:
        return {"total_updates": chosen.experiment.preset.skill_updates}

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        stage = extract_stage(
            chosen.experiment,
            self.output,
            seed=self.seed,
            dataset=self.dataset,
            observation_key=self.observation_key,
            total_updates=self.total_updates,
            settings=given,
        )
        path = run_stage(stage, run_options(self))
        say(f"Skills: {path}")


@dataclass(frozen=True, kw_only=True)
class MetaTrain(WithDomain, WithMethod, WithEnv, WithSettings, WithOverwrite, WithSeed, WithDevice, WithPictures):
    """
    Meta-train over a task set.

    :param skills: what the method's meta-training starts from: for simpl a file of extracted skills, for bc-pearl a
        Minari id, by default the domain's
    :param output: folder for model.zip, metrics and checkpoints
    :param train_tasks: a task set (train-20), random:N:SEED, tasks separated by commas (12-7,5-12), or a file of tasks;
        the preset's or the domain's training set by default
    :param total_timesteps: skills to live; episodes that have begun are finished
    :param minutes: stop at the first meta-iteration past this
    :param n_envs: environments stepped at once; two per task by default
    :param verbose: 1 prints the metrics
    """

    output: Path
    skills: str | None = None
    train_tasks: str | None = None
    total_timesteps: int | None = setting(None, at_least=1)
    minutes: float | None = setting(None, above=0.0)
    n_envs: int | None = setting(None, at_least=1)
    verbose: int = setting(0, at_least=0)

    @classmethod
    def records(cls, chosen: Chosen) -> Sequence[Settings]:
        method = chosen.method
        return [method.train_settings_class().of(chosen.experiment.preset.section(method.train_section))]

    @classmethod
    def defaults(cls, chosen: Chosen) -> Mapping[str, Any]:
        return {"total_timesteps": meta_timesteps(chosen.method, chosen.experiment.preset)}

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        stage = meta_train_stage(
            chosen.experiment,
            self.skills,
            self.output,
            method=chosen.method_text,
            seed=self.seed,
            train_tasks=self.train_tasks,
            total_timesteps=self.total_timesteps,
            minutes=self.minutes,
            n_envs=self.n_envs,
            settings=given,
            env=parse_pairs("--env", self.env),
        )
        path = run_stage(stage, run_options(self))
        say(f"Meta-trained model: {path}")


@dataclass(frozen=True, kw_only=True)
class Adapt(WithDomain, WithMethod, WithEnv, WithSettings, WithOverwrite, WithSeed, WithDevice, WithBar):
    """
    Adapt to unseen tasks, and write one row per episode. Discount, time limits and precision are the model's unless
    given.

    :param source: what the method starts from: for simpl a model of meta-train, for spirl a file of skills
    :param output: CSV to write; a JSON and what the episodes were like (.npz) get the same name
    :param tasks: a task set (target), random:N:SEED, tasks separated by commas (12-7,5-12), or a file of tasks; the
        preset's or the domain's test set by default
    :param agents_per_task: independent agents on each task; agent k has seed + k
    :param variant: what is special about this run, for the report
    :param film: film the agent that succeeds most; video (.mp4) and stills (.png) get the rows' name
    """

    flag_names: ClassVar[Mapping[str, str]] = {"source": "from"}
    source: str | None = None
    output: Path
    tasks: str | None = None
    agents_per_task: int = setting(1, at_least=1)
    variant: str = ""
    film: bool = False

    @classmethod
    def records(cls, chosen: Chosen) -> Sequence[Settings]:
        method = chosen.method
        return [method.settings_class().of(chosen.experiment.preset.section(method.preset_section))]

    @classmethod
    def unused(cls, chosen: Chosen) -> Sequence[str]:
        return chosen.method.unused

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        experiment = chosen.experiment
        stage = adapt_stage(
            experiment,
            self.source,
            self.output,
            method=chosen.method_text,
            seed=self.seed,
            tasks=self.tasks,
            agents_per_task=self.agents_per_task,
            variant=self.variant,
            settings=given,
            env=parse_pairs("--env", self.env),
        )
        filmed = self.film
        if filmed:
            from simpl_sb3.experiments.filming import has_camera

            filmed = has_camera(experiment.domain.env_id)
        agents = run_stage(stage, run_options(self))
        say_results(self.output)
        if filmed:
            from simpl_sb3.experiments.filming import film_beside

            film = film_beside(
                self.output,
                agents,
                experiment.domain.env_id,
                seed=self.seed,
                overwrite=self.overwrite,
                domain=experiment.domain,
            )
            say(f"Film: {film}")


def say_results(rows: Path) -> None:
    """Where the rows are, and in one line what they say."""
    from simpl_sb3.experiments.adapting import last_success
    from simpl_sb3.results.rows import read_results

    (file,) = read_results(rows)
    say(f"Results: {rows}")
    say(last_success(file.rows))


def run_options(verb: Any) -> RunOptions:
    """How a stage runs, from a verb's flags."""
    names = [part.name for part in fields(RunOptions) if hasattr(verb, part.name)]
    return RunOptions(**{name: getattr(verb, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class Demo(WithDomain, WithOverwrite, WithSeed, WithDevice, WithBar):
    """
    Adapt to tasks that no training saw, and end with numbers and pictures; in the kitchen, with a film as well.

    :param from_scratch: make everything first: demonstrations, skills, meta-training (on two cores about half an hour
        in the maze, longer in the kitchen)
    :param output: folder to make
    :param n_episodes: episodes per task, those that explore included
    :param spirl: also learn the same tasks without meta-training, for comparison
    """

    former_names: ClassVar[Mapping[str, str]] = {"--env": "--domain"}
    from_scratch: bool = False
    output: Path = Path("simpl-demo")
    n_episodes: int = setting(60, at_least=1)
    spirl: bool = True

    @classmethod
    def defaults(cls, chosen: Chosen) -> Mapping[str, Any]:
        return {"n_episodes": chosen.experiment.preset.demo_episodes}

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        from simpl_sb3.experiments.demo import demo

        demo(
            domain=self.domain,
            preset=self.preset,
            from_scratch=self.from_scratch,
            output=self.output,
            n_episodes=self.n_episodes,
            spirl=self.spirl,
            overwrite=self.overwrite,
            seed=self.seed,
            device=self.device,
            progress_bar=self.progress_bar,
        )


VERBS: dict[str, type[Verb]] = {
    "collect": Collect,
    "convert": Convert,
    "extract": Extract,
    "check-skills": CheckVerb,
    "meta-train": MetaTrain,
    "adapt": Adapt,
    "report": Report,
    "demo": Demo,
    "experiment": GridVerb,
    "play": Play,
    "push": Push,
}
"""The verbs of the command line by name, in the order in which ``--help`` lists them."""
