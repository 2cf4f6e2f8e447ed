"""
The file of a session: one zip, sealed, without pickled code.

::

    data            JSON: settings, seed, what the session is in the middle of
    training.*      what an adaptation's checkpoint holds: see ``adaptation_state``
    context.npz, replay.npz, cohort.pth      rows and networks
    agent.zip       the agent, once it has adapted
"""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.algorithms.adaptation_state import buffers_of, capture, checked, fingerprint, take, tensors_of_cohort
from simpl_sb3.algorithms.arrays import existing, with_ending
from simpl_sb3.algorithms.files import check_finite, tensor_bytes
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import ModelFileError
from simpl_sb3.files import write_atomically
from simpl_sb3.npz import arrays_of, npz_bytes
from simpl_sb3.seals import BLANK, open_zip, seal
from simpl_sb3.skills.tensor_files import read_tensors

__all__ = ["read_session", "session_parts", "take_session_parts", "write_session"]

KIND, SCHEMA_VERSION = "AdaptationSession", 2


def session_parts(adaptation: Adaptation) -> dict[str, Any]:
    """
    All that an adaptation of one agent goes on from, in members of a zip.

    :raises SettingsError: where the learning diverged
    """
    tensors = tensors_of_cohort(adaptation)
    check_finite(tensors)
    data, arrays = ({}, {}) if adaptation.collector is None else capture(adaptation)
    data["adaptation"] = fingerprint(adaptation)
    parts = {"training.json": json.dumps(data).encode(), "training.npz": npz_bytes(arrays)}
    for name, buffer in buffers_of(adaptation).items():
        parts[f"{name}.npz"] = npz_bytes(buffer.rows_since(np.zeros(buffer.n_tasks, np.int64)))
    parts |= {name: tensor_bytes(part) for name, part in tensors.items()}
    if (agent := adaptation.agents[0]) is not None:
        content = io.BytesIO()
        agent.save(content)
        parts["agent.zip"] = content.getvalue()
    return parts


def take_session_parts(adaptation: Adaptation, parts: dict[str, bytes]) -> None:
    """
    Bring a new adaptation where another was.

    :raises ModelFileError: for one of another model
    """
    data = json.loads(parts["training.json"])
    if data["adaptation"] != fingerprint(adaptation):
        raise ModelFileError("it began with another model, or other skills")
    rows = {name: arrays_of(parts[f"{name}.npz"]) for name in buffers_of(adaptation)}
    if "agent.zip" in parts:
        for name, buffer in buffers_of(adaptation).items():
            buffer.append(rows[name])
        agent = SkillPriorSAC.load(io.BytesIO(parts["agent.zip"]), device=adaptation.device)
        agent.replay_buffer.copy_ring(0, adaptation.replay, 0)
        adaptation.agents[0] = agent
        return
    arrays = arrays_of(parts["training.npz"])
    taken = checked(adaptation, data, arrays, lambda name: read_tensors(parts[name]))
    for name, buffer in taken.buffers.items():
        buffer.append(rows[name])
    take(adaptation, taken)


def write_session(
    path: str | os.PathLike[str], own: dict[str, Any], arrays: dict[str, np.ndarray], parts: dict[str, bytes]
) -> None:
    """
    :param own: plain data of the session
    :param arrays: its arrays
    :param parts: what :func:`session_parts` gave
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("data", json.dumps({"class": KIND, "schema_version": SCHEMA_VERSION, "own": own}, indent=1))
        archive.writestr("own.npz", npz_bytes(arrays))
        for name, part in parts.items():
            archive.writestr(name, part)
        archive.comment = BLANK.encode()
    write_atomically(with_ending(path, ".zip"), seal(content.getvalue()))


def read_session(path: Any) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, bytes]]:
    """
    What :func:`write_session` was given.

    :raises ModelFileError: for a file that is missing, damaged or of another kind
    """
    found = Path(existing(path, ".zip", "saved session"))
    try:
        with open_zip(found, packed=False) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        data = json.loads(parts["data"])
        kind, version, own = data["class"], data["schema_version"], data["own"]
        arrays = arrays_of(parts.pop("own.npz"))
    except Exception as error:  # noqa: BLE001 - a foreign file fails in many ways
        raise ModelFileError(f"{path} is not a saved session: {type(error).__name__}: {error}") from None
    if (kind, version) != (KIND, SCHEMA_VERSION):
        raise ModelFileError(f"{path} holds a {kind} of schema {version}: expected a {KIND} of {SCHEMA_VERSION}.")
    return own, arrays, parts
