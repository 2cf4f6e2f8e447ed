"""The trained artefacts that come along: whole, of known origin, and usable."""

import hashlib
import json

import pytest

from simpl_sb3 import PRESETS, PRETRAINED, SkillModel, SkillPriorPEARL, make_skill_vec_env
from simpl_sb3.domains import find_domain

FOLDERS = sorted(path for path in PRETRAINED.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_files_are_those_of_the_provenance(folder):
    provenance = json.loads((folder / "provenance.json").read_text())
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in provenance["files"]}
    assert hashes == provenance["files"]
    assert {path.name for path in folder.iterdir()} == {*hashes, "provenance.json"}
    for run in provenance["runs"]:
        assert run["command"].startswith(("simpl-sb3 ", "python -m simpl_sb3 "))
        assert run["settings"]["seed"] is not None
        assert run["metrics"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_model_acts_in_its_environment(folder):
    preset = PRESETS[folder.name]
    skills = SkillModel.load(folder / "skills.safetensors")
    model = SkillPriorPEARL.load(folder / "model.zip", device="cpu")
    env = make_skill_vec_env(find_domain(preset.domain).env_id, skills, n_envs=2, seed=0)
    observations = env.reset()
    z, state = model.predict(observations)
    assert z.shape == (2, skills.skill_dim)
    assert state[0].shape == (2, model.task_latent_dim)
    env.step(z)
    env.close()
