"""The range in which one draw of agents lies."""

import json
from pathlib import Path

import numpy as np
import pytest

from simpl_sb3.errors import ResultsError
from simpl_sb3.results.draws import beside_draws, draws_of, read_draws
from simpl_sb3.results.estimates import AgentEpisodes


def agents(values: dict[str, list[float]], episodes: int = 45) -> AgentEpisodes:
    """Agents whose every episode has one value, by task."""
    names = tuple(name for name, of_task in values.items() for _ in of_task)
    numbers = np.array([number for of_task in values.values() for number in of_task])
    seeds = tuple(k for of_task in values.values() for k in range(len(of_task)))
    return AgentEpisodes(names, seeds, np.repeat(numbers[:, None], episodes, axis=1))


def test_a_draw_takes_one_agent_of_each_task() -> None:
    """Task a is always solved; of b half of the agents solve it: means are .5 and 1, nothing else."""
    assert draws_of(agents({"a": [1.0, 1.0], "b": [0.0, 1.0]}), (20,)) == {
        "20": {"mean": 0.75, "low": 0.5, "high": 1.0}
    }


def test_the_range_narrows_with_the_number_of_tasks() -> None:
    (found,) = draws_of(agents({str(k): [0.0, 1.0] for k in range(100)}), (40,)).values()
    assert found["low"] == pytest.approx(0.4, abs=0.02)  # .5 - 1.96 * sqrt(.25 / 100)
    assert found["high"] == pytest.approx(0.6, abs=0.02)


def test_a_single_agent_says_nothing_of_the_spread() -> None:
    with pytest.raises(ResultsError, match="one agent of b: expected several"):
        draws_of(agents({"a": [1.0, 1.0], "b": [0.0]}), (20,))


def test_a_run_is_told_beside_the_range() -> None:
    known = {"20": {"mean": 0.9, "low": 0.8, "high": 1.0}, "40": {"mean": 0.9, "low": 0.8, "high": 1.0}}
    (line,) = beside_draws(agents({"a": [1.0], "b": [0.6]}, episodes=30), known)  # too short for "at 40"
    assert line == "at episode 20: 0.80, inside the range 0.80 to 1.00 of 95 % of such runs (their mean: 0.90)"
    assert "0.50, OUTSIDE the range" in beside_draws(agents({"a": [1.0], "b": [0.0]}), known)[1]


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "draws.json"
    assert read_draws(file) == {}
    part = {"mean": 0.5, "low": 0.25, "high": 1.0}
    file.write_text(json.dumps({"methods": {"simpl": {"20": part}}}))
    assert read_draws(file) == {"simpl": {"20": part}}
    for wrong in ("[]", "{", '{"methods": {"simpl": {"20": {"mean": 1}}}}', '{"methods": {"simpl": {"x": {}}}}'):
        file.write_text(wrong)
        with pytest.raises(ResultsError, match=r"draws.json holds no ranges of draws"):
            read_draws(file)
