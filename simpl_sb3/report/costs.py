"""What a line costs, in env steps and seconds, from its rows and the JSON beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simpl_sb3.report.groups import Group, Line

__all__ = ["Cost", "costs_of", "duration"]


@dataclass(frozen=True)
class Cost:
    """
    Costs of one line; None where nothing says it.

    :param label: of the line
    :param n_agents: that adapted
    :param episodes: of an agent, mean
    :param env_steps: of an agent in all its episodes, mean
    :param steps_to_success: of an agent up to the end of its first success, median over agents; infinite ones are those
        without a success
    :param seconds: per agent, wall-clock
    :param training_steps: env steps of one meta-training, mean
    :param training_seconds: of one meta-training, mean
    :param skill_seconds: of one extraction of skills, mean
    """

    label: str
    n_agents: int
    episodes: float
    env_steps: float
    steps_to_success: float | None
    seconds: float | None
    training_steps: float | None
    training_seconds: float | None
    skill_seconds: float | None

    def numbers(self) -> dict[str, float]:
        """What is known, by what it is."""
        named = {
            "episodes": self.episodes,
            "env steps": self.env_steps,
            "env steps to a success (median)": self.steps_to_success,
            "adaptation, s": self.seconds,
            "meta-training, env steps": self.training_steps,
            "meta-training, s": self.training_seconds,
            "skills, s": self.skill_seconds,
        }
        return {name: value for name, value in named.items() if value is not None}


def costs_of(group: Group) -> list[Cost]:
    """The costs of each line of a group."""
    return [_cost(line, group) for line in group.lines]


def _cost(line: Line, group: Group) -> Cost:
    last: dict[tuple[str, int], int] = {}
    first: dict[tuple[str, int], int] = {}
    for file in line.files:
        for row in file.rows:
            if (row.method, row.task_set, row.env) != (line.method, group.task_set, group.env):
                continue
            agent = row.task, row.seed
            last[agent] = max(last.get(agent, 0), row.env_steps)
            if row.success:
                first[agent] = min(first.get(agent, row.env_steps), row.env_steps)
    taken = np.median([first.get(agent, np.inf) for agent in last])
    adapting = [sum(map(float, (file.metadata.get("wall_time_s") or {}).values())) for file in line.files]
    trainings, skills = _runs(line, "meta-train"), _runs(line, "extract")
    return Cost(
        label=line.label,
        n_agents=len(last),
        episodes=float((~np.isnan(line.episodes.values)).sum(axis=1).mean()),
        env_steps=float(np.mean(list(last.values()))),
        steps_to_success=float(taken) if np.isfinite(taken) else None,
        seconds=sum(adapting) / len(last) if all(adapting) else None,
        training_steps=_mean(trainings, "env_steps"),
        training_seconds=_mean(trainings, "wall_time_s"),
        skill_seconds=_mean(skills, "wall_time_s"),
    )


def _runs(line: Line, stage: str) -> dict[str, Mapping[str, Any]]:
    """The runs that a line's agents come from, each once, by key."""
    lineages = [run for file in line.files for run in file.metadata.get("lineage") or ()]
    return {run["key"]: run for run in lineages if run["stage"] == stage}


def _mean(runs: Mapping[str, Mapping[str, Any]], name: str) -> float | None:
    known = [float(run[name]) for run in runs.values() if run.get(name) is not None]
    return float(np.mean(known)) if known else None


def duration(seconds: float) -> str:
    """``48 s``, ``19.5 min``, ``2.1 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
