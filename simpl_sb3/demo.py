"""``simpl-sb3 demo``: an agent adapts to unseen goals, from the trained artefacts that come along or from nothing."""

import time
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from simpl_sb3 import pipeline
from simpl_sb3.config import PRETRAINED, AdaptationSettings, Preset, preset
from simpl_sb3.report import make_report

DEMO_PRESETS = {"maze": "maze-fast"}


def demo(
    env: Literal["maze"] = "maze",
    from_scratch: bool = False,
    output: Path = Path("simpl-demo"),
    n_episodes: int = 60,
    spirl: bool = True,
    overwrite: bool = False,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """
    Adapt to goals that no training saw, and end with numbers and pictures.

    :param env: which domain
    :param from_scratch: make everything first: demonstrations, skills, meta-training (about half an hour on two cores)
    :param output: folder to make
    :param n_episodes: episodes per goal, the 20 that explore included
    :param spirl: also learn the same goals without meta-training, for comparison
    :param overwrite: replace an earlier demo
    :param seed: of everything random
    :param device: torch device, such as cpu or cuda
    """
    chosen = preset(DEMO_PRESETS[env])
    folder = pipeline.new_folder(output, overwrite)
    started = time.perf_counter()
    methods = {"simpl": ("model.zip", chosen.adapt)}
    if spirl:
        methods["spirl"] = ("skills.safetensors", chosen.spirl)
    asked = {method: {**settings, "n_episodes": n_episodes} for method, (_, settings) in methods.items()}
    for settings in asked.values():
        AdaptationSettings(**settings)  # refuses what contradicts itself before half an hour of training
    trained = PRETRAINED / chosen.name
    if from_scratch:
        trained = folder / "trained"
        _train(chosen, trained, seed, device, overwrite)
    else:
        tqdm.write(f"Using the meta-trained model and the skills that come along ({chosen.name}).")
    results = []
    for method, (source, _) in methods.items():
        tqdm.write(
            f"{method}: {n_episodes} episodes on each of the {chosen.test_tasks} tasks, which no training saw ..."
        )
        results.append(folder / f"{method}.csv")
        pipeline.adapt(
            chosen,
            trained / source,
            results[-1],
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
    progress = [trained / "progress.csv"] if (trained / "progress.csv").exists() else []
    paths = [result.with_suffix(".npz") for result in results]
    page = make_report(results, folder / "report", paths, progress=progress, overwrite=overwrite)
    tqdm.write((folder / "report" / "table.txt").read_text(encoding="utf-8"))
    tqdm.write(f"Pictures: {folder / 'report' / 'figures'}")
    tqdm.write(f"Page:     {page}")
    tqdm.write(f"Done in {(time.perf_counter() - started) / 60:.1f} minutes.")


def _train(chosen: Preset, folder: Path, seed: int, device: str, overwrite: bool) -> None:
    """Demonstrations, skills and meta-training; the dataset stays in the demo's folder."""
    with pipeline.minari_folder(folder / "minari"):
        tqdm.write(f"1/3 {chosen.n_trajectories} demonstrations ...")
        pipeline.collect(chosen, chosen.n_trajectories, chosen.collect, seed, chosen.dataset_id, overwrite, True)
        tqdm.write(f"2/3 skills, {chosen.skill_updates} updates ...")
        skills = pipeline.extract(chosen.dataset_id, folder, chosen.extract, chosen.skill_updates, seed, device, True)
    tqdm.write(f"3/3 meta-training, {chosen.meta_timesteps} skills ...")
    pipeline.meta_train(
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
