"""Methods are records: found by name, by file and by module, and light to import."""

import subprocess
import sys
from pathlib import Path

import pytest

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.grid_file import read_grid
from simpl_sb3.methods import METHODS, Method, find_method, trained_as

OWN = """
from simpl_sb3.methods import Method

def adapt(source, settings, make_env, device):
    raise NotImplementedError

METHOD = Method(name="own", label="Own", colour="#123456", adapt=adapt, needs="nothing")
"""


def test_the_table_names_its_methods() -> None:
    assert list(METHODS) == [
        "simpl",
        "spirl",
        "pearl",
        "pearl-ft",
        "bc-pearl",
        "mtrl",
        "bc-maml",
        "sac",
        "sac-her",
        "rl2",
    ]
    assert all(method.name == name and method.colour.startswith("#") for name, method in METHODS.items())
    assert {name: method.needs for name, method in METHODS.items()} == {
        "simpl": "meta-model",
        "spirl": "skills",
        "pearl": "meta-model",
        "pearl-ft": "meta-model",
        "bc-pearl": "meta-model",
        "mtrl": "meta-model",
        "bc-maml": "meta-model",
        "sac": "nothing",
        "sac-her": "meta-model",
        "rl2": "meta-model",
    }


def test_unknown_methods_are_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(
        SettingsError, match=r"No method 'ppo': expected one of simpl, spirl, pearl, .*sac, .*module:NAME"
    ):
        find_method("ppo")
    with pytest.raises(SettingsError, match="it cannot be imported"):
        find_method("no_such_module:METHOD")
    with pytest.raises(SettingsError, match="no such file"):
        find_method("missing.py")
    with pytest.raises(SettingsError, match=r"SPIRAL is not in simpl_sb3\.methods, expected one of"):
        find_method("simpl_sb3.methods:SPIRAL")
    with pytest.raises(SettingsError, match="is a dict: expected a Method"):
        find_method("simpl_sb3.methods:METHODS")


def test_a_method_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_method.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    found = find_method("own_method.py")
    assert isinstance(found, Method)
    assert (found.name, found.preset_section) == ("own", "own")
    assert find_method("own_method.py:METHOD") is found
    assert find_method(str(tmp_path / "own_method.py")) is found
    assert find_method("own_method:METHOD").name == "own"
    two = OWN + "OTHER = Method(name='other', label='', colour='', adapt=adapt)\n"
    (tmp_path / "two.py").write_text(two.replace("METHOD =", "ONE ="))
    with pytest.raises(SettingsError, match=r"holds 2 Method records \(ONE, OTHER\): expected two.py:NAME"):
        find_method("two.py")
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(SettingsError, match=r"broken\.py cannot be executed: ZeroDivisionError"):
        find_method("broken.py")


def test_only_what_trains_can_be_trained() -> None:
    METHODS["simpl"].check_trains()
    with pytest.raises(SettingsError, match="Method spirl has no meta-training"):
        METHODS["spirl"].check_trains()
    with pytest.raises(SettingsError, match="without commas"):
        Method(name="a,b", label="", colour="", adapt="x:y")


def test_every_method_stands_in_a_grid_file(tmp_path: Path) -> None:
    lines = ['domain = "maze"', 'preset = "fast"', "[[tasks]]", 'tasks = "target"', "settings = { n_episodes = 20 }"]
    lines += [f'[[methods]]\nmethod = "{name}"' for name in METHODS]
    (tmp_path / "grid.toml").write_text("\n".join(lines))
    cells = read_grid(tmp_path / "grid.toml").cells()
    adapted = {cell.stage.settings["method"]: cell.stage for cell in cells if cell.stage.kind == "adapt"}
    assert list(adapted) == list(METHODS)
    assert adapted["sac"].inputs == {}
    assert adapted["sac"].settings["adaptation"]["train_freq"] == 16
    trained = {cell.stage.settings["method"] for cell in cells if cell.stage.kind == "meta-train"}
    assert trained == {trained_as(name) for name, method in METHODS.items() if method.train is not None}
    (tmp_path / "grid.toml").write_text("\n".join(lines).replace("maze", "kitchen"))
    with pytest.raises(SettingsError, match="sac-her is shown the goal, and the domain kitchen"):
        read_grid(tmp_path / "grid.toml")


def test_methods_load_without_torch() -> None:
    code = (
        "import sys, simpl_sb3.methods; print([name for name in ('torch', 'stable_baselines3') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
