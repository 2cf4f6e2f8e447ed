"""The command ``simpl-sb3``: the stages of ``pipeline`` as verbs, the report, the demo. ``--help`` explains each."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.demonstrations.minari import read_settings
from simpl_sb3.domains.kitchen_human import CONVERTED_DATASET_ID, MAX_STEPS, convert_kitchen_data, find_kitchen_data
from simpl_sb3.errors import SettingsError, SimplError
from simpl_sb3.experiments import stages
from simpl_sb3.experiments.demo import demo
from simpl_sb3.experiments.filming import check_tasks, film_beside, has_camera
from simpl_sb3.experiments.presets import PRESETS, Preset, parse_overrides, preset
from simpl_sb3.experiments.run_folder import new_folder
from simpl_sb3.report import make_report
from simpl_sb3.skills.extractor import SkillExtractor

PresetName = Annotated[str, tyro.conf.arg(metavar="|".join(PRESETS))]
Settings = Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=VALUE"), tyro.conf.UseAppendAction]


def at_least_one(name: str, number: int | None, default: int) -> int:
    """
    A count that was given, or else the preset's.

    :raises SettingsError: for one below 1
    """
    if number is not None and number < 1:
        raise SettingsError(f"--{name} is {number}: expected at least 1.")
    return default if number is None else number


def check_preset_fits(chosen: Preset, dataset_id: str) -> None:
    """
    :raises SettingsError: for a dataset that was made for the environment of other presets
    """
    env_id = read_settings(dataset_id).get("env")
    fitting = [name for name, one in PRESETS.items() if one.env_id == env_id]
    if fitting and chosen.name not in fitting:
        raise SettingsError(
            f"{dataset_id} was made for {env_id}, preset {chosen.name} is for {chosen.env_id}: "
            f"expected --preset {' or '.join(fitting)}."
        )


def collect(
    preset_name: Annotated[PresetName, tyro.conf.arg(name="preset")] = "maze-fast",
    dataset: str | None = None,
    trajectories: int | None = None,
    noise: float | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress_bar: bool = True,
) -> None:
    """
    Write scripted demonstrations as a Minari dataset.

    :param preset_name: settings by name
    :param dataset: Minari id to write; the preset's by default
    :param trajectories: how many; the preset's number by default
    :param noise: standard deviation of the noise on the demonstrator's actions; the preset's by default
    :param output: folder of Minari datasets, instead of MINARI_DATASETS_PATH
    :param overwrite: replace an existing dataset
    :param seed: equal seeds give equal datasets
    :param device: not used: the simulator runs on the CPU
    :param progress_bar: show one
    """
    chosen = preset(preset_name)
    number = at_least_one("trajectories", trajectories, chosen.n_trajectories)
    settings = dict(chosen.collect) if noise is None else {**chosen.collect, "noise": noise}
    with stages.minari_folder(output):
        path = stages.collect(chosen, number, settings, seed, dataset or chosen.dataset_id, overwrite, progress_bar)
    print(f"Demonstrations: {path}")


def convert(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    dataset: str = CONVERTED_DATASET_ID,
    max_steps: int = MAX_STEPS,
    output: Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress_bar: bool = True,
) -> None:
    """
    Convert human demonstrations in the kitchen into the observations of SimplKitchen, as a Minari dataset.

    They come from Minari: pip install "minari[hf]", then minari download D4RL/kitchen/mixed-v2. Or they are the HDF5
    file of D4RL's kitchen-mixed-v0, kitchen_microwave_kettle_bottomburner_light-v0.hdf5. Then: simpl-sb3 extract
    --preset kitchen-paper --dataset simpl/kitchen-human-v0

    :param source: a Minari dataset on this machine, such as D4RL/kitchen/mixed-v2, or an HDF5 file of D4RL
    :param dataset: Minari id to write
    :param max_steps: where an HDF5 file's longer runs are split, env steps
    :param output: folder of Minari datasets to write to, instead of MINARI_DATASETS_PATH, where sources are looked for
    :param overwrite: replace an existing dataset
    :param seed: not used: nothing is random
    :param device: not used
    :param progress_bar: show one
    """
    longest = at_least_one("max-steps", max_steps, MAX_STEPS)
    found = find_kitchen_data(source)
    with stages.minari_folder(output):
        path = convert_kitchen_data(found, dataset, max_steps=longest, overwrite=overwrite, progress_bar=progress_bar)
    print(f"Demonstrations: {path}")


def extract(
    output: Path,
    preset_name: Annotated[PresetName, tyro.conf.arg(name="preset")] = "maze-fast",
    dataset: str | None = None,
    total_updates: int | None = None,
    settings: Settings = (),
    overwrite: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress_bar: bool = True,
) -> None:
    """
    Extract skills from a Minari dataset.

    :param output: folder for skills.safetensors, metrics and checkpoints
    :param preset_name: settings by name
    :param dataset: Minari id; the preset's by default
    :param total_updates: the preset's number by default
    :param settings: a setting of SkillExtractor, such as --set kl_weight=1e-2; may be repeated
    :param overwrite: write into a folder that is not empty
    :param seed: of everything random
    :param device: torch device, such as cpu or cuda
    :param progress_bar: show one
    """
    chosen = preset(preset_name)
    asked = {**chosen.extract, **parse_overrides(settings, SkillExtractor.__init__, more=("observation_key",))}
    folder = new_folder(output, overwrite)
    updates = at_least_one("total-updates", total_updates, chosen.skill_updates)
    dataset_id = dataset or chosen.dataset_id
    check_preset_fits(chosen, dataset_id)
    path = stages.extract(dataset_id, folder, asked, updates, seed, device, progress_bar)
    print(f"Skills: {path}")


def meta_train(
    skills: Path,
    output: Path,
    preset_name: Annotated[PresetName, tyro.conf.arg(name="preset")] = "maze-fast",
    train_tasks: str | None = None,
    total_timesteps: int | None = None,
    minutes: float | None = None,
    n_envs: int | None = None,
    settings: Settings = (),
    overwrite: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress_bar: bool = True,
    verbose: int = 0,
) -> None:
    """
    Meta-train SkillPriorPEARL over a task set.

    :param skills: file of extracted skills
    :param output: folder for model.zip, metrics and checkpoints
    :param preset_name: settings by name
    :param train_tasks: a task set by name, such as train-20; the preset's by default
    :param total_timesteps: skills to live through; the preset's number by default
    :param minutes: stop at the first meta-iteration past this
    :param n_envs: environments stepped at once; two per task by default
    :param settings: a setting of SkillPriorPEARL, such as --set task_encoder=set-transformer; may be repeated
    :param overwrite: write into a folder that is not empty
    :param seed: of everything random
    :param device: torch device, such as cpu or cuda
    :param progress_bar: show one
    :param verbose: 1 prints the metrics
    """
    chosen = preset(preset_name)
    path = stages.meta_train(
        chosen,
        skills,
        new_folder(output, overwrite),
        {**chosen.meta_train, **parse_overrides(settings, SkillPriorPEARL.__init__)},
        train_tasks=train_tasks or chosen.train_tasks,
        total_timesteps=at_least_one("total-timesteps", total_timesteps, chosen.meta_timesteps),
        minutes=minutes,
        n_envs=None if n_envs is None else at_least_one("n-envs", n_envs, 1),
        seed=seed,
        device=device,
        progress_bar=progress_bar,
        verbose=verbose,
    )
    print(f"Meta-trained model: {path}")


def adapt(
    source: Annotated[Path, tyro.conf.arg(name="from")],
    output: Path,
    method: Literal["simpl", "spirl"] = "simpl",
    preset_name: Annotated[PresetName, tyro.conf.arg(name="preset")] = "maze-fast",
    tasks: str | None = None,
    agents_per_task: int = 1,
    settings: Settings = (),
    overwrite: bool = False,
    seed: int = 0,
    device: str = "auto",
    variant: str = "",
    film: bool = False,
    progress_bar: bool = True,
) -> None:
    """
    Adapt to unseen tasks, and write one row per episode.

    :param source: a model of meta-train for simpl, a file of skills for spirl
    :param output: CSV to write; a JSON and what the episodes were like (.npz) get the same name
    :param method: simpl adapts a meta-trained model; spirl learns from the same skills without one
    :param preset_name: settings by name
    :param tasks: a task set by name, or random:N:SEED for N random goals of a maze; the preset's test tasks by default
    :param agents_per_task: independent agents on each task
    :param settings: a setting of AdaptationSettings, such as --set n_episodes=60; may be repeated
    :param overwrite: replace existing files
    :param seed: of everything random
    :param device: torch device, such as cpu or cuda
    :param variant: what is special about this run, for the report
    :param film: film the agent that succeeds most in the kitchen; video (.mp4) and stills (.png) get the rows' name
    :param progress_bar: show one
    """
    chosen = preset(preset_name)
    asked = {**(chosen.adapt if method == "simpl" else chosen.spirl), **parse_overrides(settings, AdaptationSettings)}
    test_tasks = tasks or chosen.test_tasks
    if film:
        check_tasks(stages.find_tasks(chosen.env_id, test_tasks))
        film = has_camera(chosen.env_id)
    agents = stages.adapt(
        chosen,
        source,
        output,
        asked,
        method=method,
        test_tasks=test_tasks,
        n_agents=at_least_one("agents-per-task", agents_per_task, 1),
        seed=seed,
        device=device,
        overwrite=overwrite,
        progress_bar=progress_bar,
        variant=variant,
    )
    print(f"Results: {output}")
    if film:
        video = film_beside(output, agents, chosen.env_id, seed=seed, overwrite=overwrite)
        print(f"Film: {video}")


def report(
    results: Annotated[tuple[Path, ...], tyro.conf.Positional],
    output: Path = Path("report"),
    progress: tuple[Path, ...] = (),
    overwrite: bool = False,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """
    Figures, tables and one HTML page from result rows.

    :param results: CSV files that adapt wrote, or folders of them
    :param output: folder to make
    :param progress: progress.csv files of meta-trainings, for their curves
    :param overwrite: replace a report that stands there
    :param seed: not used: intervals have a seed of their own
    :param device: not used
    """
    files = [path for given in results for path in (sorted(given.rglob("*.csv")) if given.is_dir() else [given])]
    kept, films = (
        [path for file in files if (path := file.with_suffix(ending)).exists()] for ending in (".npz", ".mp4")
    )
    page = make_report(results, output, kept, progress=progress, films=films, overwrite=overwrite)
    print((output / "table.txt").read_text(encoding="utf-8"))
    print(f"Report: {page}")


VERBS: dict[str, Callable[..., None]] = {
    "collect": collect,
    "convert": convert,
    "extract": extract,
    "meta-train": meta_train,
    "adapt": adapt,
    "report": report,
    "demo": demo,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: errors of the library and of the file system become one line and exit code 2."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            VERBS,
            prog="simpl-sb3",
            args=arguments,
            description="Skill-based meta-reinforcement learning (SiMPL).",
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except (SimplError, OSError) as error:
        print(f"simpl-sb3: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
