"""``simpl-sb3 demo``: agents adapt to unseen tasks, from the trained artefacts that come along or from nothing."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.adapting import last_success
from simpl_sb3.experiments.filming import film_beside, has_camera
from simpl_sb3.experiments.presets import PRETRAINED
from simpl_sb3.experiments.reporting import known_facts
from simpl_sb3.experiments.run_folder import check_writable
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import (
    Experiment,
    adapt_stage,
    collect_stage,
    extract_stage,
    meta_train_stage,
    run_stage,
)
from simpl_sb3.methods import ARTEFACTS, METHODS, Method
from simpl_sb3.report import make_report
from simpl_sb3.results.draws import beside_draws, read_draws
from simpl_sb3.results.rows import agent_episodes, read_results

__all__ = ["demo"]


def demo(
    domain: str | None = None,
    *,
    preset: str | None = None,
    from_scratch: bool = False,
    output: Path = Path("simpl-demo"),
    n_episodes: int | None = None,
    spirl: bool = True,
    overwrite: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress_bar: bool = True,
) -> None:
    """
    Adapt to tasks that no training saw, and end with numbers and pictures; where the domain says so, with a film.

    :param domain: name, import path or file; the preset's by default
    :param preset: settings by name; the domain's own by default
    :param from_scratch: make everything first: demonstrations, skills, meta-training
    :param output: folder to make
    :param n_episodes: episodes per task, those that explore included; None takes the preset's ``demo_episodes``
    :param spirl: also learn the same tasks without meta-training, for comparison
    :param overwrite: replace an earlier demo
    :param seed: of everything random
    :param device: torch device, such as cpu or cuda
    :param progress_bar: show one
    """
    started = time.perf_counter()
    experiment = Experiment.find(domain, preset)
    _check_folder(output, overwrite)
    options = RunOptions(overwrite=overwrite, device=device, progress_bar=progress_bar)
    number = experiment.preset.demo_episodes if n_episodes is None else n_episodes
    sources = _trained_files(experiment, output if from_scratch else None)
    methods = [METHODS["simpl"], *([METHODS["spirl"]] if spirl else [])]
    # all settings are checked before half an hour of training
    stages = [_adaptation(experiment, method, sources, output, number, seed) for method in methods]
    filmed = experiment.domain.film_demo and has_camera(experiment.domain.env_id)
    if from_scratch:
        _train(experiment, output / "trained", seed, options)
    else:
        _check_trained([sources[method.needs] for method in methods])
        tqdm.write(f"Using the meta-trained model and the skills that come along ({experiment.preset.name}).")
    films = []
    for method, stage in zip(methods, stages, strict=True):
        rows = Path(stage.output)
        shown = f"{number} episodes on each of the {stage.settings['tasks']} tasks, which no training saw"
        tqdm.write(f"{method.label}: {shown} ...")
        agents = run_stage(stage, options)
        (file,) = read_results(rows)
        tqdm.write(f"{method.label}: {last_success(file.rows)}")
        if not from_scratch:
            known = read_draws(PRETRAINED / experiment.preset.name / "draws.json")
            column = experiment.domain.facts.measure.column
            for line in beside_draws(agent_episodes(file.rows, column), known.get(method.name, {})):
                tqdm.write(f"{method.label}: {line}")
        if filmed and method.name == "simpl":
            tqdm.write("Filming the agent that succeeds most ...")
            remark, record = ", which no training saw", experiment.domain
            films.append(film_beside(rows, agents, record.env_id, remark, seed, overwrite, record))
    progress = sources["meta-model"].with_name("progress.csv")
    results = [Path(stage.output) for stage in stages]
    page = _report(experiment, results, output / "report", progress, films, overwrite)
    for film in films:
        tqdm.write(f"Film:     {film}")
    tqdm.write(f"Pictures: {output / 'report' / 'figures'}")
    tqdm.write(f"Page:     {page}")
    tqdm.write(f"Done in {(time.perf_counter() - started) / 60:.1f} minutes.")


def _check_folder(output: Path, overwrite: bool) -> None:
    """
    :raises SettingsError: for a folder that holds something, or that cannot be written
    """
    if output.is_dir() and any(output.iterdir()) and not overwrite:
        raise SettingsError(f"{output} exists and is not empty: give another --output, or --overwrite.")
    check_writable(output, is_folder=True)


def _trained_files(experiment: Experiment, output: Path | None) -> dict[str, Path]:
    """
    Skills and meta-trained model by what they are.

    :param output: folder of a demo from nothing; None for those that come along
    """
    if output is None:
        return {kind: PRETRAINED / experiment.preset.name / name for kind, name in ARTEFACTS.items()}
    return {kind: output / "trained" / kind / name for kind, name in ARTEFACTS.items()}


def _adaptation(
    experiment: Experiment, method: Method, sources: Mapping[str, Path], output: Path, n_episodes: int, seed: int
) -> Stage:
    return adapt_stage(
        experiment,
        sources[method.needs],
        output / f"{method.name}.csv",
        method=method.name,
        seed=seed,
        variant="demo",
        settings={"n_episodes": n_episodes},
    )


def _report(
    experiment: Experiment, rows: Sequence[Path], folder: Path, log: Path, films: Sequence[Path], overwrite: bool
) -> Path:
    progress = [log] if log.exists() else []
    facts = known_facts([experiment.domain])
    kept = [path for file in rows if (path := file.with_suffix(".npz")).exists()]
    page: Path = make_report(
        list(rows), folder, kept, progress=progress, films=list(films), facts=facts, overwrite=overwrite
    )
    tqdm.write((folder / "table.txt").read_text(encoding="utf-8"))
    return page


def _check_trained(files: Sequence[Path]) -> None:
    """
    :raises SettingsError: when trained artefacts do not come along
    """
    if missing := [file.name for file in files if not file.exists()]:
        preset = files[0].parent.name
        raise SettingsError(
            f"No trained artefacts of {preset} come along with this release ({', '.join(missing)} missing): "
            "give --from-scratch to make them first, or another --domain."
        )


def _train(experiment: Experiment, folder: Path, seed: int, options: RunOptions) -> None:
    """Demonstrations, skills and meta-training; the dataset stays in the demo's folder."""
    datasets, preset = folder / "minari", experiment.preset
    tqdm.write(f"1/3 {preset.n_trajectories} demonstrations ...")
    run_stage(collect_stage(experiment, datasets, seed=seed), options)
    tqdm.write(f"2/3 skills, {preset.skill_updates} updates ...")
    skills = run_stage(extract_stage(experiment, folder / "skills", seed=seed, datasets=datasets), options)
    tqdm.write(f"3/3 meta-training{f', {preset.meta_timesteps} skills' if preset.meta_timesteps else ''} ...")
    run_stage(meta_train_stage(experiment, skills, folder / "meta-model", seed=seed), options)
