"""SkillModel: act is decode, frozen is frozen, files hold no code."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from safetensors.torch import load_file, save_file
from torch import nn

from simpl_sb3.errors import ModelFileError, SettingsError, SimplError
from simpl_sb3.seals import KEY
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.networks import NORMS


def box(low: list[float], high: list[float]) -> gym.spaces.Box:
    return gym.spaces.Box(np.array(low, dtype=np.float32), np.array(high, dtype=np.float32))


OBSERVATIONS = box([-np.inf, -20.0, -5.0], [np.inf, 20.0, 5.0])
ACTIONS = box([-1.0, 0.0], [1.0, 4.0])
SMALL: dict[str, Any] = {
    "horizon": 5,
    "skill_dim": 4,
    "encoder_hidden": (32,),
    "decoder_hidden": (32, 32, 32),
    "prior_hidden": (32, 32),
}


def make_model(norm: str = "none", **kwargs: Any) -> SkillModel:
    """A model whose statistics and normalisation are far from the identity, frozen."""
    with th.random.fork_rng():
        th.manual_seed(0)
        model = SkillModel(OBSERVATIONS, ACTIONS, **(SMALL | {"norm": norm} | kwargs))
        model.set_observation_statistics(np.array([10.0, -3.0, 0.0]), np.array([5.0, 0.1, 1.0]))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.LayerNorm):
                nn.init.normal_(module.weight)
        for _ in range(10):
            model.decode(10.0 + 5.0 * th.randn(32, 3), th.randn(32, 4))
            model.prior(th.randn(32, 3))
    return model.freeze()


def random_inputs(batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(batch)
    observations = np.array([10.0, -3.0, 0.0]) + rng.normal(size=(batch, 3)) * np.array([5.0, 0.1, 1.0])
    return observations.astype(np.float32), rng.normal(size=(batch, 4)).astype(np.float32)


# ---------------------------------------------------------------- stepping


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("batch", [1, 40])
def test_act_is_decode_clipped(norm: str, batch: int) -> None:
    model = make_model(norm)
    observations, z = random_inputs(batch)
    z *= 5.0
    decoded = model.decode(th.from_numpy(observations), th.from_numpy(z)).numpy()
    expected = decoded.clip(ACTIONS.low, ACTIONS.high)
    actions = model.act(observations, z)
    assert actions.shape == (batch, 2)
    assert actions.dtype == np.float32
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    assert all(action in ACTIONS for action in actions)


def test_act_takes_float64_and_leaves_its_inputs_alone() -> None:
    model = make_model()
    observations, z = random_inputs(3)
    wide, z_wide = observations.astype(np.float64), z.astype(np.float64)
    np.testing.assert_allclose(model.act(wide, z_wide), model.act(observations, z), atol=1e-5)
    np.testing.assert_array_equal(wide, observations)
    np.testing.assert_array_equal(z_wide, z)


def test_act_follows_the_weights_and_a_folded_policy_does_not() -> None:
    model = make_model("batch")
    observations, z = random_inputs(4)
    before, folded = model.act(observations, z), model.folded()
    state = {name: tensor * 1.5 for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    model.load_state_dict(state, strict=False)
    assert np.abs(model.act(observations, z) - before).max() > 1e-3
    np.testing.assert_array_equal(folded(observations, z), before)


def test_the_prior_is_never_surer_than_it_may_be() -> None:
    """After the temperature; what is learned is left alone."""
    free = make_model(prior_temperature=0.5)
    floored = make_model(prior_temperature=0.5, min_prior_std=0.3)
    floored.load_state_dict(free.state_dict())
    observations = th.randn(200, 3, generator=th.Generator().manual_seed(0)) * 10.0
    own, least = free.prior(observations), floored.prior(observations)
    assert bool((own.std < 0.3).any())
    assert bool((own.std > 0.3).any())
    assert th.equal(least.std, own.std.clamp(min=0.3))
    assert th.equal(least.mean, own.mean)


def test_forward_is_encode_decode_and_prior() -> None:
    """One formula per network: what learning scores is what the methods for use compute."""
    model = make_model(prior_temperature=0.5)
    rng = th.Generator().manual_seed(3)
    observations = th.randn(6, model.horizon + 1, 3, generator=rng)
    actions = th.rand(6, model.horizon, 2, generator=rng)
    outputs = model(observations, actions, th.Generator().manual_seed(0))
    posterior, prior = model.encode(observations, actions), model.prior(observations[:, 0])
    th.testing.assert_close(tuple(outputs.posterior), tuple(posterior))
    th.testing.assert_close(tuple(prior), (outputs.prior.mean, 0.5 * outputs.prior.std))
    noise = th.randn(6, 4, generator=th.Generator().manual_seed(0))
    for gaussian, decoded in (
        (outputs.posterior, outputs.actions),
        (outputs.prior, model(observations, actions, th.Generator().manual_seed(0), from_prior=True).actions),
    ):
        z = gaussian.mean + gaussian.std * noise
        for step in range(model.horizon):
            expected = model.scale_actions(model.decode(observations[:, step], z))
            th.testing.assert_close(decoded[:, step], expected, atol=1e-5, rtol=1e-5)
    th.testing.assert_close(outputs.targets, model.scale_actions(actions))


def test_actions_are_scaled_from_the_action_space() -> None:
    model = make_model()
    scaled = model.scale_actions(th.tensor([[-1.0, 0.0], [1.0, 4.0], [0.0, 2.0]]))
    assert scaled.tolist() == [[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]
    assert model.standardise(th.tensor([15.0, -3.0, 2.0])).tolist() == pytest.approx([1.0, 0.0, 2.0])


def test_shapes_of_encoder_and_prior() -> None:
    for encoder in ("mlp", "lstm"):
        model = make_model(encoder=encoder)
        for mean, std in (model.encode(th.randn(7, 6, 3), th.randn(7, 5, 2)), model.prior(th.randn(7, 3))):
            assert mean.shape == std.shape == (7, 4)


def test_published_sizes_can_be_said() -> None:
    model = SkillModel(
        OBSERVATIONS, ACTIONS, encoder="lstm", encoder_hidden=(128,), prior_hidden=(128,) * 6, norm="batch"
    )
    assert (model.horizon, model.skill_dim) == (10, 10)
    assert len(model.prior_net.linears) == 6
    assert len(model.decoder.linears) == 4


# ---------------------------------------------------------------- frozen


def test_frozen_stays_frozen_inside_a_module_that_trains() -> None:
    model = make_model("batch")
    policy = nn.ModuleDict({"prior": model, "residual": nn.Linear(3, 8)})
    policy.train()
    assert policy["residual"].training
    assert not any(module.training for module in model.modules())
    before = copy.deepcopy(model.state_dict())
    mean, _ = model.prior(th.randn(64, 3) * 10.0)
    assert not mean.requires_grad
    assert all(th.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_copies_and_pickles_for_subprocesses() -> None:
    model = make_model("batch")
    observations, z = random_inputs(2)
    actions = model.act(observations, z)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.act(observations, z), actions)
        assert not twin.training


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("norm", NORMS)
def test_saved_and_loaded_acts_the_same(norm: str, tmp_path: Path) -> None:
    model = make_model(norm, observation_key="robot")
    path = tmp_path / "new" / "skills.safetensors"
    model.save(path)
    loaded = SkillModel.load(path)
    observations, z = random_inputs(9)
    np.testing.assert_array_equal(loaded.act(observations, z), model.act(observations, z))
    assert loaded.settings == model.settings
    assert (loaded.observation_space, loaded.action_space) == (OBSERVATIONS, ACTIONS)
    assert (loaded.horizon, loaded.skill_dim, loaded.observation_key) == (5, 4, "robot")
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert [file.name for file in path.parent.iterdir()] == ["skills.safetensors"]


def test_settings_are_strict_json_and_rebuild_the_module() -> None:
    model = make_model("layer")
    settings = json.loads(json.dumps(model.settings, allow_nan=False))
    twin = SkillModel.from_settings(settings)
    assert twin.settings == model.settings
    twin.load_state_dict(model.state_dict())
    empty: dict[str, Any] = {}
    for bad in (empty, settings | {"norm": "group"}, settings | {"horizons": 3}, settings | {"action_space": None}):
        with pytest.raises(SettingsError, match="do not describe"):
            SkillModel.from_settings(bad)


def test_the_file_holds_no_pickled_code(tmp_path: Path) -> None:
    make_model().save(tmp_path / "skills.safetensors")
    content = (tmp_path / "skills.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"]["schema_version"] == "1"
    assert json.loads(header["__metadata__"]["settings"])["horizon"] == 5
    assert all(entry["dtype"] in ("F32", "I64") for name, entry in header.items() if name != "__metadata__")


def rewrite(
    path: Path, metadata: dict[str, str] | None = None, drop: str | None = None, nan: str | None = None
) -> None:
    """The model's file with other metadata, without one tensor, or with NaN in one."""
    make_model().save(path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    tensors = load_file(path)
    if drop is not None:
        del tensors[drop]
    if nan is not None:
        tensors[nan] = tensors[nan] * float("nan")
    bare = {name: text for name, text in header["__metadata__"].items() if name != KEY}  # without the seal
    save_file(tensors, path, bare | (metadata or {}))


def test_unusable_files_give_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "skills.safetensors"
    with pytest.raises(ModelFileError, match="no skill model at"):
        SkillModel.load(path)
    with pytest.raises(ModelFileError, match="no skill model at"):
        SkillModel.load(tmp_path)
    path.write_bytes(b"PK\x03\x04 a zip of something else")
    with pytest.raises(ModelFileError, match="not a whole safetensors file"):
        SkillModel.load(path)
    make_model().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="not a whole safetensors file"):
        SkillModel.load(path)
    save_file({"weight": th.zeros(3)}, path)
    with pytest.raises(ModelFileError, match="an unknown kind, expected"):
        SkillModel.load(path)
    rewrite(path, metadata={"schema_version": "2"})
    with pytest.raises(ModelFileError, match="schema version 2, this library reads 1"):
        SkillModel.load(path)
    rewrite(path, metadata={"settings": "{}"})
    with pytest.raises(ModelFileError, match="does not fit its own settings"):
        SkillModel.load(path)
    rewrite(path, drop="decoder.output.bias")
    with pytest.raises(ModelFileError, match=r"decoder\.output\.bias"):
        SkillModel.load(path)
    rewrite(path, nan="decoder.output.bias")
    with pytest.raises(SimplError, match="NaN"):
        SkillModel.load(path)


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "skills.safetensors"
    make_model().save(path)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("simpl_sb3.files.os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        make_model("batch").save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["skills.safetensors"]
