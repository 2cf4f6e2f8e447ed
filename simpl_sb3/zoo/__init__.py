"""
Entries of SB3's training zoo (``rl_zoo3``): environments whose actions are skills, hyperparameters, and our algorithms.

Importing this module registers the environments with Gymnasium; it needs no ``rl_zoo3``. SB3's algorithms train by the
zoo's own command, ours by the same command with our names added::

    python -m rl_zoo3.train --algo sac --env SimplMazeSkills-v0 --gym-packages simpl_sb3.zoo -conf simpl_sb3.zoo.sac
    python -m simpl_sb3.zoo train --algo spirl --env SimplMazeSkills-v0

A module per algorithm holds ``hyperparams``, as the zoo reads them from a package: ``sac``, ``tqc``, ``ppo``,
``spirl``, ``simpl``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym

from simpl_sb3.domains import find_domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.presets import PRETRAINED
from simpl_sb3.skills.wrapper import SkillActionWrapper

__all__ = ["ENVIRONMENTS", "make_skill_env", "register_environments", "written"]

ENVIRONMENTS: dict[str, str] = {"SimplMazeSkills-v0": "maze", "SimplKitchenSkills-v0": "kitchen"}
"""Id of each environment whose actions are skills, and its domain."""


def make_skill_env(
    domain: str, task: str | None = None, skills: str | Path | None = None, **settings: Any
) -> SkillActionWrapper:
    """
    A domain's environment with skills as actions; the zoo gives these by ``--env-kwargs task:"'12-7'"``.

    :param domain: its name
    :param task: the one that is rewarded, by name; None takes the environment's first training task
    :param skills: file of extracted skills; None takes those that come along
    :param settings: of the environment, ``render_mode`` among them
    :raises SettingsError: for a task that there is not, or several
    """
    record = find_domain(domain)
    file = PRETRAINED / f"{record.name}-fast" / "skills.safetensors" if skills is None else skills
    env = SkillActionWrapper(gym.make(record.env_id, **settings), file)
    if task is not None:
        tasks = record.tasks(str(task))
        if len(tasks) != 1:
            env.close()
            raise SettingsError(f"task is {task!r}, {len(tasks)} tasks: expected one, {record.task_text}.")
        env.set_task(tasks[0])
    return env


def written(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the zoo writes them, in YAML, which has no tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def register_environments() -> None:
    """Register every environment that Gymnasium does not know yet."""
    for env_id, domain in ENVIRONMENTS.items():
        if env_id not in gym.registry:
            gym.register(env_id, entry_point="simpl_sb3.zoo:make_skill_env", kwargs={"domain": domain})


register_environments()
