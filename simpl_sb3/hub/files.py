"""
What a file from the hub may be: a sealed model or sealed skills of this library, and nothing that runs.

A model's parts are JSON, tensors and arrays. Torch writes tensors as a pickle that calls three functions which make
tensors; one that calls anything else is refused before it is read (``tensor_files.read_tensors``).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch as th

from simpl_sb3.errors import ModelFileError, SimplError
from simpl_sb3.files import write_atomically
from simpl_sb3.seals import KEY, MARK, open_zip, seal_zip
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.tensor_files import read_header, read_member, read_tensors

__all__ = ["MODEL", "SKILLS", "Facts", "check_file", "facts_of", "model_skills", "write_sealed"]

MODEL, SKILLS = "model.zip", "skills.safetensors"
"""Names of a model and of its skills in a repository."""
TENSORS = ("policy.pth", "learner.pth", "optimizers.pth")
PARTS = {"data", "training.json", "_stable_baselines3_version", *TENSORS}
ARRAYS = re.compile(r"[a-z][a-z_]*\.npz")
MAX_BYTES = 1 << 32  # of a part


@dataclass(frozen=True)
class Facts:
    """
    What a file says of itself.

    :param kind: its class, such as "SkillPriorPEARL" or "SkillModel"
    :param settings: what it was made with; of skills their own
    :param skills: settings of the skills
    :param sealed: whether it carries a seal, which is then that of its bytes
    """

    kind: str
    settings: Mapping[str, Any]
    skills: Mapping[str, Any]
    sealed: bool

    @property
    def env_id(self) -> str | None:
        """The environment that was demonstrated, where known."""
        found = self.skills.get("env_id")
        return found if isinstance(found, str) else None


def facts_of(path: Path) -> Facts:
    """
    Read what a file is, once all that it holds is found to be data.

    :param path: of a model (.zip) or of skills (.safetensors)
    :raises ModelFileError: for a file that is missing, damaged, of another kind, or holds what can run
    """
    if path.suffix not in (".zip", ".safetensors"):
        raise ModelFileError(f"{path.name} is no model: expected a .zip that save wrote, or skills as .safetensors.")
    if not path.is_file():
        raise ModelFileError(f"There is no file {path}: expected {MODEL} or {SKILLS}.")
    try:
        return _facts_of_model(path) if path.suffix == ".zip" else _facts_of_skills(path)
    except SimplError:
        raise
    except Exception as error:  # noqa: BLE001 - a foreign file fails in many ways, and none of them is the user's to read
        reason = (str(error).splitlines() or [""])[0]
        raise ModelFileError(f"{path} is no model of simpl-sb3: {type(error).__name__}: {reason}") from None


def _facts_of_model(path: Path) -> Facts:
    with open_zip(path) as archive:
        names = archive.namelist()
        if strange := [name for name in names if name not in PARTS and not ARRAYS.fullmatch(name)]:
            raise ModelFileError(f"{path} holds {strange[0]}: expected a model that save wrote, and nothing else.")
        data = json.loads(read_member(archive, "data", 1 << 24))
        for name in [name for name in TENSORS if name in names]:
            _check_tensors(path, name, read_member(archive, name, MAX_BYTES))
        sealed = archive.comment.startswith(MARK.encode())
    return Facts(_kind(path, data["class"]), dict(data["settings"]), dict(data["skills"]), sealed)


def _check_tensors(path: Path, name: str, content: bytes) -> None:
    try:
        read_tensors(content)
    except Exception as error:  # noqa: BLE001 - as in facts_of
        reason = (str(error).split("Re-running")[0].splitlines() or [""])[0]  # torch advises to run what the file holds
        raise ModelFileError(f"{path}: {name} holds more than tensors and numbers: {reason}") from None


def _facts_of_skills(path: Path) -> Facts:
    header = read_header(path)
    settings = dict(json.loads(header["settings"]))
    return Facts(_kind(path, header["kind"].removeprefix("simpl_sb3.")), settings, settings, KEY in header)


def _kind(path: Path, given: Any) -> str:
    if not isinstance(given, str) or not given.isidentifier() or not given.isascii():
        raise ModelFileError(f"{path} says that it is a {given!r:.100}: expected the name of a class.")
    return given


def check_file(path: Path, sha256: str | None = None) -> Facts:
    """
    Check a file that came from elsewhere: it is what was asked for, whole, sealed, and data alone.

    :param sha256: of the whole file, 64 hexadecimal digits, where it is known
    :raises ModelFileError: for any other file
    """
    if sha256 is not None and (found := _sha256(path)) != sha256.lower():
        raise ModelFileError(f"{path.name} has the SHA-256 {found}: expected {sha256}.")
    facts = facts_of(path)
    if not facts.sealed:
        raise ModelFileError(
            f"{path.name} has no seal, so that damage would not show: expected a file that push_to_hub wrote, or that "
            "this release saved."
        )
    return facts


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_skills(path: Path) -> Skills:
    """The frozen skills in a model file."""
    facts = facts_of(path)
    with open_zip(path) as archive:
        tensors: Mapping[str, th.Tensor] = read_tensors(read_member(archive, "policy.pth", MAX_BYTES))
    skills = Skills.from_settings(facts.skills)
    start = "skills."
    own = {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
    try:
        skills.load_state_dict(own)
    except RuntimeError as error:
        raise ModelFileError(f"{path}: its skills do not fit their settings: {error}") from None
    return skills.freeze()


def write_sealed(source: Path, target: Path) -> Facts:
    """
    Copy a model or skills; a file of an earlier release gets its seal.

    :raises ModelFileError: for anything else
    """
    facts = facts_of(source)
    if facts.sealed:
        write_atomically(target, source.read_bytes())
    elif source.suffix == ".zip":
        write_atomically(target, seal_zip(source.read_bytes()))
    else:
        Skills.load(source).save(target)
    return facts
