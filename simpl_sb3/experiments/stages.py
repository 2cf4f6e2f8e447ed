"""
Stages as values, from what was asked to what will be used: each function resolves presets and defaults and checks them.

::

    experiment = Experiment.find("maze")                    # domain and preset
    stage = extract_stage(experiment, "runs/skills", seed=0, extraction={"kl_weight": 1e-2})
    run_stage(stage, RunOptions(device="cpu"))              # or elsewhere: Stage.from_json(stage.as_json())
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from simpl_sb3.domains import Domain, find_domain
from simpl_sb3.domains.record import names_a_file
from simpl_sb3.errors import ModelFileError, SettingsError
from simpl_sb3.experiments.presets import DEFAULT_DOMAIN, Preset, find_preset, presets_domain, split_settings
from simpl_sb3.experiments.run_folder import RunFolder, held
from simpl_sb3.experiments.stage import DIGEST, RunOptions, Stage
from simpl_sb3.methods import ARTEFACTS, Method, find_method, trained_as
from simpl_sb3.skills.settings import ExtractionSettings, SkillModelSettings

__all__ = [
    "Experiment",
    "adapt_stage",
    "collect_stage",
    "extract_stage",
    "meta_timesteps",
    "meta_train_stage",
    "run_stage",
]

PathLike = Path | str


@dataclass(frozen=True)
class Experiment:
    """
    A domain with a preset, and how both were named.

    :param domain: the domain
    :param preset: what differs from the defaults
    :param domain_text: name, environment id, import path or file of the domain
    """

    domain: Domain
    preset: Preset
    domain_text: str

    @classmethod
    def find(cls, domain: str | None = None, preset: str | None = None) -> Self:
        """
        :param domain: name, environment id, import path or file; None takes the preset's, or else ``DEFAULT_DOMAIN``
        :param preset: name, import path or file; None takes the domain's own, or else the general defaults
        :raises SettingsError: where there is none, or both do not fit
        """
        text = domain or presets_domain(preset) or DEFAULT_DOMAIN
        found = find_domain(text)
        return cls(found, find_preset(preset, found), text)

    def dataset_id(self) -> str:
        """
        The Minari dataset that is written and read where none is named.

        :raises SettingsError: for a domain without one
        """
        own = None if self.domain.demonstrator is None else self.domain.demonstrator.dataset_id
        if found := self.preset.dataset_id or own:
            return found
        raise SettingsError(f"The domain {self.domain.name} names no dataset: give --dataset with a Minari id.")


def _whole(name: str, value: Any, at_least: int) -> int:
    """
    :raises SettingsError: for anything but a whole number of that size
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < at_least:
        raise SettingsError(f"{name} is {value!r}: expected a whole number of at least {at_least}.")
    return int(value)


def _seed(value: Any) -> int:
    if _whole("seed", value, 0) >= 2**32:
        raise SettingsError(f"seed is {value}: expected a number below 2**32.")
    return int(value)


def _common(experiment: Experiment, seed: int) -> dict[str, Any]:
    return {"domain": experiment.domain_text, "preset": experiment.preset.name, "seed": _seed(seed)}


def _env(domain: Domain, env: Mapping[str, Any]) -> dict[str, Any]:
    """
    :raises SettingsError: for settings that the environment does not have
    """
    try:
        return domain.check_env_settings(env)
    except SettingsError as error:
        raise SettingsError(f"Settings of {domain.env_id}: {error}") from error


def collect_stage(
    experiment: Experiment,
    output: PathLike = "",
    *,
    seed: int = 0,
    trajectories: int | None = None,
    dataset: str | None = None,
    settings: Mapping[str, Any] = {},
    env: Mapping[str, Any] = {},
) -> Stage:
    """
    :param output: folder of Minari datasets; "" for Minari's own
    :param trajectories: how many; None takes the preset's number
    :param dataset: Minari id to write; None takes the domain's
    :param settings: of the domain's demonstrator, where they differ from the preset
    :param env: settings of the environment
    """
    domain, preset = experiment.domain, experiment.preset
    record = domain.needs_demonstrator().settings.of({**preset.collect, **settings})
    number = preset.n_trajectories if trajectories is None else trajectories
    return Stage(
        "collect",
        {
            **_common(experiment, seed),
            "dataset": dataset or experiment.dataset_id(),
            "trajectories": _whole("trajectories", number, 1),
            "demonstrator": record.as_dict(),
            "env": _env(domain, env),
        },
        {},
        str(output),
    )


