"""Both algorithms, small, and their files with something changed inside."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from envs_for_tests import LineEnv, tiny_skills

from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.skills.wrapper import SkillActionWrapper

SAC: dict[str, Any] = {"net_arch": (8,), "batch_size": 8, "buffer_size": 100, "seed": 0, "device": "cpu"}
PEARL: dict[str, Any] = {
    **SAC,
    "gradient_steps": 1,
    "context_buffer_size": 100,
    "task_latent_dim": 2,
    "encoder_width": 8,
    "context_sizes": (2, 8),
    "tasks_per_update": (1, 2),
}
KINDS: dict[type[SkillAlgorithm], dict[str, Any]] = {SkillPriorSAC: SAC, SkillPriorPEARL: PEARL}

both = pytest.mark.parametrize("kind", KINDS)
Kind = type[SkillAlgorithm]


def wrapped(**arguments: Any) -> SkillActionWrapper:
    return SkillActionWrapper(LineEnv(), tiny_skills(**arguments))


def make(kind: Kind, env: Any = None, **settings: Any) -> SkillAlgorithm:
    return kind("MlpPolicy", wrapped() if env is None else env, **(KINDS[kind] | settings))  # type: ignore[arg-type]


def save_each(folder: Path) -> dict[Kind, Path]:
    """A file of each kind, of a model that has learned a little."""
    for kind in KINDS:
        make(kind).learn(20).save(folder / kind.__name__)
    return {kind: folder / f"{kind.__name__}.zip" for kind in KINDS}


def rewrite(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of a model file with other members."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def rewrite_data(source: Path, target: Path, **changes: Any) -> Path:
    def change(members: dict[str, bytes]) -> None:
        data = json.loads(members["data"]) | changes
        members["data"] = json.dumps({key: value for key, value in data.items() if value is not ...}).encode()

    return rewrite(source, target, change)


# ---------------------------------------------------------------- environments that fit, and that do not
