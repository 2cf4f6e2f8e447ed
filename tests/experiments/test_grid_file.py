"""The files of grids: the ones that come along, their smaller forms, and keys of a method's own."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.grid import Budget, GridMethod, GridTasks
from simpl_sb3.experiments.grid_file import find_grid, read_grid, shipped_grids

OWN = """
domain = "maze"
preset = "fast"
[[methods]]
name = "SiMPL"
method = "simpl"
[[methods]]
name = "short"
method = "simpl"
extract = { horizon = 5 }
[[methods]]
name = "few"
method = "spirl"
trajectories = 100
adapt = { exploration_latent_skills = "None" }
[[methods]]
name = "PEARL"
method = "pearl"
total_timesteps = 100
[[tasks]]
tasks = "target"
agents_per_task = 3
settings = { n_episodes = 105 }
[cores]
meta-train = 2
[budgets.small]
methods = ["SiMPL", "PEARL"]
seeds = [3]
train_minutes = 2
agents_per_task = 1
n_episodes = 40
"""


def write(tmp_path: Path, text: str = OWN) -> Path:
    file = tmp_path / "grid.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", list(shipped_grids()))
def test_every_grid_that_comes_along_can_run(name: str) -> None:
    path = find_grid(name)
    grid = read_grid(path)
    kinds = {cell.stage.kind for cell in grid.cells()}
    assert kinds <= set(grid.minutes)  # the projection says it all
    small = grid.within("small")
    core_minutes = sum(small.minutes[cell.stage.kind] for cell in small.cells())
    assert core_minutes < 60
    assert len(small.cells()) < len(grid.cells())
    assert f"simpl-sb3 experiment {name}" in path.read_text()


def test_figures_are_there() -> None:
    wanted = {"fig4-maze", "fig4-kitchen", "fig4-maze-published", "fig6", "fig8", "fig10", "additions"}
    assert wanted <= set(shipped_grids())
    published = tomllib.loads(find_grid("fig4-maze-published").read_text())
    assert published["preset"] == "paper"


def test_a_method_of_its_own_demonstrations_and_skills_shares_the_rest(tmp_path: Path) -> None:
    cells = read_grid(write(tmp_path)).cells()
    assert Counter(cell.stage.kind for cell in cells) == {"collect": 2, "extract": 3, "meta-train": 3, "adapt": 4}
    by_name = {cell.name: cell for cell in cells}
    assert by_name["extract short s0"].stage.settings["model"]["horizon"] == 5
    assert by_name["extract short s0"].after == by_name["extract s0"].after
    assert by_name["collect few s0"].stage.settings["trajectories"] == 100
    assert by_name["adapt few to target s0 t0"].after == (by_name["extract few s0"].key,)
    assert by_name["adapt few to target s0 t0"].stage.settings["adaptation"]["exploration_latent_skills"] is None
    assert by_name["meta-train PEARL s0 t0"].after == ()


def test_a_method_that_starts_from_nothing_has_a_run_per_seed(tmp_path: Path) -> None:
    text = OWN.replace('preset = "fast"', 'preset = "fast"\nseeds = [0, 2]')
    cells = [cell for cell in read_grid(write(tmp_path, text)).cells() if "PEARL" in cell.name]
    assert [cell.stage.settings["seed"] for cell in cells if cell.stage.kind == "meta-train"] == [0, 200]


def test_a_budget_is_a_smaller_grid(tmp_path: Path) -> None:
    grid = read_grid(write(tmp_path)).within("small")
    cells = {cell.name: cell.stage for cell in grid.cells()}
    assert set(cells) == {
        *("collect s3", "extract s3", "meta-train SiMPL s3 t0", "meta-train PEARL s3 t0"),
        *("adapt SiMPL to target s3 t0", "adapt PEARL to target s3 t0"),
    }
    assert cells["meta-train SiMPL s3 t0"].settings["minutes"] == 2
    adapt = cells["adapt SiMPL to target s3 t0"].settings
    assert (adapt["agents_per_task"], adapt["adaptation"]["n_episodes"]) == (1, 40)
    short = Budget(n_episodes=50).of_tasks(GridTasks(tasks="target", settings={"n_episodes": 30}))
    assert short.settings["n_episodes"] == 30  # at most
    assert Budget(n_episodes=50).of_method(GridMethod(method="simpl")).adapt == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[budgets.small]", "[budgets.small]\nsedes = [0]"), r"\[budgets.small\] has no key sedes: expected preset"),
        (('methods = ["SiMPL", "PEARL"]', 'methods = ["Simpl"]'), "expected some of SiMPL, short, few, PEARL"),
        (("seeds = [3]", "seeds = [3, 3]"), "expected different whole numbers"),
        (("n_episodes = 40", 'n_episodes = "40"'), "n_episodes of .*'40': expected a whole number"),
        (("n_episodes = 40", 'preset = "slow"'), "slow"),
        (("meta-train = 2", "meta-train = 1.5"), r"meta-train of \[cores\] is 1.5: expected"),
        (("meta-train = 2", "learn = 1"), r"\[cores\] names learn: expected collect"),
        (("horizon = 5", "horizont = 5"), "horizont"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in OWN
    with pytest.raises(SettingsError, match=message):
        read_grid(write(tmp_path, OWN.replace(*change)))


def test_names_of_grids_and_budgets(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No grid 'fig5': expected a file, or one of additions"):
        find_grid("fig5")
    assert find_grid(str(write(tmp_path))) == tmp_path / "grid.toml"
    with pytest.raises(SettingsError, match="No budget 'tiny': expected small"):
        read_grid(write(tmp_path)).within("tiny")
    with pytest.raises(SettingsError, match="expected none, as the grid declares no"):
        read_grid(write(tmp_path, OWN.partition("[budgets")[0])).within("tiny")