def extract_stage(
    experiment: Experiment,
    output: PathLike,
    *,
    seed: int = 0,
    dataset: str | None = None,
    datasets: PathLike | None = None,
    observation_key: str | None = None,
    total_updates: int | None = None,
    settings: Mapping[str, Any] = {},
) -> Stage:
    """
    :param output: folder for skills.safetensors
    :param dataset: Minari id; None takes the domain's
    :param datasets: folder of Minari datasets; None for Minari's own
    :param observation_key: which part of Dict observations to read
    :param total_updates: None takes the preset's number
    :param settings: of ``SkillModelSettings`` and ``ExtractionSettings``, where they differ from the preset
    """
    preset = experiment.preset
    model, extraction = split_settings({**preset.extract, **settings}, SkillModelSettings, ExtractionSettings)
    updates = preset.skill_updates if total_updates is None else total_updates
    return Stage(
        "extract",
        {
            **_common(experiment, seed),
            "datasets": None if datasets is None else str(datasets),
            "observation_key": observation_key,
            "total_updates": _whole("total_updates", updates, 1),
            "model": model.as_dict(),
            "extraction": extraction.as_dict(),
        },
        {"dataset": dataset or experiment.dataset_id()},
        str(output),
    )


def meta_train_stage(
    experiment: Experiment,
    source: PathLike | None,
    output: PathLike,
    *,
    method: str = "simpl",
    seed: int = 0,
    train_tasks: str | None = None,
    total_timesteps: int | None = None,
    minutes: float | None = None,
    n_envs: int | None = None,
    settings: Mapping[str, Any] = {},
    env: Mapping[str, Any] = {},
) -> Stage:
    """
    :param source: what the method's meta-training starts from, such as a file of skills; None takes the domain's
        demonstrations where it starts from these
    :param output: folder for model.zip
    :param method: name, import path or file of the method
    :param train_tasks: tasks as text; None takes the preset's or the domain's set
    :param total_timesteps: skills to live; None takes :func:`meta_timesteps`
    :param minutes: stop at the first meta-iteration past this; None for no limit
    :param n_envs: environments stepped at once; None takes two per task
    :param settings: of the method's meta-training, where they differ from the preset
    :param env: settings of the environment, where they differ from the preset
    """
    chosen, domain, preset = find_method(method), experiment.domain, experiment.preset
    domain.check_serves(chosen)
    record = chosen.train_settings_class().of({**preset.section(chosen.train_section), **settings})
    tasks = next(text for text in (train_tasks, preset.train_tasks, domain.train_tasks) if text is not None)
    chosen_tasks = domain.tasks(tasks)
    if minutes is not None and not 0 < minutes < 1e6:
        raise SettingsError(f"minutes is {minutes}: expected a number above 0.")
    timesteps = meta_timesteps(chosen, preset) if total_timesteps is None else total_timesteps
    if source is None and chosen.train_needs == "demonstrations":
        source = experiment.dataset_id()
    return Stage(
        "meta-train",
        {
            **_common(experiment, seed),
            "method": trained_as(method),
            **_tasks("train_tasks", tasks, chosen_tasks),
            "total_timesteps": None if timesteps is None else _whole("total_timesteps", timesteps, 1),
            "minutes": minutes,
            "n_envs": None if n_envs is None else _whole("n_envs", n_envs, 1),
            "training": record.as_dict(),
            "env": _env(domain, {**preset.meta_train_env, **env}),
        },
        _source(chosen, chosen.train_needs, source),
        str(output),
    )


def meta_timesteps(method: Method, preset: Preset) -> int | None:
    """
    Skills that a preset's meta-training lives; None, which leaves it to the method, for one whose actions are no
    skills.
    """
    return preset.meta_timesteps if method.train_needs == "skills" else None


