"""Groups of rows, and their tables beside the published numbers."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from reports_for_tests import MAZE, make_rows

from simpl_sb3.domains import built_in_domains, find_domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.reporting import known_facts, table_of
from simpl_sb3.methods import METHODS
from simpl_sb3.report.figures import draw_curves
from simpl_sb3.report.groups import group_results, read_all
from simpl_sb3.report.methods import line_colours
from simpl_sb3.report.tables import number
from simpl_sb3.results.facts import Measure
from simpl_sb3.results.rows import ResultsError, write_results

FACTS = known_facts()


def test_table_beside_the_paper(tmp_path: Path):
    rows = [row for row in make_rows("simpl", MAZE, 0.0) if row.task == "12-7"]
    rows = [
        replace(row, success=int(row.episode > 20 + 5 * row.seed)) for row in rows
    ]  # seed 1 misses five of 21 to 30
    write_results(tmp_path / "a.csv", rows, {}, training_task_set="train-40")
    markdown = table_of([tmp_path / "a.csv"])
    assert "### SimplMaze-v0, target tasks: success rate" in markdown
    assert "| at episode | agents | 20 | 40 |\n" in markdown
    assert "| SiMPL | 1 × 2 | **.75** [.50, 1.00] | **1.00** [1.00, 1.00]† |" in markdown
    assert "| *paper: SiMPL* | 10 × 3 | .43 | .74 |" in markdown
    assert "| *paper: SAC* | 10 × 3 | ≤ .17 | ≤ .17 |" in markdown
    assert "| SiMPL, seed 1 | 1 | .50 | 1.00 |" in markdown
    assert "train-20" not in markdown
    text = table_of([tmp_path / "a.csv"], "text")
    assert re.search(r"^SiMPL +1 × 2 +\.75 \[\.50, 1\.00\] +1\.00 \[1\.00, 1\.00\]†$", text, re.MULTILINE)
    with pytest.raises(SettingsError, match="expected one of markdown, text"):
        table_of([tmp_path], "latex")


def test_lines_are_told_apart(tmp_path: Path):
    for training in ("train-10", "train-40"):
        rows = make_rows("simpl", MAZE, 0.5)
        write_results(tmp_path / f"{training}.csv", rows, {}, training_task_set=training)
    write_results(
        tmp_path / "own.csv", make_rows("simpl", MAZE, 0.5), {}, training_task_set="train-40", variant="deep set"
    )
    write_results(tmp_path / "spirl.csv", make_rows("spirl", MAZE, 0.5), {}, training_task_set="train-40")
    (group,) = group_results(read_all([tmp_path]), FACTS)
    expected = ["SiMPL, train-40, deep set", "SiMPL, train-40", "SiMPL, train-10", "SPiRL"]
    assert [line.label for line in group.lines] == expected
    assert group.lines[3].training_task_set is None
    published = group.lines[2].published
    assert published is not None
    assert (published.training_task_set, published.values) == ("train-10", {60: 0.64, 100: 0.71, 200: 0.88})
    curves = draw_curves(group)
    assert curves is not None
    legend = [text.get_text() for text in curves.legends[0].get_texts()]
    # for train-10 the paper gives nothing before episode 60
    assert legend == [*expected, "the paper's", "the paper's", " ", "the paper's"]


def test_agents_of_two_files_join_and_must_differ(tmp_path: Path):
    write_results(tmp_path / "0.csv", make_rows("simpl", MAZE, 0.5, seeds=(0,)), {})
    write_results(tmp_path / "1.csv", make_rows("simpl", MAZE, 0.5, seeds=(1,)), {})
    (group,) = group_results(read_all([tmp_path, tmp_path / "0.csv"]))  # named twice, read once
    assert group.lines[0].episodes.seeds == (0, 1, 0, 1)
    write_results(tmp_path / "2.csv", make_rows("simpl", MAZE, 0.5, seeds=(1,)), {})
    with pytest.raises(ResultsError, match="is there twice"):
        group_results(read_all([tmp_path]))


def test_a_line_is_of_one_algorithm(tmp_path: Path):
    for seed, gamma in enumerate((0.99, 0.99, 0.95)):
        settings = {"gamma": gamma, "seed": seed, "n_episodes": 46 + seed, "source": f"meta-{seed}/model.zip"}
        write_results(tmp_path / f"{seed}.csv", make_rows("simpl", MAZE, 0.5, seeds=(seed,)), settings)
    files = read_all([tmp_path])
    assert len(group_results(files[:2])[0].lines) == 1
    with pytest.raises(ResultsError, match=r"2\.csv has gamma 0\.95, .*0\.csv has 0\.99; expected equal settings"):
        group_results(files)
    settings["gamma"] = 0.95
    write_results(
        tmp_path / "2.csv", make_rows("simpl", MAZE, 0.5, seeds=(2,)), settings, variant="short-sighted", overwrite=True
    )
    assert len(group_results(read_all([tmp_path]))[0].lines) == 2


@pytest.mark.parametrize(
    ("n_episodes", "columns"),
    [
        (7, "last 5"),
        (22, "last 5"),
        (29, "last 5"),
        (35, "20 last 10"),
        (49, "20 40"),
        (65, "20 40 60"),
        (104, "20 40 60"),
    ],
)
def test_columns_of_a_run(tmp_path: Path, n_episodes: int, columns: str):
    write_results(tmp_path / "a.csv", make_rows("simpl", "Own-v0", 0.5, n_episodes, seeds=(0,)), {})
    (group,) = group_results(read_all([tmp_path]))
    assert " ".join(map(str, group.columns())) == columns


def test_an_unknown_method_has_its_own_name_and_a_colour(tmp_path: Path):
    write_results(tmp_path / "a.csv", make_rows("mine", "Own-v0", 0.5), {})
    write_results(tmp_path / "b.csv", make_rows("other-one", "Own-v0", 0.5), {}, method_label="The other")
    write_results(tmp_path / "c.csv", make_rows("spirl", "Own-v0", 0.5), {})
    (group,) = group_results(read_all([tmp_path]))
    assert [line.label for line in group.lines] == ["SPiRL", "mine", "The other"]
    colours = line_colours(line.method for line in group.lines)
    assert colours[0] == METHODS["spirl"].colour
    assert len(set(colours)) == 3


def test_rows_say_what_is_shown(tmp_path: Path):
    measure = Measure("return", "parts assembled", 7.0)
    rows = [replace(row, episode_return=5.0) for row in make_rows("simpl", "Own-v0", 0.5)]
    write_results(tmp_path / "a.csv", rows, {}, measure=measure)
    (group,) = group_results(read_all([tmp_path]))
    assert (group.measure, group.lines[0].at(20)[0]) == (measure, 5.0)
    rows = make_rows("spirl", "Own-v0", 0.5)
    write_results(tmp_path / "b.csv", rows, {}, measure=Measure("success", "success rate", 1.0))
    with pytest.raises(ResultsError, match="measure parts assembled and success rate; expected one measure"):
        group_results(read_all([tmp_path]))


@pytest.mark.parametrize(
    ("names", "pinned"),
    [
        (("main", "kitchen", "prior", "random-goals", "spirl-published"), "committed_tables.md"),
        (("maze-protocol",), "committed_protocol.md"),
    ],
)
def test_committed_results_give_the_tables_that_they_gave(names: tuple[str, ...], pinned: str):
    results = Path(__file__).parents[2] / "benchmarks" / "results"
    expected = Path(__file__).with_name(pinned).read_text(encoding="utf-8")
    assert table_of([results / name for name in names]) == expected


def test_published_numbers():
    for domain in built_in_domains().values():
        curves = domain.published
        names = {(curve.training_task_set, curve.task_set, curve.method, curve.axis) for curve in curves}
        assert len(names) == len(curves)
        for curve in curves:
            assert {curve.task_set, curve.training_task_set} - {None} <= set(domain.sets)
    (simpl,) = [
        curve.values
        for curve in find_domain("maze").published
        if (curve.training_task_set, curve.task_set, curve.method) == ("train-40", "target", "simpl")
        if curve.axis == "episode"
    ]
    assert simpl == {20: 0.43, 40: 0.74, 60: 0.83, 100: 0.93, 200: 0.92, 300: 0.96, 500: 1.0}


def test_numbers_are_written_as_in_the_paper():
    assert [number(x) for x in (0.43, 1.0, 0.999, 0.0, 2.714, -0.1)] == [".43", "1.00", "1.00", ".00", "2.71", "-.10"]
