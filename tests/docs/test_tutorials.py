"""Every tutorial is executed, in a short form; what a page includes is there."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from blocks_for_tests import ROOT

from simpl_sb3 import PRETRAINED, SkillPriorPEARL
from simpl_sb3.experiments.cli import main as simpl_sb3
from simpl_sb3.results.rows import read_results

TUTORIALS = ROOT / "docs" / "tutorials"
SKILLS = PRETRAINED / "maze-fast" / "skills.safetensors"
OWN_DOMAIN = ROOT / "tests" / "own_domain_for_tests.py"
MAX_LINES = 100


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TUTORIALS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_tutorial_is_tested_and_short() -> None:
    scripts = list(TUTORIALS.glob("*.py"))
    assert {path.stem for path in scripts} == {"own_maze", "own_robot", "judge_skills", "new_baseline"}
    assert max(len(path.read_text().splitlines()) for path in scripts) <= MAX_LINES


def test_every_tutorial_has_a_page() -> None:
    listed = re.search(r"```{toctree}\n.*?\n\n(.*?)```", (TUTORIALS / "index.md").read_text(), re.DOTALL)
    assert listed is not None
    assert {f"{name}.md" for name in listed[1].split()} == {path.name for path in TUTORIALS.glob("*.md")} - {"index.md"}


def test_own_maze(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tutorial = load("own_maze")
    monkeypatch.setattr(tutorial, "EPISODE", 30)
    tutorial.main(trajectories=6, updates=2, timesteps=1, gradient_steps=1, episodes=3)
    assert "unseen goals: first 3 episodes" in capsys.readouterr().out
    assert len(SkillPriorPEARL.load(folder / "own_maze" / "model.zip").task_names) == len(tutorial.TRAIN)


def test_judge_skills(capsys: pytest.CaptureFixture[str]) -> None:
    load("judge_skills").main(tasks="10-9", temperatures=(1.0, 0.5), episodes=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("temperature  1.0: an episode reaches a task with probability")


def test_new_baseline_goes_back_where_it_was_rewarded(folder: Path) -> None:
    from simpl_sb3.experiments.flags import parse
    from simpl_sb3.experiments.verbs import VERBS

    method = str(TUTORIALS / "new_baseline.py")
    flags = ["--method", method, "--from", str(SKILLS), "--output", "rows.csv", "--tasks", "9-10", "--n-episodes", "4"]
    parse(VERBS["adapt"], "adapt", flags)
    simpl_sb3(["adapt", *flags, "--no-progress-bar"])
    (file,) = read_results(folder / "rows.csv")
    assert [(row.method, row.episode) for row in file.rows] == [("go-back", episode) for episode in (1, 2, 3, 4)]


def test_own_robot_runs_every_stage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"trajectories": 4, "updates": 2, "minutes": 1e-4, "episodes": 2, "check_episodes": 2}
    load("own_robot").main(output=Path("fetch"), domain=OWN_DOMAIN, **small)
    made = {path.name for path in (folder / "fetch").iterdir()}
    assert {"skills", "check", "meta", "report", "simpl.csv", "spirl.csv"} <= made
    assert "meta-training" in capsys.readouterr().out
