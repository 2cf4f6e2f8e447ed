"""What a stage reads is looked for before torch is imported; help and errors are quick."""

import subprocess
import sys
from pathlib import Path

import pytest

from simpl_sb3.errors import DatasetError, ModelFileError
from simpl_sb3.experiments.stages import Experiment, adapt_stage, check_inputs, extract_stage, meta_train_stage

MAZE = Experiment.find("maze")
HEAVY = ("torch", "stable_baselines3", "mujoco")
RUN = """
import sys
from simpl_sb3.experiments.cli import main
try:
    main({arguments})
except SystemExit as ending:
    code = ending.code
else:
    code = 0
print(code, [name for name in {heavy} if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("--help", 0),
        ("adapt --help", 0),
        ("adapt --from missing.zip --output rows.csv", 2),
        ("meta-train --skills missing.safetensors --output meta", 2),
        ("extract --dataset no/such-v0 --output skills", 2),
        ("check-skills missing.safetensors --output check", 2),
        ("report missing --output page", 2),
    ],
)
def test_answers_without_torch(arguments: str, code: int, tmp_path: Path) -> None:
    program = RUN.format(arguments=arguments.split(), heavy=HEAVY)
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert told.stdout.splitlines()[-1] == f"{code} []", told.stderr
    assert len(told.stderr.splitlines()) == (1 if code else 0)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named_with_what_was_expected() -> None:
    with pytest.raises(ModelFileError, match=r"No model file gone: expected model\.zip"):
        check_inputs(adapt_stage(MAZE, "gone", "rows.csv"))
    with pytest.raises(ModelFileError, match=r"No skills file gone: expected skills\.safetensors"):
        check_inputs(meta_train_stage(MAZE, "gone", "meta"))
    with pytest.raises(DatasetError, match="no Minari dataset"):
        check_inputs(extract_stage(MAZE, "skills", dataset="no/such-v0"))


def test_a_name_without_its_ending_is_found(tmp_path: Path) -> None:
    (tmp_path / "model.zip").touch()
    check_inputs(adapt_stage(MAZE, tmp_path / "model", "rows.csv"))
