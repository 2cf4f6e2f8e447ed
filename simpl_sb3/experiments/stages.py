"""The stages as functions: collect, extract, meta_train, adapt. Here library, environments and disk meet."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.logger import configure

from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.demonstrations.minari import load_minari, open_minari, read_settings, write_minari
from simpl_sb3.domains import find_domain, refuse_unconverted
from simpl_sb3.experiments.presets import Preset
from simpl_sb3.experiments.recorder import Adapted, RowKeeper
from simpl_sb3.experiments.run_folder import begin, clear, matmul_precision, new_results, numerics, write_run
from simpl_sb3.results.rows import write_results
from simpl_sb3.skills.extractor import SkillExtractor
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.vec_env import make_skill_vec_env

# ------------------------------------------------------------ demonstrations


@contextmanager
def minari_folder(path: Path | None) -> Iterator[None]:
    """Keep Minari's datasets in ``path`` for a while; None leaves MINARI_DATASETS_PATH as it is."""
    before = os.environ.get("MINARI_DATASETS_PATH")
    if path is not None:
        os.environ["MINARI_DATASETS_PATH"] = str(path.resolve())
    try:
        yield
    finally:
        if path is not None:
            os.environ.pop("MINARI_DATASETS_PATH")
            if before is not None:
                os.environ["MINARI_DATASETS_PATH"] = before


def collect(
    preset: Preset,
    n_trajectories: int,
    settings: Mapping[str, Any],
    seed: int,
    dataset_id: str,
    overwrite: bool,
    progress_bar: bool,
) -> Path:
    """
    Write the environment's scripted demonstrations as a Minari dataset.

    :param settings: of the domain's demonstrator
    :return: the dataset's folder
    """
    demonstrator = find_domain(preset.env_id).needs_demonstrator()
    chosen = demonstrator.settings.of(settings).as_dict()
    env = gym.make(preset.env_id)
    observation_space, action_space = env.observation_space, env.action_space
    env.close()
    return write_minari(
        dataset_id,
        demonstrator.demonstrate(n_trajectories, seed, **chosen),
        observation_space,  # type: ignore[arg-type]
        action_space,  # type: ignore[arg-type]
        overwrite=overwrite,
        settings={"n_trajectories": n_trajectories, **chosen, "seed": seed, "env": preset.env_id},
        description=demonstrator.description,
        algorithm_name=demonstrator.algorithm_name,
        n_episodes=n_trajectories,
        progress_bar=progress_bar,
    )


