"""How far one draw of agents, one per task, may lie from the mean of many: for a reader of a single run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simpl_sb3.errors import ResultsError
from simpl_sb3.results.estimates import AgentEpisodes

__all__ = ["beside_draws", "draws_of", "read_draws"]

N_DRAWS = 10_000
SEED = 20220


def draws_of(agents: AgentEpisodes, episodes: Sequence[int]) -> dict[str, dict[str, float]]:
    """
    :param agents: several agents of each task
    :param episodes: the episodes N to look at
    :return: for each N, as text, the mean over all agents (``mean``) and the range (``low``, ``high``) that holds 95 %
        of the means over one agent of each task, drawn at random
    :raises ResultsError: for a task with a single agent, whose spread is unknown
    """
    tasks = np.array(agents.tasks)
    members = [np.flatnonzero(tasks == name) for name in sorted(set(agents.tasks))]
    if alone := [agents.tasks[indices[0]] for indices in members if len(indices) == 1]:
        raise ResultsError(f"one agent of {', '.join(alone)}: expected several of each task")
    rng = np.random.default_rng(SEED)
    picks = np.stack([rng.choice(indices, N_DRAWS) for indices in members], axis=1)  # (draws, tasks)
    found = {}
    for n in episodes:
        values = agents.at(n)
        low, high = np.quantile(values[picks].mean(axis=1).round(12), (0.025, 0.975))
        found[str(n)] = {"mean": float(values.mean()), "low": float(low), "high": float(high)}
    return found


def read_draws(file: Path) -> dict[str, dict[str, dict[str, float]]]:
    """
    :param file: JSON: method -> episode N -> what :func:`draws_of` gives, under the key "methods"
    :return: the methods; none where there is no such file
    :raises ResultsError: for a file of another form
    """
    if not file.exists():
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))["methods"]
        return {
            str(method): {
                str(int(n)): {name: float(part[name]) for name in ("mean", "low", "high")} for n, part in ats.items()
            }
            for method, ats in data.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{file} holds no ranges of draws: {type(error).__name__}: {error}") from None


def beside_draws(agents: AgentEpisodes, known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """
    One run's means beside the range in which such runs lie.

    :param agents: one agent of each task
    :param known: what :func:`draws_of` gave of others
    :return: a line per episode N that the run has
    """
    lines = []
    for n, part in known.items():
        if agents.has(int(n)):
            value = float(agents.at(int(n)).mean().round(12))
            inside = part["low"] <= value <= part["high"]
            lines.append(
                f"at episode {n}: {value:.2f}, {'inside' if inside else 'OUTSIDE'} the range {part['low']:.2f} to "
                f"{part['high']:.2f} of 95 % of such runs (their mean: {part['mean']:.2f})"
            )
    return lines
