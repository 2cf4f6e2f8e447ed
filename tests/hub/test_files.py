"""Files from elsewhere: sealed models and skills pass, whatever could run or is damaged does not."""

import hashlib
import pickle
import zipfile
from pathlib import Path

import pytest
import torch as th
from algorithms_for_tests import KINDS, Kind, make, rewrite
from envs_for_tests import tiny_skills
from stable_baselines3 import SAC

from simpl_sb3 import PRETRAINED
from simpl_sb3.errors import ModelFileError
from simpl_sb3.hub.files import check_file, facts_of, model_skills, write_sealed
from simpl_sb3.seals import seal_zip
from simpl_sb3.skills.base import Skills

MAZE = PRETRAINED / "maze-fast"


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    make(next(iter(KINDS))).save(tmp_path / "model.zip")
    return tmp_path / "model.zip"


def sealed(path: Path) -> Path:
    path.write_bytes(seal_zip(path.read_bytes()))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_saved_models_pass(kind: Kind, tmp_path: Path) -> None:
    make(kind).save(tmp_path / "model.zip")
    facts = check_file(tmp_path / "model.zip")
    assert (facts.kind, facts.settings["batch_size"]) == (kind.__name__, KINDS[kind]["batch_size"])
    assert facts.skills["kind"] == "SkillModel"


def test_a_model_with_its_training_state_passes(tmp_path: Path) -> None:
    model = make(next(iter(KINDS))).learn(10)
    model.save(tmp_path / "model.zip", with_training_state=True)
    assert check_file(tmp_path / "model.zip").sealed


def test_skills_pass(tmp_path: Path) -> None:
    skills = tiny_skills()
    skills.save(tmp_path / "skills.safetensors")
    facts = check_file(tmp_path / "skills.safetensors")
    assert (facts.kind, facts.env_id, facts.settings) == ("SkillModel", skills.env_id, facts.skills)


def test_another_hash_than_the_expected_is_refused(model: Path) -> None:
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert check_file(model, digest.upper()).sealed
    with pytest.raises(ModelFileError, match=f"has the SHA-256 {digest}: expected {'0' * 64}"):
        check_file(model, "0" * 64)


@pytest.mark.parametrize("name", ["agent.pkl", "policy.pth", "README.md", "model"])
def test_other_kinds_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(1))
    with pytest.raises(ModelFileError, match="is no model: expected a"):
        check_file(tmp_path / name)


def test_what_runs_is_refused_and_does_not_run(model: Path, tmp_path: Path) -> None:
    trap = tmp_path / "it-ran"
    th.save({"actor": Runs(trap)}, tmp_path / "trap.pth")
    content = (tmp_path / "trap.pth").read_bytes()
    for name in ("policy.pth", "learner.pth"):
        path = sealed(rewrite(model, tmp_path / "trap.zip", lambda members, name=name: members.update({name: content})))
        with pytest.raises(ModelFileError, match=f"{name} holds more than tensors and numbers"):
            check_file(path)
    assert not trap.exists()


@pytest.mark.parametrize("name", ["replay_buffer.pkl", "data.pkl", "../policy.pth", "code.py"])
def test_other_parts_are_refused(model: Path, tmp_path: Path, name: str) -> None:
    path = sealed(rewrite(model, tmp_path / "more.zip", lambda members: members.update({name: b"1"})))
    with pytest.raises(ModelFileError, match=r"more\.zip holds .*: expected a model that save wrote"):
        check_file(path)


def test_a_model_of_stable_baselines3_is_refused(tmp_path: Path) -> None:
    """Its settings are pickled."""
    SAC("MlpPolicy", "Pendulum-v1", buffer_size=10).save(tmp_path / "sac.zip")
    with pytest.raises(ModelFileError, match=r"sac\.zip holds pytorch_variables\.pth"):
        check_file(sealed(tmp_path / "sac.zip"))


@pytest.mark.parametrize("at", [40, -1_000])
def test_damage_is_refused(model: Path, at: int) -> None:
    content = bytearray(model.read_bytes())
    content[at] ^= 1
    model.write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged"):
        check_file(model)


def test_a_file_without_seal_is_refused_and_can_be_sealed(tmp_path: Path) -> None:
    """The trained models that come along are from before there were seals."""
    for name in ("model.zip", "skills.safetensors"):
        with pytest.raises(ModelFileError, match=f"{name} has no seal"):
            check_file(MAZE / name)
        write_sealed(MAZE / name, tmp_path / name)
        assert check_file(tmp_path / name).kind == facts_of(MAZE / name).kind


def test_a_strange_class_is_refused(model: Path, tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        members["data"] = members["data"].replace(b'"SkillPriorSAC"', b'"os;system"')

    with pytest.raises(ModelFileError, match="expected the name of a class"):
        check_file(sealed(rewrite(model, tmp_path / "strange.zip", change)))


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match="is no model of simpl-sb3"):
        check_file(tmp_path / "model.zip")
    with pytest.raises(ModelFileError, match="There is no file"):
        check_file(tmp_path / "absent.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(ModelFileError, match="is no model of simpl-sb3"):
        check_file(tmp_path / "empty.zip")


def test_skills_of_a_model(model: Path) -> None:
    own, found = tiny_skills(), model_skills(model)
    assert isinstance(found, Skills)
    assert found.settings == own.settings
    weights = own.state_dict()
    assert all(th.equal(tensor, weights[name]) for name, tensor in found.state_dict().items())
