"""The command ``simpl-sb3``: help, one line per error, and every verb once, from demonstrations to a report."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kitchen_data_for_tests import MINARI_ID, d4rl_arrays, write_hdf5, write_minari_kitchen

import simpl_sb3
from simpl_envs import KITCHEN_TASK_SETS
from simpl_envs.kitchen.tasks import completed_subtasks
from simpl_sb3 import PRETRAINED, AdaptationSettings, SkillModel, SkillPriorPEARL, load_minari
from simpl_sb3.algorithms.settings import MetaTrainingSettings
from simpl_sb3.experiments.cli import main
from simpl_sb3.experiments.flags import parse
from simpl_sb3.experiments.verbs import VERBS
from simpl_sb3.methods import METHODS
from simpl_sb3.results.rows import read_results
from simpl_sb3.settings import Settings
from simpl_sb3.skills.settings import ExtractionSettings, SkillModelSettings

MODEL = str(PRETRAINED / "maze-fast" / "model.zip")
SKILLS = str(PRETRAINED / "maze-fast" / "skills.safetensors")


def run(*arguments: object) -> int | str | None:
    """:return: the exit code"""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ending:
        return ending.code
    return 0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ------------------------------------------------------------ help


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert set(VERBS) > {"collect", "extract", "check-skills", "meta-train", "adapt", "report", "demo", "experiment"}
    assert all(verb in text for verb in VERBS)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("play", "push")])  # write nothing
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verb, "--help") == 0
    text = capsys.readouterr().out
    assert ("--output" in text, "--overwrite" in text) == (True, verb != "experiment")  # which goes on
    assert ("--seed" in text) == (verb not in ("convert", "report", "experiment"))
    assert ("--device" in text) == (verb not in ("collect", "convert", "check-skills", "report"))


@pytest.mark.parametrize(
    ("command", "records"),
    [
        ("extract", (SkillModelSettings, ExtractionSettings)),
        ("meta-train", (MetaTrainingSettings,)),
        ("adapt --method spirl", (AdaptationSettings,)),
    ],
)
def test_every_setting_is_a_flag_with_its_default(
    command: str, records: tuple[type[Settings], ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command.split(), "--help") == 0
    text = capsys.readouterr().out
    for record in records:
        for name in record.names():
            if name not in METHODS["spirl"].unused or "adapt" not in command:
                assert f"--{name.replace('_', '-')} " in text.replace(",", " ") + " ", name
    assert "(default:" in text
    assert "--exploration-spread" not in text or command == "meta-train"


@pytest.mark.parametrize(
    ("verb", "record", "given"),
    [
        ("meta-train", MetaTrainingSettings, ["--skills", "x", "--output", "y"]),
        ("adapt", AdaptationSettings, ["--from", "x", "--output", "y"]),
        ("extract", ExtractionSettings, ["--output", "y"]),
    ],
)
def test_a_switch_that_is_given_counts_whatever_its_default(
    verb: str, record: type[Settings], given: list[str]
) -> None:
    """``--name``, ``--no-name``, ``--set name=true`` and ``--set name=false``, of every setting that is a bool."""
    for name in (name for name, value in record().as_dict().items() if isinstance(value, bool)):
        for value in (True, False):
            for words in ([f"--{'' if value else 'no_'}{name}"], ["--set", f"{name}={str(value).lower()}"]):
                *_, found = parse(VERBS[verb], verb, [*given, *words])
                assert found == {name: value}, words


def test_defaults_are_those_of_preset_and_domain(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*arguments: str) -> str:
        assert run(*arguments, "--help") == 0
        return " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())

    assert "first update (default: 0.002)" in shown("extract")
    assert "first update (default: 0.001)" in shown("extract", "--preset", "kitchen-paper")
    assert "--pushes FLOAT" in shown("collect", "--domain", "kitchen")
    assert "--pushes FLOAT" not in shown("collect")
    assert "--max-steps INT" in shown("convert")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"simpl-sb3 {simpl_sb3.__version__}\n"


def test_help_comes_without_torch() -> None:
    code = (
        "import sys\nfrom simpl_sb3.experiments.cli import main\n"
        "try:\n    main(['meta-train', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'stable_baselines3', 'mujoco', 'minari') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_python_m() -> None:
    command = [sys.executable, "-m", "simpl_sb3", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "meta-train" in result.stdout


# ------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "arguments",
    [
        ["collect", "--trajectorys", "3"],
        ["collect", "--trajectories", "many"],
        ["report", "rows", "--seed", "3"],
        ["convert"],
        ["extract"],
        ["adapt", "--from", MODEL, "--output", "rows.csv", "--method", "sac"],
        ["practise"],
        [],
    ],
    ids=lambda arguments: " ".join(arguments).replace(MODEL, "model.zip"),
)
def test_unknown_flags_are_refused(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert not list(folder.iterdir())


ERRORS = {
    "": "A verb is missing: expected one of collect",
    "practise": "No verb 'practise': expected one of collect",
    "collect --trajectories 0": "--trajectories is 0: expected at least 1",
    "collect --noise -1 --output data": "--noise is -1.0: expected at least 0",
    "collect --dataset nonsense/ --output data": "dataset id is 'nonsense/'",
    "collect --preset maze": "No preset 'maze': expected one of",
    "collect --domain maize": "No domain 'maize': expected one of kitchen, maze",
    "collect --domain kitchen --preset maze-fast": "is for the domain maze, not for kitchen: expected one of default",
    "collect --env gravity=2": "SimplMaze-v0",
    "collect --env physics": "expected NAME=VALUE",
    "collect --seed -1": "--seed is -1: expected at least 0",
    "collect --pushes 0.1": "'--pushes'",
    "convert no/such-v0 --output data": "expected an HDF5 file of D4RL, or what `minari download",
    "convert missing.hdf5 --output data": "missing.hdf5: cannot be read as HDF5",
    "convert missing.hdf5 --max-steps 0": "--max-steps is 0: expected at least 1",
    "convert missing.hdf5 --domain maze": "The domain maze converts no demonstrations: expected one of kitchen",
    "extract --output skills --dataset no/such-v0": "no Minari dataset 'no/such-v0'",
    "extract --output skills --set horizen=3": "expected NAME=VALUE with one of the names horizon",
    "extract --output skills --set horizon=long": "--horizon: invalid",
    "extract --output skills --horizon long": "--horizon: invalid",
    "extract --output skills --total-updates 0": "--total-updates is 0",
    "extract --output skills --prior-temperature nan": "--prior-temperature is nan: expected",
    "extract --output skills --gamma 0.9": "no flag '--gamma'",
    f"meta-train --skills {SKILLS} --output model --train-tasks train-41": "No task set or task 'train-41'",
    f"meta-train --skills {SKILLS} --output model --set seed=1": "expected NAME=VALUE",
    f"meta-train --skills {SKILLS} --output model --device tpx": "device is 'tpx': expected auto, cpu, cuda",
    f"meta-train --skills {SKILLS} --output model --n-envs 0": "--n-envs is 0",
    f"meta-train --skills {SKILLS} --output model --minutes -1": "--minutes is -1.0: expected above 0",
    f"meta-train --skills {SKILLS} --output model --minutes inf": "--minutes is inf",
    f"meta-train --skills {SKILLS} --output model --method spirl": "Method spirl has no meta-training",
    "meta-train --output model": "Method simpl starts from skills: expected its file or id (--from,",
    "collect --seed 1e+30": "1e+30",
    "meta-train --skills missing.safetensors --output model": "missing.safetensors",
    f"meta-train --skills {MODEL} --output model": "model.zip",
    "adapt --from missing.zip --output rows.csv": "No model file missing.zip",
    f"adapt --from {SKILLS} --output rows.csv": "This is a file of skills",
    f"adapt --from {MODEL} --output rows.txt": "ends in .csv",
    f"adapt --from {MODEL} --output rows.csv --tasks goals": "No task set or task 'goals'",
    f"adapt --from {MODEL} --output rows.csv --tasks 12-7,99-99": "'99-99'",
    f"adapt --from {MODEL} --output rows.csv --tasks random:1000:0": "Asked for 1000 goals",
    f"adapt --from {MODEL} --output rows.csv --agents-per-task 0": "--agents-per-task is 0",
    f"adapt --from {MODEL} --output rows.csv --method ppo": "No method 'ppo': expected one of simpl, spirl",
    f"adapt --from {MODEL} --output rows.csv --variant \udcf6": "is no UTF-8",
    f"adapt --from {MODEL} --output rows.csv --set n_episodes=3": "20 exploring episodes of 3",
    f"adapt --from {MODEL} --output rows.csv --set exploration=wild": "expected one of prior, aggregate, posterior",
    f"adapt --from {MODEL} --output rows.csv --tau nan": "--tau is nan",
    f"adapt --from {MODEL} --output rows.csv --net-arch 8": "a setting that the method simpl does not use",
    f"adapt --from {SKILLS} --method spirl --output rows.csv --context-size 8": "the method spirl does not use",
    f"adapt --from {MODEL} --output rows.csv --n-episode 40": "did you mean '--n-episodes'",
    "report missing.csv": "missing.csv",
    "report .": ". holds no results",
}


@pytest.mark.parametrize("command", ERRORS, ids=lambda command: command.replace(str(PRETRAINED), "pretrained"))
def test_errors_are_one_line_and_leave_nothing(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command.split()) == 2
    output, error = capsys.readouterr()
    assert error.startswith("simpl-sb3: ")
    assert error.count("\n") == 1
    assert ERRORS[command] in error
    assert not output
    assert not list(folder.rglob("*"))


def test_what_stands_there_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "kept").mkdir()
    for name in ("rows.csv", "note.txt"):
        (folder / "kept" / name).write_text("mine")
    commands = (
        "extract --output kept",
        f"meta-train --skills {SKILLS} --output kept",
        f"adapt --from {MODEL} --output kept/rows.csv",
        "report kept/rows.csv --output kept",
        "demo --output kept",
    )
    for command in commands:
        assert run(*command.split()) == 2
        assert "exists" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in (folder / "kept").iterdir()} == {
        "rows.csv": "mine",
        "note.txt": "mine",
    }


def test_a_corrupt_model_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.zip").write_bytes(Path(MODEL).read_bytes()[:10_000])
    assert run("adapt", "--from", "model.zip", "--output", "rows.csv") == 2
    assert "model.zip is not a saved SkillPriorPEARL" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["model.zip"]


def test_outputs_that_cannot_be_written_are_refused_before_the_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").touch()
    (folder / "x.csv").mkdir()
    for command in (
        "collect --trajectories 1 --output file/data",
        "extract --output file/skills",
        f"meta-train --skills {SKILLS} --output file/model",
        f"adapt --from {MODEL} --output file/rows.csv",
        f"adapt --from {MODEL} --output x.csv --overwrite",
        "demo --output file/demo",
    ):
        assert run(*command.split()) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert sorted(path.name for path in folder.rglob("*")) == ["file", "x.csv"]


# ------------------------------------------------------------ the kitchen's demonstrations

SMALL = [word for name in ("encoder", "decoder", "prior") for word in ("--set", f"{name}_hidden=[16,16]")]


@pytest.fixture
def human_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of datasets that holds human demonstrations as Minari has them, and nothing else."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder / "data"))
    write_minari_kitchen([15, 30])
    return folder


def test_both_layouts_are_converted(human_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_hdf5(human_data / "kitchen.hdf5", d4rl_arrays(60, terminals=[29]))
    assert run("convert", MINARI_ID) == 0
    assert run("convert", "kitchen.hdf5", "--dataset", "own/kitchen-v0", "--max-steps", 20, "--no-progress-bar") == 0
    assert "data/own/kitchen-v0" in capsys.readouterr().out
    assert load_minari("simpl/kitchen-human-v0", horizon=10).observation_space.shape == (60,)
    assert load_minari("own/kitchen-v0", horizon=1).n_episodes == 4  # 20 + 9 env steps, twice
    assert run("convert", MINARI_ID) == 2
    assert "exists" in capsys.readouterr().err
    assert run("convert", MINARI_ID, "--overwrite") == 0


def test_converted_into_another_folder(human_data: Path) -> None:
    assert run("convert", MINARI_ID, "--output", "elsewhere") == 0
    assert not (human_data / "data" / "simpl").exists()
    assert load_minari("simpl/kitchen-human-v0", horizon=10, root=human_data / "elsewhere").n_episodes == 2


def test_what_cannot_be_converted_leaves_nothing(human_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_hdf5(human_data / "other.hdf5", {**d4rl_arrays(20, [19]), "actions": np.zeros((20, 8))})
    before = sorted(human_data.rglob("*"))
    for command, message in (
        ("convert other.hdf5 --output elsewhere", "other.hdf5: rows of shapes {'actions': (8,)}"),
        (f"convert {MINARI_ID} --output elsewhere --dataset nonsense/", "dataset id is 'nonsense/'"),
    ):
        assert run(*command.split()) == 2
        output, error = capsys.readouterr()
        assert message in error
        assert (output, error.count("\n")) == ("", 1)
        assert sorted(human_data.rglob("*")) == before


def test_skills_of_unconverted_data_are_refused(human_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the very command that the refusal names converts it."""
    extract = ("extract", "--preset", "kitchen-fast", "--output", "skills", "--total-updates", 2, "--device", "cpu")
    quiet = (*SMALL, "--no-progress-bar")
    for key in ((), ("--observation-key", "observation")):
        assert run(*extract, "--dataset", MINARI_ID, *key, *quiet) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "observations of 59 numbers" in error
    assert not (human_data / "skills").exists()
    command = re.search("`simpl-sb3 (convert .*)`, and extract from (.*)", error)
    assert command
    assert run(*command[1].split()) == 0
    assert run(*extract, "--dataset", command[2], *quiet) == 0
    assert SkillModel.load(human_data / "skills" / "skills.safetensors").observation_space.shape == (60,)


