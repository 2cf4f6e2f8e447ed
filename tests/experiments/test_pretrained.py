"""The trained artefacts that come along: whole, of known origin, and usable."""

import hashlib
import json

import numpy as np
import pytest

from simpl_sb3 import PRESETS, PRETRAINED, SkillModel, SkillPriorPEARL, make_skill_vec_env
from simpl_sb3.domains import find_domain

FOLDERS = sorted(path for path in PRETRAINED.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_files_are_those_of_the_provenance(folder):
    provenance = json.loads((folder / "provenance.json").read_text())
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in provenance["files"]}
    assert hashes == provenance["files"]
    assert {path.name for path in folder.iterdir()} - {"draws.json"} == {*hashes, "provenance.json"}
    for run in provenance["runs"]:
        assert run["command"].startswith(("simpl-sb3 ", "python -m simpl_sb3 "))
        assert run["settings"]["seed"] is not None
        assert run["metrics"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_model_acts_in_its_environment(folder):
    domain = find_domain(PRESETS[folder.name].domain)
    skills = SkillModel.load(folder / "skills.safetensors")
    model = SkillPriorPEARL.load(folder / "model.zip", device="cpu")
    env = make_skill_vec_env(domain.env_id, skills, n_envs=2, seed=0)
    observations = env.reset()
    z, state = model.predict(observations)
    assert z.shape == (2, skills.skill_dim)
    assert state[0].shape == (2, model.task_latent_dim)
    env.step(z)
    env.close()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_provenance_is_complete(folder):
    """What was recorded and what was completed name every setting, and agree with what the files hold."""
    extract, meta_train = json.loads((folder / "provenance.json").read_text())["runs"]
    settings = {**extract["completed"]["settings"], **extract["settings"]}
    assert not set(extract["completed"]["settings"]) & set(extract["settings"])
    assert extract["git"]["commit"] in extract["completed"]["source"]
    expected = {"horizon", "skill_dim", "encoder", "norm", "kl_weight", "batch_size", "learning_rate", "optimizer"}
    assert expected | {"learning_rate_decay", "validation_fraction", "normalize_observations"} <= set(settings)
    skills = SkillModel.load(folder / "skills.safetensors")
    assert (skills.horizon, skills.skill_dim) == (settings["horizon"], settings["skill_dim"])
    assert skills.prior_temperature == settings["prior_temperature"]
    # the cosine's last value tells what it began with, and how many updates there were
    last = settings["learning_rate"] * (1 + np.cos(np.pi * (1 - 1 / settings["total_updates"]))) / 2
    assert extract["metrics"]["train/learning_rate"] == pytest.approx(last, rel=1e-6)
    trained = {**meta_train.get("completed", {}).get("settings", {}), **meta_train["settings"]}
    assert trained["n_envs"] in (80, 46)
    model = SkillPriorPEARL.load(folder / "model.zip")
    own = model.settings()
    assert {name: own[name] for name in ("gamma", "n_steps", "learning_rate")} == {
        name: trained[name] for name in ("gamma", "n_steps", "learning_rate")
    }
    assert skills.env_id == model.skills.env_id == extract["settings"]["dataset_settings"]["env"]
