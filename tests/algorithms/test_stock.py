"""Files of stock models: no pickle in them, whole or not there, and nothing foreign is taken."""

import json
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch as th
from algorithms_for_tests import rewrite, rewrite_data
from sb3_contrib.ppo_recurrent.policies import MlpLstmPolicy
from stock_for_tests import LineEnvs, made, trained

from simpl_sb3.algorithms.stock import StockFile, TrialPPO, read_stock, restored_policy
from simpl_sb3.errors import DivergenceError, ModelFileError, SettingsError
from simpl_sb3.experience.trial_vec_env import trial_space
from simpl_sb3.skills.fit import skill_action_space


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("rl2", tmp_path_factory.mktemp("stock"))


def test_a_file_is_json_and_tensors(source: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        assert sorted(archive.namelist()) == sorted(StockFile.expected_members)
        data = json.loads(archive.read("data"))
        for name in archive.namelist():
            with pytest.raises(ValueError):
                list(pickletools.genops(archive.read(name)))
    assert data["class"] == "TrialPPO"
    assert data["tasks"] == ["1.5", "-1.5"]
    assert data["settings"]["n_steps"] == 8


def test_the_restored_policy_is_the_one_that_was_saved(tmp_path: Path) -> None:
    model = made("rl2", tmp_path, LineEnvs())
    model.learn(64)
    model.save(tmp_path / "model")
    file = read_stock(tmp_path / "model", TrialPPO)
    spaces = trial_space(file.skills), skill_action_space(file.skills)
    policy = restored_policy(file, MlpLstmPolicy, *spaces, net_arch=[8], lstm_hidden_size=4)
    row = np.arange(10, dtype=np.float32).reshape(2, 5)
    assert np.array_equal(policy.predict(row, deterministic=True)[0], model.predict(row, deterministic=True)[0])
    assert all(th.equal(part, model.skills.state_dict()[name]) for name, part in file.skills.state_dict().items())
    other = made("rl2", tmp_path, LineEnvs(), seed=9)
    other.take_weights(file.tensors)
    assert np.array_equal(other.predict(row, deterministic=True)[0], model.predict(row, deterministic=True)[0])
    with pytest.raises(ModelFileError, match="do not fit its settings"):
        restored_policy(file, MlpLstmPolicy, *spaces, net_arch=[9], lstm_hidden_size=4)


def without_weights(members: dict[str, bytes]) -> None:
    del members["weights.safetensors"]


def half_the_weights(members: dict[str, bytes]) -> None:
    members["weights.safetensors"] = members["weights.safetensors"][:100]


def no_json(members: dict[str, bytes]) -> None:
    members["data"] = b"\x80\x04."


@pytest.mark.parametrize("change", [without_weights, half_the_weights, no_json])
def test_what_is_damaged_is_refused(source: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with pytest.raises(ModelFileError, match="is not a saved TrialPPO"):
        read_stock(rewrite(source, tmp_path / "damaged.zip", change), TrialPPO)


def test_one_changed_byte_is_found(source: Path, tmp_path: Path) -> None:
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.zip").write_bytes(content)
    with pytest.raises(ModelFileError, match="the file is damaged"):
        read_stock(tmp_path / "changed.zip", TrialPPO)


def test_what_is_foreign_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="schema version 2: this release reads 1"):
        read_stock(rewrite_data(source, tmp_path / "newer.zip", schema_version=2), TrialPPO)
    with pytest.raises(ModelFileError, match="holds a Whatever"):
        read_stock(rewrite_data(source, tmp_path / "other.zip", **{"class": "Whatever"}), TrialPPO)
    with pytest.raises(ModelFileError, match="No model file"):
        read_stock(tmp_path / "missing.zip", TrialPPO)
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ModelFileError, match="is not a saved TrialPPO"):
        read_stock(tmp_path / "text.zip", TrialPPO)


def test_nothing_that_is_not_finite_is_written(tmp_path: Path) -> None:
    model = made("rl2", tmp_path, LineEnvs())
    with th.no_grad():
        model.policy.log_std.fill_(float("nan"))
    with pytest.raises(DivergenceError, match="diverged, nothing was saved"):
        model.save(tmp_path / "model.zip")
    assert not (tmp_path / "model.zip").exists()


def test_doors_that_unpickle_are_closed(tmp_path: Path) -> None:
    model = made("rl2", tmp_path, LineEnvs())
    with pytest.raises(SettingsError, match="read_stock"):
        TrialPPO.load(tmp_path / "model.zip")
    with pytest.raises(SettingsError, match="expected save"):
        model.save(tmp_path / "model.zip", include=["env"])


def test_a_number_of_timesteps_of_its_own(tmp_path: Path) -> None:
    model = made("rl2", tmp_path, LineEnvs())
    model.env.venv.envs.set_attr("_max_episode_steps", 14)
    assert model.default_timesteps() == 2 * 16 * 2 * 7  # two tasks, episodes of seven skills
