"""Every example is executed, with small arguments, in a folder of its own."""

import importlib.util
from pathlib import Path
from types import ModuleType

import imageio.v3 as iio
import pytest

from simpl_sb3 import SkillPriorPEARL

pytestmark = pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")  # SB3's progress bar
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"own_env", "stock_algorithm", "adapt_unseen_goal"}


def test_own_env(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("own_env").main(updates=3, timesteps=1, episodes=6)
    assert "Unseen tasks solved" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["own_env"]
    assert len(SkillPriorPEARL.load(folder / "own_env" / "model.zip").task_names) == 12


@pytest.mark.slow
def test_own_env_learns(capsys: pytest.CaptureFixture[str]) -> None:
    load("own_env").main()
    last = capsys.readouterr().out.splitlines()[-1]
    assert int(last.rsplit(" ", 1)[1].rstrip("%")) >= 70, last


@pytest.mark.parametrize("algorithm", ["SAC", "TQC"])
def test_stock_algorithm(algorithm: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("stock_algorithm").main(algorithm=algorithm, timesteps=4)
    assert f"{algorithm} after 4 skills" in capsys.readouterr().out
    assert not list(folder.iterdir())


def test_adapt_unseen_goal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("adapt_unseen_goal").main(episodes=2, exploring=2)
    text = capsys.readouterr().out
    assert "Goal 12-7: reached in " in text
    assert text.count("episode ") >= 2
    picture = iio.imread(folder / "adapted.png")
    assert picture.shape[2] == 3
    assert picture.shape[1] > 2 * picture.shape[0]
    assert [path.name for path in folder.iterdir()] == ["adapted.png"]
