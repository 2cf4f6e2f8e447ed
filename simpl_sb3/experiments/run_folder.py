"""What the stages share: how they begin, where they may write, how torch computes, what a run leaves behind."""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.utils import get_device

from simpl_sb3.errors import SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.results.provenance import command_line, git_revision, machine, package_versions, plain

__all__ = ["begin", "clear", "new_folder", "new_results", "numerics", "write_run"]


def new_folder(path: Path, overwrite: bool) -> Path:
    """
    A folder that may be written to. It is not made: whoever writes does so, once all that can be wrong has been read.

    :raises SettingsError: for a file, or a folder that holds something, unless it may be overwritten
    """
    if path.exists() and not path.is_dir():
        raise SettingsError(f"{path} is a file: expected a folder as --output.")
    if path.exists() and any(path.iterdir()) and not overwrite:
        raise SettingsError(f"{path} exists and is not empty: give another --output, or --overwrite.")
    return path


def clear(folder: Path, *patterns: str) -> None:
    """Remove what an earlier run left: one that is cut short must not keep its logs beside another's artefacts."""
    for path in (path for pattern in patterns for path in folder.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def new_results(path: Path, overwrite: bool) -> Path:
    """
    A CSV that may be written, with files of the same name beside it; asked before the work, not after it.

    :raises SettingsError: for another ending, or a file that exists, unless it may be overwritten
    """
    if path.suffix != ".csv":
        raise SettingsError(f"Results go to {path}: expected a name that ends in .csv.")
    for file in (path.with_suffix(suffix) for suffix in (".csv", ".json", ".npz", ".mp4", ".png")):
        if file.exists() and not overwrite:
            raise SettingsError(f"{file} exists: give another --output, or --overwrite.")
    return path


def write_run(
    folder: Path, stage: str, settings: Mapping[str, Any], seconds: float, metrics: Mapping[str, Any]
) -> None:
    """``run.json``: what was asked, on what, and what came of it; it lies beside every artefact."""
    run = {
        "schema_version": 1,
        "stage": stage,
        "command": command_line(),
        "settings": plain(dict(settings)),
        "metrics": plain(dict(metrics)),
        "wall_time_s": round(seconds, 1),
        "git": git_revision(),
        "machine": machine(),
        "versions": package_versions(),
    }
    write_atomically(folder / "run.json", json.dumps(run, indent=1).encode())


def begin(device: str) -> float:
    """
    Start of a stage: the revision is remembered as it is now, whatever is committed meanwhile.

    :return: the clock, of ``time.perf_counter``
    :raises SettingsError: for a device that torch does not know
    """
    started = time.perf_counter()
    git_revision()
    try:
        get_device(device)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"No device {device!r}: expected auto, cpu, cuda or cuda:N ({reason}).") from None
    return started


def numerics() -> dict[str, Any]:
    """How torch computes beyond what settings say: its threads."""
    return {"torch_threads": th.get_num_threads()}
