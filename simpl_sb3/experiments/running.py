"""The stages at work: where library, environments and disk meet; all is checked before something is written."""

import sys
import time
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.checkpoints import TrainingCheckpointCallback, load_checkpoint, newest_checkpoint
from simpl_sb3.algorithms.stock import StockModel
from simpl_sb3.algorithms.stock_checkpoints import StockCheckpointCallback, take_up
from simpl_sb3.demonstrations.kept import KeptEpisodes
from simpl_sb3.demonstrations.minari import (
    check_dataset_id_is_free,
    datasets_folder,
    load_minari,
    open_minari,
    read_settings,
    write_minari,
)
from simpl_sb3.domains import Domain, find_domain, refuse_unconverted
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.kept_log import KeptLog
from simpl_sb3.experiments.live_pictures import PicturesCallback
from simpl_sb3.experiments.prior_picture import prior_in_folder
from simpl_sb3.experiments.run_folder import RunFolder
from simpl_sb3.experiments.stage import RunOptions, Stage, json_value
from simpl_sb3.experiments.stopping import going_on
from simpl_sb3.experiments.training_callbacks import BorderCheckpoints, TimeLimit
from simpl_sb3.methods import ARTEFACTS, find_method
from simpl_sb3.numerics import checked_device
from simpl_sb3.skills.extractor import SkillExtractor
from simpl_sb3.skills.vec_env import make_skill_vec_env

__all__ = ["collect", "extract", "meta_train"]

CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints: what a kill may cost, besides what runs until the next border."""
PICTURES_SHARE = 0.02
"""Of a stage's time, what its pictures may take."""


# ------------------------------------------------------------ what stages share


