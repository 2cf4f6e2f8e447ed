"""Statistics, costs and where agents come from, from rows and JSON alone."""

import csv
import io
import math
from pathlib import Path

import pytest
from reports_for_tests import MAZE, make_rows

from simpl_sb3.experiments.reporting import known_facts
from simpl_sb3.report.costs import costs_of, duration
from simpl_sb3.report.groups import Group, group_results, read_all
from simpl_sb3.report.statistics import (
    html_statistics,
    profile_chart,
    statistics,
    statistics_as_csv,
    statistics_as_markdown,
)
from simpl_sb3.results.rows import ResultsError, write_results

LINEAGE = [
    {"stage": "extract", "key": "skills-a", "seed": 0, "wall_time_s": 300.0},
    {"stage": "meta-train", "key": "meta-a", "seed": 1, "wall_time_s": 600.0, "env_steps": 5_000},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for skills in ("a", "b"):
        seed = 0 if skills == "a" else 10_000
        runs = [{**run, "key": run["key"][:-1] + skills} for run in LINEAGE]
        for method, chance, lineage in (("simpl", 0.9, runs), ("spirl", 0.2, runs[:1])):
            rows = make_rows(method, MAZE, chance, seeds=(seed, seed + 1))
            more = {"training_task_set": "train-40", "training_tasks": ["12-7"]} if method == "simpl" else {}
            write_results(tmp_path / f"{method}-{skills}.csv", rows, {}, lineage=lineage, wall_time_s=40.0, **more)
    return tmp_path


def read(folder: Path) -> Group:
    (group,) = group_results(read_all([folder]), known_facts())
    return group


def test_agents_know_their_skill_models_and_trainings(folder: Path) -> None:
    simpl, spirl = read(folder).lines
    assert simpl.episodes.skills == ("skills-a", "skills-a", "skills-b", "skills-b") * 2
    assert simpl.episodes.trainings == ("meta-a", "meta-a", "meta-b", "meta-b") * 2
    assert set(spirl.episodes.trainings) == {""}
    assert spirl.episodes.skills == simpl.episodes.skills


def test_rows_of_a_grid_without_a_lineage_count_skill_models_in_their_seeds(tmp_path: Path) -> None:
    for seed in (0, 100, 20_100):
        rows = make_rows("simpl", MAZE, 0.5, seeds=(seed, seed + 1))
        write_results(tmp_path / f"{seed}.csv", rows, {"source": f"stages/meta-train-{seed}/model.zip"})
    (line,) = read(tmp_path).lines
    assert sorted(set(line.episodes.skills)) == ["s0", "s2"]
    assert sorted(set(line.episodes.trainings)) == ["s0 t0", "s0 t1", "s2 t1"]


def test_other_rows_are_a_meta_training_per_file(tmp_path: Path) -> None:
    for seed in (0, 1):
        rows = make_rows("simpl", MAZE, 0.5, seeds=(seed,))
        write_results(tmp_path / f"{seed}.csv", rows, {"source": ".../model.zip"})
    (line,) = read(tmp_path).lines
    assert (set(line.episodes.skills), set(line.episodes.trainings)) == ({""}, {"0", "1"})


@pytest.mark.parametrize("lineage", [[{"stage": "extract"}], [{"stage": "extract", "key": "a", "seed": "0"}]])
def test_a_lineage_that_is_none_is_refused(folder: Path, lineage: list[dict[str, str]]) -> None:
    path = folder / "simpl-a.csv"
    write_results(path, read_all([path])[0].rows, {}, lineage=lineage, overwrite=True)
    with pytest.raises(ResultsError, match="lineage"):
        read_all([path])


def test_every_quantity_at_every_reported_episode(folder: Path) -> None:
    group = read(folder)
    rows = statistics(group)
    assert [(row.label, row.quantity) for row in rows] == [
        ("SiMPL", "mean"),
        ("SiMPL", "interquartile mean"),
        ("SiMPL", "spread of skill models"),
        ("SPiRL", "mean"),
        ("SPiRL", "interquartile mean"),
        ("SPiRL", "spread of skill models"),
        ("SiMPL − SPiRL", "difference"),
        ("SiMPL > SPiRL", "probability of improvement"),
    ]
    assert all(list(row.found) == ["20", "40"] for row in rows)
    means = {row.label: row.found["20"].mean for row in rows if row.quantity == "mean"}
    assert rows[6].found["20"].mean == pytest.approx(means["SiMPL"] - means["SPiRL"])
    assert rows[7].found["20"].mean == 1.0
    text = statistics_as_markdown([group])
    assert "2 skill models, 2 meta-trainings, 2 tasks, 2 agents of each" in text
    assert "SPiRL: 2 skill models, 2 tasks" in text


def test_values_for_other_programs(folder: Path) -> None:
    read_back = list(csv.DictReader(io.StringIO(statistics_as_csv([read(folder)]))))
    mean = next(row for row in read_back if (row["line"], row["quantity"], row["at"]) == ("SiMPL", "mean", "20"))
    assert float(mean["low"]) <= float(mean["value"]) <= float(mean["high"])
    spread = next(row for row in read_back if row["quantity"] == "spread of skill models")
    assert (spread["low"], spread["n"]) == ("", "2")


def test_costs_are_per_agent_and_per_run(folder: Path) -> None:
    simpl, spirl = costs_of(read(folder))
    assert (simpl.n_agents, simpl.episodes, simpl.env_steps) == (8, 46.0, 46.0)
    assert (simpl.seconds, simpl.training_seconds, simpl.training_steps, simpl.skill_seconds) == (10, 600, 5_000, 300)
    assert (spirl.training_seconds, spirl.skill_seconds) == (None, 300)
    assert simpl.steps_to_success is not None
    assert simpl.steps_to_success <= 3
    assert [duration(seconds) for seconds in (48, 1170, 7560)] == ["48 s", "19.5 min", "2.1 h"]
    assert "<td>10.0 min</td>" in html_statistics(read(folder))


def test_tasks_that_were_trained_on_are_flagged(folder: Path, tmp_path: Path) -> None:
    group = read(folder)
    assert group.lines[0].seen == ("12-7",)
    assert group.lines[1].seen == ()
    out = tmp_path / "older"
    write_results(out / "a.csv", make_rows("simpl", MAZE, 0.5), {}, training_task_set="easy")  # has no target task
    assert read(out).lines[0].seen == ()
    write_results(out / "b.csv", make_rows("simpl", "Own-v0", 0.5), {}, training_task_set="5012, 5013")
    own = [group for group in group_results(read_all([out])) if group.env == "Own-v0"]
    assert own[0].lines[0].seen == ("5012",)


def test_one_agent_has_nothing_to_compare(tmp_path: Path) -> None:
    rows = [row for row in make_rows("simpl", MAZE, 0.5, seeds=(0,)) if row.task == "12-7"]
    write_results(tmp_path / "a.csv", rows, {})
    group = read(tmp_path)
    assert statistics(group) == []
    assert profile_chart(group) == ""
    assert "How sure" not in html_statistics(group)


def test_a_profile_is_drawn_where_all_have_values(folder: Path) -> None:
    chart = profile_chart(read(folder))
    assert "at episode 40" in chart
    assert chart.count("<g class=series") == 2
    assert not math.isnan(statistics(read(folder))[0].found["40"].low)