def adapt_stage(
    experiment: Experiment,
    source: PathLike | None,
    output: PathLike,
    *,
    method: str = "simpl",
    seed: int = 0,
    tasks: str | None = None,
    agents_per_task: int = 1,
    variant: str = "",
    settings: Mapping[str, Any] = {},
    env: Mapping[str, Any] = {},
) -> Stage:
    """
    :param source: what the method's adaptation starts from, such as a meta-trained model
    :param output: the CSV
    :param method: name, import path or file of the method
    :param tasks: tasks as text; None takes the preset's or the domain's test set
    :param agents_per_task: agents of each task; agent k has seed ``seed + k``
    :param variant: what is special about this run, in a word or two
    :param settings: of the method's adaptation, where they differ from the preset
    :param env: settings of the environment
    """
    chosen, domain, preset = find_method(method), experiment.domain, experiment.preset
    domain.check_serves(chosen)
    asked = {**preset.section(chosen.preset_section), **settings}
    resolved = chosen.settings_class().of(asked).as_dict()
    follows = [name for name in (*chosen.follows_model, *chosen.unused) if name in resolved and name not in asked]
    text = next(text for text in (tasks, preset.test_tasks, domain.test_tasks) if text is not None)
    chosen_tasks = domain.tasks(text)
    return Stage(
        "adapt",
        {
            **_common(experiment, seed),
            "method": method,
            **_tasks("tasks", text, chosen_tasks),
            "agents_per_task": _whole("agents_per_task", agents_per_task, 1),
            "variant": variant,
            "adaptation": {name: value for name, value in resolved.items() if name not in follows},
            "env": _env(domain, env),
        },
        _source(chosen, chosen.needs, source),
        str(output),
    )


def _tasks(name: str, text: str, tasks: Sequence[Any]) -> dict[str, str]:
    """Tasks as text, and of a file what it holds."""
    if not names_a_file(text):
        return {name: text}
    content = json.dumps([task.name for task in tasks])
    return {name: text, name + DIGEST: hashlib.sha256(content.encode()).hexdigest()}


def _source(method: Method, needs: str, source: PathLike | None) -> dict[str, str]:
    """
    :raises SettingsError: where a method needs something to start from, or takes nothing
    """
    if needs == "nothing":
        if source is not None:
            raise SettingsError(f"Method {method.name} starts from nothing: expected no file, not {source}.")
        return {}
    if source is None:
        raise SettingsError(
            f"Method {method.name} starts from {needs}: expected its file or id (--from, of meta-train --skills)."
        )
    return {"source": str(source)}


def check_inputs(stage: Stage, overwrite: bool = False) -> None:
    """
    Whether what a stage reads is there, before torch is imported and whatever else takes seconds.

    :param overwrite: whether its output may stand
    :raises ModelFileError: for a missing file
    :raises DatasetError: for a missing dataset
    :raises SettingsError: for an output that stands
    """
    dataset, source = stage.inputs.get("dataset"), stage.inputs.get("source")
    if dataset is not None:
        from simpl_sb3.demonstrations.minari import open_minari

        RunFolder(Path(stage.output), ARTEFACTS["skills"], overwrite, stage)  # what stands there is told first
        open_minari(dataset, stage.settings["datasets"])
    if source is None:
        return
    method = find_method(stage.settings["method"])
    needs = method.needs if stage.kind == "adapt" else method.train_needs
    if needs in ARTEFACTS and not any(Path(f"{source}{ending}").is_file() for ending in ("", ".zip")):
        what = {"skills": "skills file", "meta-model": "model file"}[needs]
        raise ModelFileError(f"No {what} {source}: expected {ARTEFACTS[needs]} of an earlier stage.")


def run_stage(stage: Stage, options: RunOptions | None = None) -> Any:
    """
    Run a stage in this process.

    :return: the path of what it wrote; of ``adapt`` the adapted agents
    :raises SimplError: for anything that is wrong, before something is written; also where another process writes there
    """
    options = options or RunOptions()
    with held(written(stage)):
        check_inputs(stage, options.overwrite)
        if stage.kind == "adapt":
            from simpl_sb3.experiments.adapting import adapt

            return adapt(stage, options)
        from simpl_sb3.experiments import running

        work = {"collect": running.collect, "extract": running.extract, "meta-train": running.meta_train}
        return work[stage.kind](stage, options)


def written(stage: Stage) -> Path:
    """The file or folder that a stage writes: of demonstrations that of their dataset."""
    if stage.kind != "collect":
        return Path(stage.output)
    own = os.environ.get("MINARI_DATASETS_PATH") or "~/.minari/datasets"  # Minari would make the folder when asked
    return Path(stage.output or own).expanduser() / stage.settings["dataset"]