def used(stage: Stage, device: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """All that a stage used, as plain data: its settings, and what only showed when it ran."""
    here = {"device": device, "torch_threads": th.get_num_threads()}
    settings: dict[str, Any] = json_value({**stage.settings, **more, **here})
    return settings


def probe_env(domain: Domain, env_settings: Mapping[str, Any]) -> gym.Env:
    """
    One environment, made once to learn whether it can be.

    :raises SettingsError: where it cannot be made with these settings
    """
    try:
        return gym.make(domain.env_id, **env_settings)
    except Exception as error:
        raise SettingsError(
            f"{domain.env_id} cannot be made with {dict(env_settings)} ({type(error).__name__}: {error})."
        ) from error


def minari_root(stage: Stage, name: str) -> Path | None:
    """Folder of Minari datasets that a stage names; None for Minari's own."""
    text = stage.output if name == "output" else stage.settings.get(name)
    return Path(text).resolve() if text else None  # Minari takes a relative one for relative to its own


# ------------------------------------------------------------ demonstrations


def collect(stage: Stage, options: RunOptions) -> Path:
    """
    Write a domain's scripted demonstrations as a Minari dataset. Those of a demonstrator that numbers them are kept on
    the way, beside the datasets in a hidden folder that the stage's key names, so that the same stage goes on.

    :return: the dataset's folder
    """
    settings = stage.settings
    domain = find_domain(settings["domain"])
    demonstrator = domain.needs_demonstrator()
    chosen = demonstrator.settings.of(settings["demonstrator"]).as_dict()
    env = probe_env(domain, settings["env"])
    spaces: Any = env.observation_space, env.action_space
    env.close()
    number, seed, root = settings["trajectories"], settings["seed"], minari_root(stage, "output")
    replaces = check_dataset_id_is_free(settings["dataset"], options.overwrite, root).exists()
    kept = KeptEpisodes(datasets_folder(root) / f".simpl-unfinished-{stage.key}", CHECKPOINT_SECONDS)
    goes_on = demonstrator.numbered and (replaces or not options.overwrite)
    before = kept.read() if goes_on else []
    if before:
        sys.stderr.write(f"Going on after {len(before)} of {number} demonstrations.\n")
    first = {"first": before[-1].number + 1} if before and before[-1].number is not None else {}
    more = demonstrator.demonstrate(number - len(before), seed, **first, **chosen)
    if not goes_on:
        kept.remove()
    try:
        path = write_minari(
            settings["dataset"],
            chain(before, kept.passing(more) if demonstrator.numbered else more),
            *spaces,
            overwrite=options.overwrite,
            settings={"n_trajectories": number, **chosen, "seed": seed, "env": domain.env_id, "stage": stage.as_dict()},
            description=demonstrator.description,
            algorithm_name=demonstrator.algorithm_name,
            n_episodes=number,
            progress_bar=options.progress_bar,
            root=root,
        )
    except KeyboardInterrupt as stop:
        kept.write()
        again = f"goes on after {kept.n_kept} of {number} demonstrations" if kept.n_kept else "starts again"
        stop.add_note(f"No dataset was written, and an earlier one was left as it was: the same command {again}.")
        raise
    kept.remove()
    return path


# ------------------------------------------------------------ skills


def extract(stage: Stage, options: RunOptions) -> Path:
    """
    Extract skills from a Minari dataset into ``skills.safetensors``.

    :return: that file
    :raises DatasetError: also for data that has to be converted first
    """
    settings, dataset_id = stage.settings, stage.inputs["dataset"]
    run = RunFolder(Path(stage.output), ARTEFACTS["skills"], options.overwrite, stage)
    device, root = str(checked_device(options.device)), minari_root(stage, "datasets")
    opened = open_minari(dataset_id, root)
    refuse_unconverted(opened, f"simpl-sb3 convert {dataset_id}")
    recorded = read_settings(dataset_id, root)
    domain = find_domain(settings["domain"])
    check_dataset_fits(domain, dataset_id, recorded)
    dataset = load_minari(opened, settings["model"]["horizon"], settings["observation_key"])
    extractor = SkillExtractor(
        dataset,
        folder=run.work,
        seed=settings["seed"],
        device=device,
        verbose=options.verbose,
        **settings["model"],
        **settings["extraction"],
    )
    more = {**json_value(extractor.settings), "dataset": dataset_id, "dataset_settings": recorded}
    record = used(stage, device, {key: value for key, value in more.items() if key not in ("model", "extraction")})
    counts = {"episodes": dataset.n_episodes, "steps": dataset.n_steps, "episodes_skipped": dataset.n_skipped}
    total, started = settings["total_updates"], time.perf_counter()
    folder = run.start()
    if run.resumes and extractor.restore():
        sys.stderr.write(f"Going on after {extractor.n_updates} of {total} updates.\n")
    log = KeptLog(folder / "progress.csv", "time/n_updates", extractor.n_updates)
    try:
        with going_on(folder, "checkpoint_????????.pt"):
            skills = extractor.learn(total, callback=checkpoint_now_and_then(folder), progress_bar=options.progress_bar)
            skills.save(folder / ARTEFACTS["skills"])
    except KeyboardInterrupt as stop:
        kept = extractor.save_checkpoint()
        run.interrupt(record, extractor.metrics | counts | {"n_updates": extractor.n_updates})
        stop.add_note(
            f"{extractor.n_updates} of {total} updates are in {kept}: the same command goes on from there, or from the "
            "start with --overwrite."
        )
        raise
    finally:
        log.put_before()
    if options.pictures:
        may_take = PICTURES_SHARE * (time.perf_counter() - started)
        prior_in_folder(folder, skills, domain, extractor.n_updates, may_take)
    return run.finish(record, extractor.metrics | counts)


def checkpoint_now_and_then(folder: Path) -> Callable[[SkillExtractor], None]:
    """What ``SkillExtractor.learn`` calls after each logging: a checkpoint where one is due; the two newest stay."""
    last = time.perf_counter()

    def write_if_due(extractor: SkillExtractor) -> None:
        nonlocal last
        if time.perf_counter() - last >= CHECKPOINT_SECONDS:
            extractor.save_checkpoint()
            last = time.perf_counter()
            for old in sorted(folder.glob("checkpoint_????????.pt"))[:-2]:
                old.unlink()

    return write_if_due


def check_dataset_fits(domain: Domain, dataset_id: str, recorded: Mapping[str, Any]) -> None:
    """
    :param recorded: what ``write_minari`` recorded
    :raises SettingsError: for a dataset that was made for another environment than the domain's
    """
    env_id = recorded.get("env")
    if env_id is not None and env_id != domain.env_id:
        raise SettingsError(
            f"{dataset_id} was made for {env_id}, the domain {domain.name} is for {domain.env_id}: expected "
            f"--domain {find_domain(env_id).name if gym.registry.get(env_id) else env_id}."
        )


# ------------------------------------------------------------ meta-training


class Environments:
    """
    Makes vec envs of a domain: (skills, number) -> vec env.

    :param domain: whose environment it is
    :param probe: one of them, for its spaces; it is closed
    :param seed: of the environments; None where they are seeded later
    :param env_settings: of the environment
    """

    def __init__(self, domain: Domain, probe: gym.Env, seed: int | None, env_settings: Mapping[str, Any]) -> None:
        self.env_id, self.seed, self.env_settings = domain.env_id, seed, dict(env_settings)
        self.goals = domain.goals
        self.observation_space, self.action_space = probe.observation_space, probe.action_space
        probe.close()

    def __call__(self, skills: Any, n_envs: int, /) -> Any:
        """So many environments whose actions are these skills."""
        return make_skill_vec_env(self.env_id, skills, n_envs, seed=self.seed, **self.env_settings)


def training_env(domain: Domain, tasks: tuple[Any, ...], seed: int, env_settings: Mapping[str, Any]) -> Environments:
    """
    What makes the environments of meta-training, with these training tasks.

    :raises SettingsError: where the environment has other tasks and takes none
    """
    probe = probe_env(domain, env_settings)
    try:
        own = tuple(probe.get_wrapper_attr("train_tasks"))
    except AttributeError:
        own = ()
    given: dict[str, Any] = {} if own == tasks else {"train_tasks": tasks}
    if given:
        try:
            gym.make(domain.env_id, **env_settings, **given).close()
        except TypeError as error:
            raise SettingsError(
                f"{domain.env_id} takes no train_tasks, and has others than those asked for: expected its own, "
                f"--train-tasks {domain.train_tasks}, or an environment with the keyword train_tasks."
            ) from error
    return Environments(domain, probe, seed, {**given, **env_settings})


def meta_train(stage: Stage, options: RunOptions) -> Path:
    """
    Meta-train a method over a task set into ``model.zip``, with ``progress.csv`` and TensorBoard files beside it.

    :return: that file
    """
    settings, started = stage.settings, time.perf_counter()
    method, domain = find_method(settings["method"]), find_domain(settings["domain"])
    run = RunFolder(Path(stage.output), ARTEFACTS["meta-model"], options.overwrite, stage)
    device = str(checked_device(options.device))
    tasks = domain.tasks(settings["train_tasks"])
    n_envs = settings["n_envs"] or 2 * len(tasks)
    model: Any = method.make_model(
        stage.inputs.get("source"),
        settings["training"],
        training_env(domain, tasks, settings["seed"], settings["env"]),
        n_envs=n_envs,
        seed=settings["seed"],
        device=device,
        verbose=options.verbose,
    )
    total = timesteps_of(model, settings["total_timesteps"])
    resolved = model.used_settings() if hasattr(model, "used_settings") else {}
    record = used(
        stage, device, {**settings["training"], **resolved, "n_envs": n_envs, "total_timesteps": total, "training": {}}
    )
    del record["training"]  # its settings stand beside the others, as the model used them
    folder = run.start()
    checkpoints = folder / "checkpoints"
    model, spent = taken_up(model, checkpoints, options) if run.resumes else (model, None)
    lived = 0 if spent is None else model.num_timesteps
    log = KeptLog(folder / "progress.csv", "time/total_timesteps", lived)
    model.set_logger(configure(str(folder), ["csv", "tensorboard", *(["stdout"] if options.verbose else [])]))
    limit = TimeLimit(None if settings["minutes"] is None else 60 * settings["minutes"])
    limit.started = started - (spent or 0.0)
    pictures = PicturesCallback(domain, env_settings=settings["env"]) if options.pictures else None
    callbacks = callbacks_of(model, limit, checkpoints, total, pictures)
    artefact = folder / ARTEFACTS["meta-model"]
    try:
        how = {"progress_bar": options.progress_bar, **({} if spent is None else {"reset_num_timesteps": False})}
        with going_on(checkpoints, "state_????????.zip"):
            model.learn(max(0, total - lived), callbacks, **how)
            model.save(artefact)
    except KeyboardInterrupt as stop:
        model.save(artefact)
        run.interrupt(record, metrics_of(model))
        stop.add_note(what_stays(model, total, artefact))
        raise
    finally:
        model.logger.close()
        log.put_before()
        if getattr(model, "env", None) is not None:
            model.env.close()
    return run.finish(record, metrics_of(model))


def callbacks_of(
    model: Any, limit: TimeLimit, checkpoints: Path, total: int, pictures: BaseCallback | None
) -> list[BaseCallback]:
    """What a meta-training is watched by; models of this library also keep checkpoints to go on from, and pictures."""
    callbacks: list[BaseCallback] = [limit, BorderCheckpoints(checkpoints, total)]
    if isinstance(model, SkillAlgorithm | StockModel):
        kind = StockCheckpointCallback if isinstance(model, StockModel) else TrainingCheckpointCallback
        callbacks.append(kind(checkpoints, CHECKPOINT_SECONDS, {"seconds": limit.seconds_so_far}))
    if isinstance(model, SkillAlgorithm) and pictures is not None:
        callbacks.append(pictures)
    return callbacks


def what_stays(model: Any, total: int, artefact: Path) -> str:
    """What an interrupted training leaves; only models of this library keep checkpoints to go on from."""
    exact = isinstance(model, SkillAlgorithm | StockModel)
    again = "goes on from the last checkpoint, with --overwrite from the start" if exact else "starts again"
    return (
        f"The model as it was after {model.num_timesteps} of {total} skills is {artefact}: adapt takes it; the same "
        f"command {again}."
    )


def timesteps_of(model: Any, given: int | None) -> int:
    """
    Skills that a model lives.

    :raises SettingsError: where neither the stage nor the model says how many
    """
    if given is not None:
        return given
    if not hasattr(model, "default_timesteps"):
        raise SettingsError(f"{type(model).__name__} has no number of timesteps of its own: give --total-timesteps.")
    return int(model.default_timesteps())


def taken_up(model: Any, checkpoints: Path, options: RunOptions) -> tuple[Any, float | None]:
    """
    The model of the newest checkpoint in place of a new one, and the seconds that were spent on it; the new one and
    None where there is no checkpoint.
    """
    if newest_checkpoint(checkpoints) is None:
        return model, None
    if isinstance(model, StockModel):
        older: Any = take_up(model, checkpoints)
    elif isinstance(model, SkillAlgorithm) and model.env is not None:
        older = load_checkpoint(type(model), checkpoints, model.env, model.device, verbose=options.verbose)
    else:
        return model, None
    sys.stderr.write(f"Going on after {older.num_timesteps} skills.\n")
    return older, float(older.checkpoint["more"]["seconds"])


def metrics_of(model: Any) -> dict[str, Any]:
    """What came of a training, as far as the model says it."""
    return dict(model.metrics()) if hasattr(model, "metrics") else {"timesteps": model.num_timesteps}
