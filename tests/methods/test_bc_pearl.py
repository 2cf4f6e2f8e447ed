"""BC+PEARL: a prior cloned from demonstrations, and PEARL held to it, on the command line, in a grid and in Python."""

import json
from pathlib import Path

import pytest
import torch as th
from methods_for_tests import SMALL, collected, own_words, rows_of, same_rows

from simpl_sb3 import SkillPriorPEARL
from simpl_sb3.errors import DatasetError
from simpl_sb3.experiments.cli import main
from simpl_sb3.experiments.grid import Grid, GridMethod, GridTasks
from simpl_sb3.methods.bc_pearl import clone
from simpl_sb3.skills import ClonedActions

CLONING = ["--cloning-updates", "100", "--cloning-hidden", "8", "--cloning-batch-size", "32"]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    words = own_words("bc-pearl", tmp_path_factory.mktemp("domain"))
    collected(words)
    return words


@pytest.fixture(scope="module")
def trained(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bc-pearl") / "meta"
    main(["meta-train", *words, "--output", str(folder), "--total-timesteps", "100", *CLONING, *SMALL])
    return folder


def test_the_prior_is_the_demonstrators_and_the_domain_names_its_data(trained: Path) -> None:
    model = SkillPriorPEARL.load(trained / "model.zip", device="cpu")
    assert isinstance(model.skills, ClonedActions)
    assert model.skills.dataset_id == "own/line-v0"
    mean, _ = model.skills.prior(th.tensor([[4.0], [-4.0]]))  # to the right of the start they walk on to the right
    assert mean[0].item() > 0.3
    assert mean[1].item() < -0.3
    assert model.config.skill_kl_targets == (0.5, 2.0)
    settings = json.loads((trained / "run.json").read_text())["settings"]
    assert (settings["cloning_updates"], settings["hindsight"], settings["n_steps"]) == (100, False, 20)


def test_rows_and_determinism(words: list[str], trained: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    main(["meta-train", *words, "--output", str(again), "--total-timesteps", "100", *CLONING, *SMALL])
    paths = [tmp_path / f"{number}.csv" for number in range(2)]
    for path, folder in zip(paths, (trained, again), strict=True):
        more = ["--n-episodes", "3", "--n-exploration-episodes", "2"]
        main(["adapt", *words, "--from", str(folder / "model.zip"), "--output", str(path), *more])
    assert same_rows(*paths)
    assert [row.episode for row in rows_of(paths[0])] == [1, 2, 3]


def test_a_folder_of_a_dataset_and_none_at_all(words: list[str], tmp_path: Path) -> None:
    main(["collect", "--domain", words[words.index("--domain") + 1], "--trajectories", "4", "--output", str(tmp_path)])
    settings = {"cloning_updates": 2, "cloning_hidden": (4,)}
    model = clone(tmp_path / "own" / "line-v0", settings, seed=0, device="cpu")
    assert (model.dataset_id, model.env_id, model.horizon) == ("own/line-v0", "TestLine-v0", 1)
    with pytest.raises(DatasetError, match="no Minari dataset 'own/none-v0'"):
        clone("own/none-v0", settings, seed=0, device="cpu")


def test_in_a_grid_it_reads_what_the_grid_collected() -> None:
    methods = (GridMethod(method="bc-pearl", train={"cloning_updates": 7}),)
    cells = Grid(domain="maze", methods=methods, tasks=(GridTasks(tasks="target"),)).cells()
    collect, training, adapt = cells
    assert training.after == (collect.key,)
    assert training.stage.inputs["source"] == f"{collect.stage.output}/simpl/maze-planner-v0"
    assert training.stage.settings["training"]["cloning_updates"] == 7
    assert adapt.after == (training.key,)
