"""
The published numbers: Nam, Sun, Pertsch, Hwang, Lim, *Skill-based Meta-Reinforcement Learning*, ICLR 2022.

Read off the paper's figures, ±0.03. Means over ten target tasks × three seeds, of the acting (stochastic) policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CONDITIONED", "META_TRAINING_SUCCESS", "PAPER", "PaperCurve", "paper_curve", "paper_curves"]

MAZE, KITCHEN = "SimplMaze-v0", "SimplKitchen-v0"


@dataclass(frozen=True)
class PaperCurve:
    """
    One line of a figure in the paper.

    :param env: our id of the environment
    :param training_task_set: tasks of the meta-training; None for a method without one
    :param task_set: tasks evaluated on
    :param method: as in the rows
    :param values: episode -> success rate (maze) or subtasks completed, of 4 (kitchen)
    :param at_most: a bound for all episodes, where only that is known
    """

    env: str
    training_task_set: str | None
    task_set: str
    method: str
    values: Mapping[int, float]
    at_most: float | None = None


def _curve(episodes: str, values: str) -> dict[int, float]:
    return {int(n): float(value) for n, value in zip(episodes.split(), values.split(), strict=True)}


_MAZE, _KITCHEN = "20 40 60 100 200 300 500", "20 40 60 80 100 160 195"

PAPER: tuple[PaperCurve, ...] = (
    PaperCurve(MAZE, "train-40", "target", "simpl", _curve(_MAZE, ".43 .74 .83 .93 .92 .96 1.0")),
    PaperCurve(MAZE, None, "target", "spirl", _curve(_MAZE, ".21 .35 .47 .63 .76 .82 .86")),
    PaperCurve(MAZE, "train-40", "target", "mtrl", _curve(_MAZE, ".27 .26 .45 .61 .79 .83 .93")),
    PaperCurve(MAZE, "train-40", "target", "pearl", _curve(_MAZE, "0 0 0 0 0 0 0")),
    PaperCurve(MAZE, "train-40", "target", "pearl-ft", {500: 0.13}),
    PaperCurve(MAZE, None, "target", "sac", {}, at_most=0.17),
    PaperCurve(MAZE, "train-20", "target", "simpl", _curve("60 100 200", ".76 .82 .88")),
    PaperCurve(MAZE, "train-10", "target", "simpl", _curve("60 100 200", ".64 .71 .88")),
    PaperCurve(MAZE, "train-top", "target-top", "simpl", _curve("20 60 100 200", ".72 .92 .97 .99")),
    PaperCurve(MAZE, None, "target-top", "spirl", _curve("20 60 100 200", ".08 .40 .59 .71")),
    PaperCurve(MAZE, "train-top", "target-top", "mtrl", _curve("20 60 100 200", ".20 .47 .57 .76")),
    PaperCurve(MAZE, "train-top", "target-bottom", "simpl", _curve("20 60 100 200 500", "0 .13 .42 .78 .95")),
    PaperCurve(MAZE, None, "target-bottom", "spirl", _curve("20 60 100 200 500", ".50 .61 .61 .86 .94")),
    PaperCurve(KITCHEN, "train", "target", "simpl", _curve(_KITCHEN, "1.72 2.20 2.37 2.54 2.57 2.66 2.71")),
    PaperCurve(KITCHEN, None, "target", "spirl", _curve(_KITCHEN, ".95 1.04 .86 1.32 1.91 2.32 2.31")),
    PaperCurve(KITCHEN, "train", "target", "mtrl", _curve(_KITCHEN, ".81 1.01 1.16 1.52 2.01 2.29 2.24")),
    PaperCurve(KITCHEN, "train", "target", "pearl", _curve(_KITCHEN, ".07 .07 .07 .07 .07 .07 .07")),
    PaperCurve(KITCHEN, "train", "target", "pearl-ft", {}, at_most=0.2),
    PaperCurve(KITCHEN, None, "target", "sac", {}, at_most=0.1),
)

CONDITIONED: dict[str, dict[int, float]] = {
    MAZE: {1: 0.26, 5: 0.39, 10: 0.47, 20: 0.53},
    KITCHEN: {1: 0.84, 5: 1.48, 10: 1.71, 20: 1.74},
}
"""SiMPL without a gradient step, by the number of episodes that the policy is conditioned on."""

META_TRAINING_SUCCESS: dict[str, tuple[int, dict[str, float]]] = {
    "easy": (1_500, {"simpl": 0.8, "bc-pearl": 0.9, "pearl": 0.6, "bc-maml": 0.27}),
    "medium": (4_500, {"simpl": 0.75, "bc-pearl": 0.5, "pearl": 0.34}),
    "hard": (10_000, {"simpl": 0.80, "bc-pearl": 0.33, "pearl": 0.05}),
}
"""Training task set (maze) -> episodes of meta-training, and the success rate on the training tasks after them."""

EPISODES: dict[str, tuple[int, ...]] = {KITCHEN: tuple(int(n) for n in _KITCHEN.split())}
MAZE_EPISODES = tuple(int(n) for n in _MAZE.split())


def reported_episodes(env: str) -> tuple[int, ...]:
    """The episodes at which the paper's figures were read, the maze's for any other environment."""
    return EPISODES.get(env, MAZE_EPISODES)


def paper_curves(env: str, task_set: str, training_task_sets: set[str | None]) -> list[PaperCurve]:
    """
    Every published line on these target tasks whose method needs no meta-training, or had one of these training sets.

    :param training_task_sets: of our own lines; if none of them is published, all published ones are given
    """
    lines = [line for line in PAPER if (line.env, line.task_set) == (env, task_set)]
    if not training_task_sets & {line.training_task_set for line in lines if line.training_task_set}:
        return lines
    return [line for line in lines if line.training_task_set in training_task_sets | {None}]


def paper_curve(env: str, task_set: str, method: str, training_task_set: str | None) -> PaperCurve | None:
    """The published line for one of ours; None where there is none."""
    key = (env, task_set, method, training_task_set)
    return next((p for p in PAPER if (p.env, p.task_set, p.method, p.training_task_set) == key), None)