def extract(
    dataset_id: str,
    output: Path,
    settings: Mapping[str, Any],
    total_updates: int,
    seed: int,
    device: str,
    progress_bar: bool,
) -> Path:
    """
    Extract skills from a Minari dataset into ``output/skills.safetensors``.

    :param settings: of ``SkillExtractor``, and ``observation_key`` for Dict observations
    :raises DatasetError: also for data that has to be converted first, before anything is written
    """
    started = begin(device)
    settings = dict(settings)
    opened = open_minari(dataset_id)
    refuse_unconverted(opened, f"simpl-sb3 convert {dataset_id}")
    dataset = load_minari(opened, settings.get("horizon", 10), settings.pop("observation_key", None))
    extractor = SkillExtractor(dataset, folder=output, seed=seed, device=device, **settings)
    clear(output, "skills.safetensors", "run.json", "checkpoint_*.pt")
    skills = extractor.learn(total_updates, checkpoint_interval=max(1, total_updates // 4), progress_bar=progress_bar)
    path = output / "skills.safetensors"
    skills.save(path)
    asked = {
        **settings,
        "dataset": dataset_id,
        "dataset_settings": read_settings(dataset_id),
        "total_updates": total_updates,
        "seed": seed,
    }
    counts = {"episodes": dataset.n_episodes, "steps": dataset.n_steps, "episodes_skipped": dataset.n_skipped}
    write_run(output, "extract", asked, time.perf_counter() - started, extractor.metrics | counts)
    return path


# ------------------------------------------------------------ tasks


def published_sets(env_id: str) -> Mapping[str, tuple[Any, ...]]:
    """The task sets of an environment, by name."""
    return find_domain(env_id).sets


def find_tasks(env_id: str, name: str) -> tuple[Any, ...]:
    """
    Tasks from a text: :meth:`simpl_sb3.domains.Domain.tasks`.

    :raises SettingsError: for a text that names none
    """
    return find_domain(env_id).tasks(name)


def task_set_name(env_id: str, names: Sequence[str]) -> str:
    """The set that consists of these tasks, or else the tasks themselves."""
    return find_domain(env_id).set_name(names)


# ------------------------------------------------------------ meta-training


class EpochClock(BaseCallback):
    """Wall-clock budget: ends the learning at the first meta-iteration past it."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        self.seconds, self.started = seconds, time.perf_counter()
        self.over = False

    def _on_rollout_start(self) -> None:
        self.over = self.seconds is not None and time.perf_counter() - self.started > self.seconds

    def _on_step(self) -> bool:
        return not self.over


@matmul_precision()
def meta_train(
    preset: Preset,
    skills: Path,
    output: Path,
    settings: Mapping[str, Any],
    *,
    train_tasks: str,
    total_timesteps: int,
    minutes: float | None,
    n_envs: int | None,
    seed: int,
    device: str,
    progress_bar: bool,
    verbose: int,
) -> Path:
    """
    Meta-train over a task set into ``output/model.zip``, with ``progress.csv`` and TensorBoard files beside it.

    :param settings: of ``SkillPriorPEARL``
    :param minutes: stop at the first meta-iteration past this; None for no limit
    :param n_envs: environments stepped at once; None takes two per training task
    """
    started = begin(device)
    tasks = find_tasks(preset.env_id, train_tasks)
    n_envs = n_envs or 2 * len(tasks)
    env = make_skill_vec_env(preset.env_id, skills, n_envs, seed=seed, train_tasks=tasks, **preset.meta_train_env)
    model = SkillPriorPEARL("MlpPolicy", env, seed=seed, device=device, verbose=verbose, **settings)
    clear(output, "model.zip", "run.json", "checkpoints")
    model.set_logger(configure(str(output), ["csv", "tensorboard", *(["stdout"] if verbose else [])]))
    checkpoints = CheckpointCallback(max(1, total_timesteps // 5 // env.num_envs), str(output / "checkpoints"), "model")
    clock = EpochClock(None if minutes is None else 60 * minutes)
    try:
        model.learn(total_timesteps, [clock, checkpoints], progress_bar=progress_bar)
    finally:
        model.logger.close()
    path = output / "model.zip"
    model.save(path)
    asked = {
        **model._settings(),
        "preset": preset.name,
        "env_settings": dict(preset.meta_train_env),
        "train_tasks": train_tasks,
        "skills": skills,
        "total_timesteps": total_timesteps,
        "minutes": minutes,
        **numerics(),
    }
    means = {name: float(np.mean(values)) for name, values in model._results.items() if not name.startswith("task/")}
    counts = {"skills": model.num_timesteps, "env_steps": model.num_env_steps, "n_updates": model._n_updates}
    write_run(output, "meta-train", asked, time.perf_counter() - started, means | counts)
    env.close()
    return path


# ------------------------------------------------------------ adaptation


@matmul_precision()
def adapt(
    preset: Preset,
    source: Path,
    output: Path,
    settings: Mapping[str, Any],
    *,
    method: str,
    test_tasks: str,
    n_agents: int,
    seed: int,
    device: str,
    overwrite: bool,
    progress_bar: bool,
    variant: str = "",
) -> list[Adapted]:
    """
    Adapt to every task of a set, and write one row per episode into ``output``, beside it a JSON, and an ``.npz`` of
    what the domain's episodes leave for pictures. Interrupted, it writes the episodes so far.

    :param source: a meta-trained model for the method "simpl", skills for "spirl"
    :param output: the CSV
    :param settings: of ``AdaptationSettings``
    :param n_agents: agents per task; agent k of a task has seed ``seed + k`` where there is no meta-training
    :param variant: what is special about this run, in a word or two
    :return: the adapted agents, by task, then by seed
    """
    started = begin(device)
    new_results(output, overwrite)
    domain = find_domain(preset.env_id)
    tasks = [task for task in domain.tasks(test_tasks) for _ in range(n_agents)]
    model = SkillPriorPEARL.load(source, device=device) if method == "simpl" else None
    chosen = AdaptationSettings(**settings) if model is None else model.adaptation_settings(**settings)
    skills = model.skills if model is not None else SkillModel.load(source, device=device)
    env = make_skill_vec_env(preset.env_id, skills, len(tasks))  # Adaptation seeds it
    seeds = [seed + k for k in range(n_agents)] * (len(tasks) // n_agents)
    template = {"method": method, "preset": preset.name, "env": preset.env_id, "task_set": domain.set_label(test_tasks)}
    keeper = RowKeeper(template, tasks, seeds, len(tasks) * chosen.n_episodes, progress_bar, domain)
    agents: list[SkillPriorSAC] = []
    try:
        agents = Adaptation(env, tasks, skills, None if model is None else model.policy, chosen, seed, keeper).run()
    finally:  # whoever interrupts it keeps the episodes that there are
        keeper.close()
        env.close()
        if keeper.rows:
            asked = {**asdict(chosen), "source": source, "seed": seed, "agents_per_task": n_agents, **numerics()}
            write_results(
                output,
                keeper.rows,
                asked if agents else {**asked, "interrupted": True},
                training_task_set=None if model is None else domain.set_name(model.task_names),
                measure=domain.measure,
                variant=variant,
                wall_time_s=time.perf_counter() - started,
                overwrite=overwrite,
            )
            keeper.write_kept(output.with_suffix(".npz"), overwrite)
            for suffix in (".mp4", ".png"):  # an earlier film would show other agents than these rows
                output.with_suffix(suffix).unlink(missing_ok=True)
    return [Adapted(*agent) for agent in zip(tasks, seeds, agents, strict=True)]