def test_a_preset_and_a_dataset_of_different_environments(human_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("convert", MINARI_ID)
    assert run("extract", "--dataset", "simpl/kitchen-human-v0", "--output", "skills") == 2
    expected = "was made for SimplKitchen-v0, the domain maze is for SimplMaze-v0: expected --domain kitchen"
    assert expected in capsys.readouterr().err
    assert not (human_data / "skills").exists()


def test_collect_in_the_kitchen(folder: Path) -> None:
    """Without any target task's order, and equal to the bit for equal seeds."""
    collect = ("collect", "--preset", "kitchen-fast", "--output", "data", "--no-progress-bar")
    assert run(*collect, "--trajectories", 2) == 0
    assert run(*collect, "--trajectories", 1, "--dataset", "own/again-v0", "--seed", 0) == 0
    assert run(*collect, "--trajectories", 1, "--dataset", "own/other-v0", "--seed", 1) == 0
    shown, again, other = (
        load_minari(name, horizon=10, root=folder / "data")
        for name in ("simpl/kitchen-scripted-v0", "own/again-v0", "own/other-v0")
    )
    assert (shown.n_episodes, shown.observation_space.shape, shown.action_space.shape) == (2, (60,), (9,))
    targets = {task.subtasks for task in KITCHEN_TASK_SETS["target"]}
    for index in range(2):
        complete = completed_subtasks(shown.episode(index).observations)
        order = sorted(np.flatnonzero(complete.any(axis=0)).tolist(), key=lambda k: complete[:, k].argmax())
        assert len(order) == 4
        assert tuple(order) not in targets
    for name in ("observations", "actions"):
        first = getattr(shown.episode(0), name)
        np.testing.assert_array_equal(first, getattr(again.episode(0), name))
        assert not np.array_equal(first[:10], getattr(other.episode(0), name)[:10])


# ------------------------------------------------------------ from demonstrations to a report


def test_every_verb_once(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = ("--no-progress-bar", "--seed", 1)
    assert run("collect", "--trajectories", 40, "--output", "data", *quiet) == 0
    assert run("collect", "--trajectories", 40, "--output", "data", *quiet) == 2  # it is there
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder / "data"))
    assert run("extract", "--output", "skills", "--total-updates", 20, "--device", "cpu", *SMALL, *quiet) == 0
    assert SkillModel.load(folder / "skills" / "skills.safetensors").horizon == 10

    skills = ("--skills", "skills/skills.safetensors", "--output", "model", "--device", "cpu")
    small = ["--set", "gradient_steps=2", "--set", "batch_size=8", "--set", "net_arch=[16]"]
    assert (
        run("meta-train", *skills, "--train-tasks", "easy", "--total-timesteps", 2100, "--n-envs", 5, *small, *quiet)
        == 0
    )
    assert len(SkillPriorPEARL.load(folder / "model" / "model.zip").task_names) == 5
    assert {"model.zip", "run.json", "progress.csv"} <= {path.name for path in (folder / "model").iterdir()}
    for stage, part in (("extract", "skills"), ("meta-train", "model")):
        record = (folder / part / "run.json").read_text()
        assert json.loads(record)["stage"] == stage
        assert json.loads(record)["state"] == "finished"
        assert str(folder) not in record

    cheap = ["--n-episodes", 2, "--train-freq", 50, "--set", "batch_size=8"]
    explore = ["--n-exploration-episodes", 1, "--set", "initial_updates=1"]
    common = ("--tasks", "random:2:0", "--device", "cpu", *cheap, *quiet)
    assert run("adapt", "--from", "model/model.zip", "--output", "rows/simpl.csv", *explore, *common) == 0
    spirl = ("--from", "skills/skills.safetensors", "--method", "spirl", "--output", "rows/spirl.csv")
    assert run("adapt", *spirl, *common) == 0
    for file in read_results(folder / "rows"):
        assert [(row.episode, row.seed, row.task_set) for row in file.rows].count((2, 1, "random-2-0")) == 2

    capsys.readouterr()
    assert run("report", "rows", "--output", "report", "--progress", "model/progress.csv") == 0
    assert "report/index.html" in capsys.readouterr().out
    assert list((folder / "report" / "figures").glob("*.png"))
