"""The stages as functions: collect, extract, meta_train, adapt. Here library, environments and disk meet."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.logger import configure

from simpl_envs import KITCHEN_TASK_SETS, MAZE_TASK_SETS, random_goals
from simpl_envs.kitchen.demonstrator import demonstrate
from simpl_envs.maze.layout import PUBLISHED_LAYOUT
from simpl_envs.maze.planner import plan_trajectories
from simpl_sb3.algorithms.adaptation import adapt_tasks
from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.demonstrations.minari import load_minari, open_minari, read_settings, write_minari
from simpl_sb3.demonstrations.windows import Episode
from simpl_sb3.domains.kitchen_human import refuse_unconverted_kitchen
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.presets import Preset
from simpl_sb3.experiments.recorder import Adapted, RowKeeper
from simpl_sb3.experiments.run_folder import begin, clear, new_results, numerics, write_run
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


def _plan(n: int, seed: int, noise: float) -> Iterator[Episode]:
    return (Episode(observations, actions) for observations, actions in plan_trajectories(n, seed, noise))


def _script(n: int, seed: int, **settings: float) -> Iterator[Episode]:
    return (Episode(one.observations, one.actions) for one in demonstrate(n, seed, **settings))  # type: ignore[arg-type]


DEMONSTRATORS: dict[str, tuple[Callable[..., Iterator[Episode]], str, str]] = {
    "SimplMaze-v0": (
        _plan,
        "waypoint controller on shortest paths",
        "Planned trajectories between random cells of the maze, without rewards or task labels.",
    ),
    "SimplKitchen-v0": (
        _script,
        "scripted arm with retries",
        "Ordered sequences of four subtasks, none of them a target task, without rewards or task labels.",
    ),
}
"""By environment: its demonstrator (n, seed, and the settings of ``Preset.collect``), how it works, what it shows."""


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

    :param settings: of the demonstrator, ``plan_trajectories`` or ``demonstrate``: ``noise`` (standard deviation of the
        noise on its actions), and what else it takes
    :return: the dataset's folder
    """
    if not 0.0 <= settings["noise"] < float("inf"):
        raise SettingsError(f"noise is {settings['noise']}: expected a standard deviation, 0 or more.")
    env = gym.make(preset.env_id)
    observation_space, action_space = env.observation_space, env.action_space
    env.close()
    demonstrator, algorithm, description = DEMONSTRATORS[preset.env_id]
    return write_minari(
        dataset_id,
        demonstrator(n_trajectories, seed, **settings),
        observation_space,
        action_space,
        overwrite=overwrite,
        settings={"n_trajectories": n_trajectories, **settings, "seed": seed, "env": preset.env_id},
        description=description,
        algorithm_name=algorithm,
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
    :raises DatasetError: also for kitchen data that has not been converted, before anything is written
    """
    started = begin(device)
    settings = dict(settings)
    opened = open_minari(dataset_id)
    refuse_unconverted_kitchen(opened, f"simpl-sb3 convert {dataset_id}")
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
    """The published task sets of an environment, by name."""
    return KITCHEN_TASK_SETS if env_id == "SimplKitchen-v0" else MAZE_TASK_SETS


def find_tasks(env_id: str, name: str) -> tuple[Any, ...]:
    """
    Tasks by name: a published set, or ``random:N:SEED`` for N random maze goals at least 5 cells away, none of them in
    a published set.

    :raises SettingsError: for an unknown name
    """
    sets = published_sets(env_id)
    if name in sets:
        return sets[name]
    kind, *numbers = name.split(":")
    asked = [int(number) for number in numbers if number.isdecimal()]
    if env_id == "SimplMaze-v0" and kind == "random" and len(numbers) == len(asked) == 2 and asked[0] > 0:
        published = {task for tasks in MAZE_TASK_SETS.values() for task in tasks}
        return tuple(random_goals(PUBLISHED_LAYOUT, asked[0], asked[1], min_distance=5, exclude=tuple(published)))
    raise SettingsError(
        f"No task set {name!r} for {env_id}: expected one of {', '.join(sets)}, or random:N:SEED for a maze."
    )


def task_set_name(env_id: str, names: Sequence[str]) -> str:
    """The published set that consists of these tasks, or else the tasks themselves."""
    known = {tuple(task.name for task in tasks): name for name, tasks in published_sets(env_id).items()}
    return known.get(tuple(names), ", ".join(names))


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
        **model.settings(),
        "preset": preset.name,
        "env_settings": dict(preset.meta_train_env),
        "train_tasks": train_tasks,
        "skills": skills,
        "total_timesteps": total_timesteps,
        "minutes": minutes,
        **numerics(),
    }
    write_run(output, "meta-train", asked, time.perf_counter() - started, model.metrics())
    env.close()
    return path


# ------------------------------------------------------------ adaptation


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
    Adapt to every task of a set, and write one row per episode into ``output``, beside it a JSON and an ``.npz``: paths
    through the maze of some episodes, or subtasks completed in each. Interrupted, it writes the episodes so far.

    :param source: a meta-trained model for the method "simpl", skills for "spirl"
    :param output: the CSV
    :param settings: of ``AdaptationSettings``
    :param n_agents: agents per task; agent k of a task has seed ``seed + k`` where there is no meta-training
    :param variant: what is special about this run, in a word or two
    :return: the adapted agents, by task, then by seed
    """
    started = begin(device)
    new_results(output, overwrite)
    tasks = [task for task in find_tasks(preset.env_id, test_tasks) for _ in range(n_agents)]
    model = SkillPriorPEARL.load(source, device=device) if method == "simpl" else None
    chosen = AdaptationSettings.of(settings) if model is None else model.adaptation_settings(**settings)
    skills = model.skills if model is not None else SkillModel.load(source, device=device)
    env = make_skill_vec_env(preset.env_id, skills, len(tasks))  # Adaptation seeds it
    seeds = [seed + k for k in range(n_agents)] * (len(tasks) // n_agents)
    template = {"method": method, "preset": preset.name, "env": preset.env_id, "task_set": test_tasks.replace(":", "-")}
    keeper = RowKeeper(template, tasks, seeds, len(tasks) * chosen.n_episodes, progress_bar)
    agents: list[SkillPriorSAC] = []
    try:
        agents = adapt_tasks(env, tasks, skills, model, chosen, seed, keeper)
    finally:  # whoever interrupts it keeps the episodes that there are
        keeper.close()
        env.close()
        if keeper.rows:
            asked = {**asdict(chosen), "source": source, "seed": seed, "agents_per_task": n_agents, **numerics()}
            write_results(
                output,
                keeper.rows,
                asked if agents else {**asked, "interrupted": True},
                training_task_set=None if model is None else task_set_name(preset.env_id, model.task_names),
                variant=variant,
                wall_time_s=time.perf_counter() - started,
                overwrite=overwrite,
            )
            keeper.write_kept(output.with_suffix(".npz"), overwrite)
            for suffix in (".mp4", ".png"):  # an earlier film would show other agents than these rows
                output.with_suffix(suffix).unlink(missing_ok=True)
    return [Adapted(*one) for one in zip(tasks, seeds, agents, strict=True)]
