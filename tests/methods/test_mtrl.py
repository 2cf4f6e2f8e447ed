"""MTRL on the command line and in a grid."""

import json
from pathlib import Path

import pytest
from methods_for_tests import own_words, rows_of, same_rows

from simpl_sb3.experiments.cli import main
from simpl_sb3.experiments.grid import Grid, GridMethod, GridTasks
from simpl_sb3.skills import SkillModel


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return own_words("mtrl", tmp_path_factory.mktemp("domain"))


@pytest.fixture(scope="module")
def skills(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gymnasium.spaces import Box

    path = tmp_path_factory.mktemp("skills") / "skills.safetensors"
    sizes = {"encoder_hidden": (4,), "decoder_hidden": (4,), "prior_hidden": (4,)}
    SkillModel(Box(-20.0, 20.0, (1,)), Box(-1.0, 1.0, (1,)), horizon=4, skill_dim=2, **sizes).save(path)
    return path


def test_from_skills_to_rows_and_the_same_again(words: list[str], skills: Path, tmp_path: Path) -> None:
    small = ["--net-arch", "8", "--batch-size", "8", "--gradient-steps", "2", "--total-timesteps", "30"]
    paths = []
    for number in range(2):
        folder, rows = tmp_path / f"meta{number}", tmp_path / f"{number}.csv"
        main(["meta-train", *words, "--skills", str(skills), "--output", str(folder), *small])
        more = ["--n-episodes", "3", "--batch-size", "8"]
        main(["adapt", *words, "--from", str(folder / "model.zip"), "--output", str(rows), *more])
        paths.append(rows)
    assert same_rows(*paths)
    assert {row.method for row in rows_of(paths[0])} == {"mtrl"}
    assert [row.episode for row in rows_of(paths[0])] == [1, 2, 3]
    trained = json.loads((tmp_path / "meta0" / "run.json").read_text())["settings"]
    assert (trained["hindsight"], trained["gradient_steps"], trained["net_arch"]) == (True, 2, [8])


def test_what_it_does_not_use_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for verb, flag in (("meta-train", "--context-sizes"), ("adapt", "--reuse-exploration")):
        with pytest.raises(SystemExit):
            main([verb, *words, "--output", "x.csv", flag, "1"])
        assert flag in capsys.readouterr().err


def test_in_a_grid_it_starts_from_skills_and_takes_the_switches() -> None:
    entry = GridMethod(method="mtrl", train={"hindsight": False, "n_steps": 1, "learning_rate": 3e-4})
    cells = Grid(domain="maze", preset="fast", methods=(entry,), tasks=(GridTasks(tasks="target"),)).cells()
    _, skills, training, adapt = cells
    assert (training.after, adapt.after) == ((skills.key,), (training.key,))
    asked = training.stage.settings["training"]
    assert (asked["hindsight"], asked["n_steps"], asked["learning_rate"]) == (False, 1, 3e-4)
    assert adapt.stage.settings["adaptation"]["skill_kl_target"] == 1.0  # SPiRL's, of the preset
