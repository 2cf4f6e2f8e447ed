"""``python -m simpl_sb3.zoo``: the zoo's own command with our algorithms among its names."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import SettingsError
from simpl_sb3.zoo import ENVIRONMENTS

__all__ = ["ALGORITHMS", "Entry", "run", "with_hyperparams"]

SCRIPTS = ("train", "enjoy")


@dataclass(frozen=True)
class Entry:
    """
    An algorithm as the zoo uses one: it makes it, and loads it.

    :param algorithm: its class
    """

    algorithm: type[SkillAlgorithm]

    def __call__(self, **settings: Any) -> SkillAlgorithm:
        """The algorithm with the zoo's hyperparameters."""
        return self.algorithm(**settings)

    def load(self, path: Any, custom_objects: Any = None, **settings: Any) -> SkillAlgorithm:
        """
        As the algorithm's own.

        :param custom_objects: not used: the zoo gives a learning rate of 0 for its own files of earlier Pythons
        """
        return self.algorithm.load(path, **settings)


ALGORITHMS: dict[str, Entry] = {"spirl": Entry(SkillPriorSAC), "simpl": Entry(SkillPriorPEARL)}
"""Our algorithms by the names that ``--algo`` takes."""


def with_hyperparams(arguments: Sequence[str]) -> list[str]:
    """
    The zoo's arguments, completed by ``-conf`` for our environments where none is given.

    :param arguments: script and flags, such as ``train --algo spirl --env SimplMazeSkills-v0``
    """
    words = list(arguments)
    flags = {name: value for name, value in zip(words, [*words[1:], ""], strict=True) if name.startswith("-")}
    module = f"simpl_sb3.zoo.{flags.get('--algo', 'ppo')}"
    given = any(name == "-conf" or name.startswith("--conf") for name in flags)
    if words[:1] != ["train"] or given or flags.get("--env") not in ENVIRONMENTS or find_spec(module) is None:
        return words
    return [*words, "-conf", module]


def run(arguments: Sequence[str]) -> None:
    """
    Run a script of the zoo.

    :param arguments: ``train`` or ``enjoy``, and its flags
    :raises SettingsError: without the extra zoo, or for another script
    """
    script = arguments[0] if arguments else ""
    if script not in SCRIPTS:
        raise SettingsError(f"The script is {script!r}: expected one of {', '.join(SCRIPTS)}.")
    try:
        zoo, module = import_module("rl_zoo3"), import_module(f"rl_zoo3.{script}")
    except ImportError as error:
        raise SettingsError(f"The training zoo needs rl_zoo3 ({error}): pip install 'simpl-sb3[zoo]'") from error
    zoo.ALGOS.update(ALGORITHMS)
    before = sys.argv
    sys.argv = [f"rl_zoo3.{script}", *with_hyperparams(arguments)[1:]]  # the zoo reads them there
    try:
        getattr(module, script)()
    finally:
        sys.argv = before
