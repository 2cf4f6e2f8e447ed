"""PEARL-ft: PEARL's meta-model, and agents that go on learning."""

import json
from pathlib import Path

import pytest
import torch as th
from methods_for_tests import SMALL, own_words, rows_of, same_rows

from simpl_sb3 import SkillPriorPEARL
from simpl_sb3.experiments.cli import main
from simpl_sb3.experiments.grid import Grid, GridMethod, GridTasks
from simpl_sb3.experiments.stages import Experiment, meta_train_stage
from simpl_sb3.methods import METHODS, trained_as
from simpl_sb3.skills.vec_env import make_skill_vec_env

ADAPT = ["--n-episodes", "4", "--n-exploration-episodes", "2", "--batch-size", "8"]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return own_words("pearl-ft", tmp_path_factory.mktemp("domain"))


@pytest.fixture(scope="module")
def trained(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pearl-ft") / "meta"
    main(["meta-train", *words, "--output", str(folder), "--total-timesteps", "100", *SMALL])
    return folder / "model.zip"


def test_rows_are_its_own_and_the_same_again(words: list[str], trained: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.csv" for number in range(2)]
    for path in paths:
        main(["adapt", *words, "--from", str(trained), "--output", str(path), *ADAPT])
    assert same_rows(*paths)
    assert {row.method for row in rows_of(paths[0])} == {"pearl-ft"}
    settings = json.loads(paths[0].with_suffix(".json").read_text())["settings"]
    assert (settings["gradient_steps"], settings["reuse_exploration"], settings["n_steps"]) == (1, False, 20)


def test_it_learns_where_pearl_only_infers(words: list[str], trained: Path) -> None:
    meta = SkillPriorPEARL.load(trained, device="cpu")
    changed = {}
    for name in ("pearl", "pearl-ft"):
        env = make_skill_vec_env("TestLine-v0", meta.skills, n_envs=1)
        settings = METHODS[name].settings_class()(n_episodes=3, n_exploration_episodes=1, batch_size=8)
        (agent,) = meta.adapt_tasks(env, env.get_attr("test_tasks")[0], seed=0, **settings.as_dict())
        changed[name] = not th.equal(agent.policy.actor.weights[0], meta.policy.actor.weights[0])
    assert changed == {"pearl": False, "pearl-ft": True}


def test_one_meta_training_serves_both() -> None:
    assert trained_as("pearl-ft") == trained_as("simpl_sb3.methods.pearl:PEARL") == "pearl"
    assert [trained_as(name) for name in ("simpl", "bc-pearl")] == ["simpl", "bc-pearl"]
    stages = [meta_train_stage(Experiment.find("maze"), None, "", method=name) for name in ("pearl", "pearl-ft")]
    assert stages[0].key == stages[1].key
    methods = (GridMethod(method="pearl"), GridMethod(method="pearl-ft"))
    cells = Grid(domain="maze", methods=methods, tasks=(GridTasks(tasks="target"),)).cells()
    assert [cell.stage.kind for cell in cells] == ["meta-train", "adapt", "adapt"]
    assert [cell.after for cell in cells] == [(), (cells[0].key,), (cells[0].key,)]


def test_networks_are_the_models(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["adapt", *words, "--from", "model.zip", "--output", "x.csv", "--net-arch", "8"])
    assert "--net-arch is a setting that the method pearl-ft does not use" in capsys.readouterr().err
