"""BC+MAML on the command line: from demonstrations to rows."""

import json
from pathlib import Path

import pytest
from methods_for_tests import collected, own_words, rows_of, same_rows

from simpl_sb3 import SkillPriorMAML
from simpl_sb3.experiments.cli import main
from simpl_sb3.experiments.grid import Grid, GridMethod, GridTasks
from simpl_sb3.skills import ClonedActions


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    words = own_words("bc-maml", tmp_path_factory.mktemp("domain"))
    collected(words)
    return words


def test_from_demonstrations_to_rows_and_the_same_again(words: list[str], tmp_path: Path) -> None:
    small = ["--net-arch", "8", "--cloning-updates", "20", "--cloning-hidden", "8", "--total-timesteps", "100"]
    paths = []
    for number in range(2):
        folder, rows = tmp_path / f"meta{number}", tmp_path / f"{number}.csv"
        main(["meta-train", *words, "--output", str(folder), *small])
        main(["adapt", *words, "--from", str(folder / "model.zip"), "--output", str(rows), "--n-episodes", "3"])
        paths.append(rows)
    assert same_rows(*paths)
    assert [(row.method, row.episode) for row in rows_of(paths[0])] == [("bc-maml", 1), ("bc-maml", 2), ("bc-maml", 3)]
    model = SkillPriorMAML.load(tmp_path / "meta0" / "model.zip", device="cpu")
    assert isinstance(model.skills, ClonedActions)
    assert model.action_space.high.tolist() == [3.0]  # drawn beyond the bounds, clipped when it acts
    trained = json.loads((tmp_path / "meta0" / "run.json").read_text())["settings"]
    assert (trained["first_order"], trained["cloning_updates"]) == (True, 20)
    adapted = json.loads(paths[0].with_suffix(".json").read_text())["settings"]
    assert adapted["learning_rate"] == trained["learning_rate"]


def test_the_switches_that_it_has_not_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for verb, flag in (("meta-train", "--hindsight"), ("meta-train", "--n-steps"), ("adapt", "--reuse-exploration")):
        with pytest.raises(SystemExit):
            main([verb, *words, "--output", "x.csv", flag, "1"])
        assert f"has no flag '{flag}'" in capsys.readouterr().err


def test_in_a_grid_it_reads_what_the_grid_collected() -> None:
    methods = (GridMethod(method="bc-maml", train={"learning_rate": 0.2}),)
    cells = Grid(domain="maze", methods=methods, tasks=(GridTasks(tasks="target"),)).cells()
    collect, training, adapt = cells
    assert (training.after, adapt.after) == ((collect.key,), (training.key,))
    assert training.stage.settings["training"]["learning_rate"] == 0.2
    assert "learning_rate" not in adapt.stage.settings["adaptation"]  # the model's
