"""A grid file as stages: read and checked before anything runs, and each stage once."""

from pathlib import Path

import pytest

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.grid import Grid, GridMethod, GridTasks
from simpl_sb3.experiments.grid_file import read_grid

SMALL = """
domain = "maze"
preset = "fast"
seeds = [0, 1]

[[methods]]
name = "SiMPL"
method = "simpl"
train_seeds = [0, 1]

[[methods]]
name = "no relabelling"
method = "simpl"
train = { hindsight = false }

[[methods]]
method = "spirl"

[[tasks]]
tasks = "target"
agents_per_task = 2
settings = { n_episodes = 25 }

[[tasks]]
tasks = "12-7,5-12"
methods = ["SiMPL"]
"""


def grid(tmp_path: Path, text: str = SMALL) -> Grid:
    file = tmp_path / "grid.toml"
    file.write_text(text)
    return read_grid(file)


def test_stages_in_their_order_and_each_once(tmp_path: Path) -> None:
    cells = grid(tmp_path).cells()
    kinds = [cell.stage.kind for cell in cells]
    assert {kind: kinds.count(kind) for kind in kinds} == {"collect": 2, "extract": 2, "meta-train": 6, "adapt": 12}
    assert len({cell.key for cell in cells}) == len({cell.name for cell in cells}) == len(cells)
    assert len({cell.stage.output for cell in cells}) == len(cells)
    before: set[str] = set()
    for cell in cells:
        assert before.issuperset(cell.after)
        before.add(cell.key)


def test_what_a_stage_reads_is_what_it_waits_for(tmp_path: Path) -> None:
    cells = {cell.key: cell for cell in grid(tmp_path).cells()}
    for cell in cells.values():
        for key in cell.after:
            reads = str(cell.stage.settings.get("datasets") or cell.stage.inputs["source"])
            assert reads.startswith(cells[key].stage.output)


def test_settings_reach_their_stages(tmp_path: Path) -> None:
    cells = {cell.name: cell.stage for cell in grid(tmp_path).cells()}
    assert cells["meta-train SiMPL s1 t1"].settings["seed"] == 1
    assert cells["meta-train SiMPL s1 t1"].settings["training"]["hindsight"] is True
    assert cells["meta-train no relabelling s0 t0"].settings["training"]["hindsight"] is False
    adapt = cells["adapt no relabelling to target s1 t0"]
    assert adapt.settings["variant"] == "no relabelling"
    assert adapt.settings["agents_per_task"] == 2
    assert adapt.settings["adaptation"]["n_episodes"] == 25
    assert cells["adapt SiMPL to target s0 t0"].settings["variant"] == ""
    assert cells["adapt SiMPL to 12-7,5-12 s0 t0"].settings["adaptation"]["n_episodes"] == 205
    assert "adapt spirl to 12-7,5-12 s0 t0" not in cells


def test_no_two_runs_share_a_seed_of_an_agent(tmp_path: Path) -> None:
    seeds = [
        (cell.stage.settings["variant"], cell.stage.settings["seed"] + agent)
        for cell in grid(tmp_path).cells()
        if cell.stage.kind == "adapt" and cell.stage.settings["tasks"] == "target"
        if cell.stage.settings["method"] == "simpl"
        for agent in range(2)
    ]
    assert len(seeds) == len(set(seeds))


def test_a_setting_changes_the_keys_of_all_that_follows(tmp_path: Path) -> None:
    before = {cell.name: cell.key for cell in grid(tmp_path).cells()}
    after = {cell.name: cell.key for cell in grid(tmp_path, SMALL + "\n[extract]\nkl_weight = 0.5\n").cells()}
    same = {name for name in before if before[name] == after[name]}
    assert same == {"collect s0", "collect s1"}


def test_methods_that_train_alike_share_the_training() -> None:
    methods = (
        GridMethod(method="simpl", name="a"),
        GridMethod(method="simpl", name="b", adapt={"learning_rate": 1e-4}),
    )
    cells = Grid(domain="maze", methods=methods, tasks=(GridTasks(tasks="target"),)).cells()
    assert [cell.stage.kind for cell in cells] == ["collect", "extract", "meta-train", "adapt", "adapt"]


def test_files_are_named_relative_to_the_grid_file(tmp_path: Path) -> None:
    (tmp_path / "goals.txt").write_text("12-7\n")
    chosen = grid(tmp_path, SMALL.replace('tasks = "target"', 'tasks = "goals.txt"'))
    assert chosen.tasks[0].tasks == str(tmp_path / "goals.txt")
    told = [cell.name for cell in chosen.cells() if cell.stage.kind == "adapt"]
    assert told[0] == "adapt SiMPL to goals.txt s0 t0"


def test_a_stage_of_a_task_file_is_another_where_the_file_holds_others(tmp_path: Path) -> None:
    """And the same wherever it lies."""
    text, keys = SMALL.replace('tasks = "target"', 'tasks = "goals.txt"'), []
    for place, goals in (("a", "12-7\n"), ("b", "# the same\n12-7\n"), ("c", "1-1\n")):
        folder = tmp_path / place
        folder.mkdir()
        (folder / "goals.txt").write_text(goals)
        cells = [cell for cell in grid(folder, text).cells() if cell.stage.kind == "adapt"]
        keys.append([cell.key for cell in cells if cell.stage.settings["tasks"].endswith("goals.txt")])
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("\nseeds = [0, 1]", "\nsedes = [0]"), "a grid has no key sedes: expected domain"),
        (("agents_per_task = 2", "agents = 2"), r"\[\[tasks\]\] has no key agents: expected tasks"),
        (("agents_per_task = 2", 'agents_per_task = "2"'), "agents_per_task of .*'2': expected a whole number"),
        (('method = "spirl"', 'method = "spiral"'), "spiral"),
        (('preset = "fast"', 'preset = "slow"'), "slow"),
        (('tasks = "target"', 'tasks = "targets"'), "targets"),
        (("hindsight = false", "hindsigth = false"), "hindsigth"),
        (("hindsight = false", "gamma = 2.0"), "gamma"),
        (('methods = ["SiMPL"]', 'methods = ["Simpl"]'), "names Simpl: expected SiMPL, no relabelling, spirl"),
        (('name = "no relabelling"', 'name = "SiMPL"'), "are called SiMPL"),
        (("\nseeds = [0, 1]", "\nseeds = [0, 0]"), "expected different whole numbers"),
        (("\nseeds = [0, 1]", "\nseeds = []"), "expected different whole numbers"),
        (("\nseeds = [0, 1]", "\nminutes = { learn = 3 }"), r"\[minutes\] names learn: expected collect"),
        (
            ("hindsight = false }", "hindsight = false }\nminutes = { train = 3 }"),
            "minutes of no relabelling names train",
        ),
        (
            ("hindsight = false }", "hindsight = false }\nminutes = { adapt = 0 }"),
            "adapt of minutes of no relabelling is 0",
        ),
        (('domain = "maze"', "domain = maze"), "is no TOML file"),
        (("[[tasks]]", "[[task]]"), r"expected at least one \[\[tasks\]\]"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in SMALL
    with pytest.raises(SettingsError, match=message):
        grid(tmp_path, SMALL.replace(*change))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read"):
        read_grid(tmp_path / "none.toml")
