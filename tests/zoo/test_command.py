"""``python -m simpl_sb3.zoo``, and the zoo's own command; what trains needs rl_zoo3 and runs with ``make zoo``."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from algorithms_for_tests import make

from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import SettingsError
from simpl_sb3.zoo.command import ALGORITHMS, Entry, run, with_hyperparams

MAZE = ["--env", "SimplMazeSkills-v0"]
SHORT = ["--seed", "0", "--eval-freq", "-1", "-f", "logs"]
ZOO = importlib.util.find_spec("rl_zoo3") is not None
needs_zoo = pytest.mark.skipif(not ZOO, reason="the extra zoo is not installed")
patient = pytest.mark.timeout(1_800)
"""Against what stands still: on a busy machine each command takes a minute to import all that the zoo imports."""


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (["train", "--algo", "spirl", *MAZE], ["-conf", "simpl_sb3.zoo.spirl"]),
        (["train", *MAZE], ["-conf", "simpl_sb3.zoo.ppo"]),
        (["train", "--algo", "sac", *MAZE, "--conf-file", "own.yml"], []),
        (["train", "--algo", "sac", *MAZE, "-conf", "own.yml"], []),
        (["train", "--algo", "dqn", *MAZE], []),
        (["train", "--algo", "sac", "--env", "Pendulum-v1"], []),
        (["enjoy", "--algo", "spirl", *MAZE], []),
    ],
)
def test_hyperparameters_are_found(given: list[str], added: list[str]) -> None:
    assert with_hyperparams(given) == [*given, *added]


def test_an_entry_makes_and_loads(tmp_path: Path) -> None:
    model = make(SkillPriorSAC)
    model.save(tmp_path / "model.zip")
    entry = Entry(SkillPriorSAC)
    loaded = entry.load(tmp_path / "model.zip", custom_objects={"learning_rate": 0.0}, device="cpu")
    assert loaded.config == model.config
    assert isinstance(entry(env=model.get_env(), batch_size=4), SkillPriorSAC)
    assert set(ALGORITHMS) == {"spirl", "simpl"}


@pytest.mark.parametrize("arguments", [[], ["all_plots"], ["--help"]])
def test_other_scripts_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SettingsError, match="expected one of train, enjoy"):
        run(arguments)


@pytest.mark.skipif(ZOO, reason="the extra zoo is installed")
def test_without_the_zoo() -> None:
    with pytest.raises(SettingsError, match=r"pip install 'simpl-sb3\[zoo\]'"):
        run(["train", "--algo", "spirl", *MAZE])


# ------------------------------------------------------------ with the zoo


def python(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.zoo
@needs_zoo
@patient
@pytest.mark.parametrize("algo", ["sac", "tqc", "ppo"])
def test_sb3s_algorithms_train_by_the_zoos_own_command(algo: str, tmp_path: Path) -> None:
    common = ["--algo", algo, *MAZE, "--gym-packages", "simpl_sb3.zoo"]
    less = ["n_envs:1", "n_steps:32", "batch_size:32"] if algo == "ppo" else ["learning_starts:10", "batch_size:8"]
    conf = ["-conf", f"simpl_sb3.zoo.{algo}"]
    python(tmp_path, "rl_zoo3.train", *common, *conf, *SHORT, "-n", "60", "-params", *less)
    assert (tmp_path / "logs" / algo / "SimplMazeSkills-v0_1" / "SimplMazeSkills-v0.zip").is_file()
    said = python(tmp_path, "rl_zoo3.enjoy", *common, "-f", "logs", "--no-render", "-n", "20", "--exp-id", "1")
    assert "Loading" in said


@pytest.mark.zoo
@needs_zoo
@patient
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_ours_train_by_the_same_command(algo: str, tmp_path: Path) -> None:
    less = {"spirl": ["batch_size:8"], "simpl": ["n_envs:2", "gradient_steps:1"]}[algo]
    task = ["--env-kwargs", "task:'12-7'"] if algo == "spirl" else []
    common = ["simpl_sb3.zoo", "train", "--algo", algo, *MAZE, *SHORT]
    python(tmp_path, *common, "-n", "30", "-params", *less, *task)
    file = tmp_path / "logs" / algo / "SimplMazeSkills-v0_1" / "SimplMazeSkills-v0.zip"
    assert ALGORITHMS[algo].algorithm.load(file, device="cpu").num_timesteps >= 30
    enjoy = ["simpl_sb3.zoo", "enjoy", "--algo", algo, *MAZE, "-f", "logs", "--no-render", "-n", "20", "--exp-id", "1"]
    assert "Loading" in python(tmp_path, *enjoy)
    going_on = ["--trained-agent", str(file), "-params", *less]
    python(tmp_path, *common, "-n", "5", *going_on)
