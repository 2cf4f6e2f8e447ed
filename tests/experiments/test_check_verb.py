"""``simpl-sb3 check-skills`` from a file of skills to a table, a verdict and a picture."""

import json
from pathlib import Path

import imageio.v3 as iio
import pytest

from simpl_sb3 import PRETRAINED
from simpl_sb3.experiments.cli import main

DOMAIN = str(Path(__file__).parents[1] / "own_domain_for_tests.py")
MAZE_SKILLS = str(PRETRAINED / "maze-fast" / "skills.safetensors")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path


def test_own_domain_with_its_dataset(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["collect", "--domain", DOMAIN, "--trajectories", "6", "--no-progress-bar"])
    main([*f"extract --domain {DOMAIN} --output skills --total-updates 3".split(), "--no-progress-bar"])
    command = f"check-skills skills/skills.safetensors --domain {DOMAIN} --output check --episodes 4 --no-progress-bar"
    main(command.split())
    text = capsys.readouterr().out
    record = json.loads((folder / "check" / "check.json").read_text())
    names = [row["name"] for row in record["findings"]]
    assert names[0] == "reconstruction"
    assert all(name in text for name in names)
    assert record["verdict"] in ("good", "weak", "poor")
    assert set(record["tasks"]) == {"at-3", "at+3"}
    assert (folder / "check" / "check.txt").read_text().strip() in text
    assert iio.imread(folder / "check" / "check.png").shape[2] in (3, 4)
    with pytest.raises(SystemExit):
        main(command.split())
    assert "check.txt exists: give another --output, or --overwrite." in capsys.readouterr().err.replace("\n", " ")
    main([*command.split(), "--overwrite"])


def test_without_the_dataset_the_prior_lives_all_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check-skills", MAZE_SKILLS, "--tasks", "10-9", "--episodes", "1", "--output", "check", "--no-progress-bar"])
    assert "not measured: the skills name no dataset" in capsys.readouterr().out
    assert (folder / "check" / "check.png").is_file()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("missing.safetensors", "No skills file missing.safetensors"),
        (f"{MAZE_SKILLS} --tasks goals", "No task set or task 'goals'"),
        (f"{MAZE_SKILLS} --episodes 0", "--episodes is 0"),
        (f"{MAZE_SKILLS} --dataset no/such-v0", "no Minari dataset 'no/such-v0'"),
        (f"{MAZE_SKILLS} --domain kitchen", "observations"),
    ],
)
def test_errors_are_one_line_and_write_nothing(
    flags: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["check-skills", *flags.split(), "--output", "check", "--no-progress-bar"])
    assert ending.value.code == 2
    assert said in capsys.readouterr().err
    assert not (folder / "check").exists()
