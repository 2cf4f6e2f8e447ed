"""``simpl-sb3 demo``: an agent adapts to unseen tasks, from the trained artefacts that come along or from nothing."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments import stages
from simpl_sb3.experiments.filming import film_beside, has_camera
from simpl_sb3.experiments.presets import PRETRAINED, Preset, preset
from simpl_sb3.experiments.run_folder import new_folder
from simpl_sb3.report import make_report

DEMO_PRESETS = {"maze": "maze-fast", "kitchen": "kitchen-fast"}
DEMO_EPISODES = {"maze": 60, "kitchen": 40}
"""Per task: minutes, not an hour. An episode in the kitchen takes longer to simulate."""
FILMED = ("kitchen",)
"""Environments whose demo ends with a film; the maze has its paths."""
SOURCES = {"simpl": "model.zip", "spirl": "skills.safetensors"}


def demo(
    env: Literal["maze", "kitchen"] = "maze",
    from_scratch: bool = False,
    output: Path = Path("simpl-demo"),
    n_episodes: int | None = None,
    spirl: bool = True,
    overwrite: bool = False,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """
    Adapt to tasks that no training saw, and end with numbers and pictures; in the kitchen, with a film as well.

    :param env: which domain
    :param from_scratch: make everything first: demonstrations, skills, meta-training (on two cores about half an hour
        in the maze, longer in the kitchen)
    :param output: folder to make
    :param n_episodes: episodes per task, the 20 that explore included; 60 in the maze, 40 in the kitchen by default
    :param spirl: also learn the same tasks without meta-training, for comparison
    :param overwrite: replace an earlier demo
    :param seed: of everything random
    :param device: torch device, such as cpu or cuda
    """
    chosen = preset(DEMO_PRESETS[env])
    folder = new_folder(output, overwrite)
    started = time.perf_counter()
    number = DEMO_EPISODES[env] if n_episodes is None else n_episodes
    methods = {"simpl": chosen.adapt} | ({"spirl": chosen.spirl} if spirl else {})
    asked = {method: {**settings, "n_episodes": number} for method, settings in methods.items()}
    for settings in asked.values():
        AdaptationSettings(**settings)  # refuses what contradicts itself before half an hour of training
    filmed = env in FILMED and has_camera(chosen.env_id)
    trained = folder / "trained" if from_scratch else PRETRAINED / chosen.name
    if from_scratch:
        _train(chosen, trained, seed, device, overwrite)
    else:
        _check_trained(trained, [SOURCES[method] for method in methods])
        tqdm.write(f"Using the meta-trained model and the skills that come along ({chosen.name}).")
    results, films = [folder / f"{method}.csv" for method in methods], []
    for method, rows in zip(methods, results, strict=True):
        tqdm.write(f"{method}: {number} episodes on each of the {chosen.test_tasks} tasks, which no training saw ...")
        agents = stages.adapt(
            chosen,
            trained / SOURCES[method],
            rows,
            asked[method],
            method=method,
            test_tasks=chosen.test_tasks,
            n_agents=1,
            seed=seed,
            device=device,
            overwrite=overwrite,
            progress_bar=True,
            variant="demo",
        )
        if filmed and method == "simpl":
            tqdm.write("Filming the agent that succeeds most ...")
            films.append(film_beside(rows, agents, chosen.env_id, ", which no training saw", seed, overwrite))
    progress = [trained / "progress.csv"] if (trained / "progress.csv").exists() else []
    kept = [path for rows in results if (path := rows.with_suffix(".npz")).exists()]
    page = make_report(results, folder / "report", kept, progress=progress, films=films, overwrite=overwrite)
    tqdm.write((folder / "report" / "table.txt").read_text(encoding="utf-8"))
    for film in films:
        tqdm.write(f"Film:     {film}")
    tqdm.write(f"Pictures: {folder / 'report' / 'figures'}")
    tqdm.write(f"Page:     {page}")
    tqdm.write(f"Done in {(time.perf_counter() - started) / 60:.1f} minutes.")


def _check_trained(folder: Path, names: Sequence[str]) -> None:
    """
    :raises SettingsError: when trained artefacts do not come along
    """
    if missing := [name for name in names if not (folder / name).exists()]:
        raise SettingsError(
            f"No trained artefacts of {folder.name} come along with this release ({', '.join(missing)} missing): "
            "give --from-scratch to make them first, or another --env."
        )


def _train(chosen: Preset, folder: Path, seed: int, device: str, overwrite: bool) -> None:
    """Demonstrations, skills and meta-training; the dataset stays in the demo's folder."""
    with stages.minari_folder(folder / "minari"):
        tqdm.write(f"1/3 {chosen.n_trajectories} demonstrations ...")
        stages.collect(chosen, chosen.n_trajectories, chosen.collect, seed, chosen.dataset_id, overwrite, True)
        tqdm.write(f"2/3 skills, {chosen.skill_updates} updates ...")
        skills = stages.extract(chosen.dataset_id, folder, chosen.extract, chosen.skill_updates, seed, device, True)
    tqdm.write(f"3/3 meta-training, {chosen.meta_timesteps} skills ...")
    stages.meta_train(
        chosen,
        skills,
        folder,
        chosen.meta_train,
        train_tasks=chosen.train_tasks,
        total_timesteps=chosen.meta_timesteps,
        minutes=None,
        n_envs=None,
        seed=seed,
        device=device,
        progress_bar=True,
        verbose=0,
    )
