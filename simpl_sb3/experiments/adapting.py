"""The stage ``adapt`` at work: agents on unseen tasks, and one row per episode, kept whatever happens."""

import inspect
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simpl_sb3.domains import Domain, find_domain
from simpl_sb3.errors import ResultsError, SettingsError
from simpl_sb3.experiments import running
from simpl_sb3.experiments.episode_log import EpisodeLog
from simpl_sb3.experiments.recorder import Adapted, RowKeeper
from simpl_sb3.experiments.row_file import RowFile, remove_results
from simpl_sb3.experiments.run_folder import lineage_of
from simpl_sb3.experiments.running import Environments, probe_env, used
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.methods import Adapter, find_method
from simpl_sb3.numerics import checked_device
from simpl_sb3.results.row import check_text
from simpl_sb3.results.rows import write_results

__all__ = ["adapt", "last_success"]

LAST = 10
"""Episodes of each agent that :func:`last_success` counts."""


def adapt(stage: Stage, options: RunOptions) -> list[Adapted]:
    """
    Adapt to every task of a set, and write one row per episode into a CSV, beside it a JSON, and an ``.npz`` of what
    the domain's episodes leave for pictures. The rows so far are written every minute, and when someone stops it; the
    same stage then goes on from its last checkpoint, to the bit.

    :return: the adapted agents, by task, then by seed
    """
    settings, started = stage.settings, time.perf_counter()
    method, domain = find_method(settings["method"]), find_domain(settings["domain"])
    output = Path(stage.output)
    rows = RowFile(output, stage, options.overwrite, running.CHECKPOINT_SECONDS)
    check_texts(settings["variant"])
    device = str(checked_device(options.device))
    n_agents, seed = settings["agents_per_task"], settings["seed"]
    tasks = [task for task in domain.tasks(settings["tasks"]) for _ in range(n_agents)]
    seeds = [seed + k for k in range(n_agents)] * (len(tasks) // n_agents)
    make_env = Environments(domain, probe_env(domain, settings["env"]), None, settings["env"])
    adapter = method.make_adapter(stage.inputs.get("source"), settings["adaptation"], make_env, device)
    record = used(stage, device, {**adapter.settings.as_dict(), "source": stage.inputs.get("source")})
    for name in ("adaptation", *method.unused):  # the settings stand beside the others, as they were used
        record.pop(name, None)
    env = make_env(adapter.skills, len(tasks))
    names = {"method": method.name, "preset": settings["preset"], "env": domain.env_id}
    template = {**names, "task_set": domain.set_label(settings["tasks"])}
    total = len(tasks) * getattr(adapter.settings, "n_episodes", 0)
    keeper = RowKeeper(template, tasks, seeds, total, options.progress_bar, domain)

    def write(path: Path, interrupted: bool) -> None:
        write_results(
            path,
            list(keeper.rows),
            {**record, "interrupted": True} if interrupted else record,
            training_task_set=_training_set(domain, adapter),
            training_tasks=adapter.training_tasks or (),
            lineage=lineage_of(stage.inputs.get("source")),
            measure=domain.measure,
            method_label=method.label,
            variant=settings["variant"],
            wall_time_s=rows.checkpoints.spent + time.perf_counter() - started,
            overwrite=True,
        )
        keeper.write_kept(path.with_suffix(".npz"), overwrite=True)

    rows.start(write)
    log = EpisodeLog(output, [task.name for task in tasks])
    agents = _run(adapter, env, tasks, seed, (keeper, log), rows, total)
    rows.keep(interrupted=False)
    remove_results(output, (".mp4", ".png"))  # an earlier film would show other agents than these rows
    return [Adapted(*agent) for agent in zip(tasks, seeds, agents, strict=True)]


def _run(
    adapter: Adapter,
    env: Any,
    tasks: list[Any],
    seed: int,
    kept: tuple[RowKeeper, EpisodeLog],
    rows: RowFile,
    total: int,
) -> Sequence[Any]:
    """
    Let the adapter run; whatever stops it, the rows so far are written.

    :param kept: what is told each episode
    :param total: episodes that were asked for
    """
    keeper, log = kept

    def on_episode(agent: int, episode: int, finished: Any) -> None:
        keeper(agent, episode, finished)
        log(agent, episode, finished)
        rows.flush()

    able = "checkpoints" in inspect.signature(adapter.run).parameters  # else it starts again
    try:
        return adapter.run(env, tasks, seed, on_episode, **({"checkpoints": rows.checkpoints} if able else {}))
    except BaseException as stop:
        if keeper.rows:
            where, known = rows.keep(interrupted=True), rows.checkpoints.exist
            again = f"goes on after {rows.checkpoints.n_episodes} of them" if known else "starts again"
            anew = ", and with --overwrite from the start" if known and not rows.replaces else ""
            stop.add_note(
                f"{len(keeper.rows)} of {total} episodes are in {where}, which report reads; the same command {again}"
                f"{anew}."
            )
        raise
    finally:
        log.close()
        keeper.close()
        env.close()


def _training_set(domain: Domain, adapter: Adapter) -> str | None:
    return None if adapter.training_tasks is None else domain.set_name(adapter.training_tasks)


def check_texts(variant: str) -> None:
    """
    :raises SettingsError: for a text that the results could not hold
    """
    try:
        if variant:
            check_text("variant", variant)
    except ResultsError as error:
        raise SettingsError(str(error)) from error


def last_success(agents_rows: Sequence[Any]) -> str:
    """
    :param agents_rows: rows of one run
    :return: its success and return in the last episodes, as one line for people
    """
    last = max(row.episode for row in agents_rows)
    counted = [row for row in agents_rows if row.episode > last - min(LAST, last)]
    success, reward = (np.mean([getattr(row, name) for row in counted]) for name in ("success", "episode_return"))
    return f"Last {min(LAST, last)} episodes: success {success:.2f}, return {reward:.2f} (mean over all agents)."
