"""Hostile, cut and flipped files of skills: one clear error, nothing taken, no memory spent, no code run."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import ACTIONS, OBSERVATIONS, same_parameters, tiny_skills
from safetensors.torch import load_file, save

from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode
from simpl_sb3.errors import ModelFileError
from simpl_sb3.seals import BLANK, KEY, seal
from simpl_sb3.skills import SkillModel
from simpl_sb3.skills.extractor import SkillExtractor
from simpl_sb3.skills.tensor_files import content_hash, read_tensors

Tensors = dict[str, th.Tensor]


def rewritten(path: Path, change: Callable[[Tensors, dict[str, Any]], None], sealed: bool = True) -> Path:
    """A file of skills whose tensors and settings were changed by someone who also wrote a fitting seal, or a hash."""
    tiny_skills(norm="batch", decoder_hidden=(8, 8)).save(path)
    content = path.read_bytes()
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    tensors, settings = load_file(path), json.loads(metadata["settings"])
    change(tensors, settings)
    metadata["settings"] = json.dumps(settings)
    if sealed:
        path.write_bytes(seal(save(tensors, metadata | {KEY: BLANK})))
    else:  # as earlier releases did, with the hash of the unchanged tensors
        del metadata[KEY]
        path.write_bytes(save(tensors, metadata | {"sha256": content_hash(load_file(path))}))
    return path


def put(name: str, value: Callable[[th.Tensor], th.Tensor]) -> Callable[[Tensors, dict[str, Any]], None]:
    return lambda tensors, _: tensors.__setitem__(name, value(tensors[name]).contiguous())


def say(**values: Any) -> Callable[[Tensors, dict[str, Any]], None]:
    return lambda _, settings: settings.update(values)


HOSTILE: dict[str, tuple[Callable[[Tensors, dict[str, Any]], None], str]] = {
    "another shape": (put("decoder.output.weight", lambda x: x[:, :-1]), "decoder.output.weight is .* of shape"),
    "whole numbers": (put("decoder.output.weight", lambda x: x.to(th.int8)), "decoder.output.weight is"),
    "half precision": (put("decoder.output.weight", lambda x: x.half()), "decoder.output.weight is"),
    "NaN": (put("decoder.output.bias", lambda x: x * np.nan), "NaN or infinite"),
    "std 0": (put("observation_std", th.zeros_like), "observation_std"),
    "std negative": (put("observation_std", th.neg), "observation_std"),
    "std tiny": (put("observation_std", lambda x: x * 1e-38), "observation_std"),
    "scale 0": (put("action_scale", th.zeros_like), "action_centre and action_scale"),
    "negative variance": (put("decoder.norms.1.running_var", th.neg), "negative variances"),
    "one too many": (lambda tensors, _: tensors.update(more=th.zeros(2)), "tensors that the model does not have: more"),
    "one missing": (lambda tensors, _: tensors.pop("decoder.output.bias") and None, "decoder.output.bias are missing"),
    "temperature 0": (say(prior_temperature=0.0), "prior_temperature"),
    "temperature NaN": (say(prior_temperature=float("nan")), "prior_temperature"),
    "horizon": (say(horizon=-1), "horizon"),
    "a huge skill": (say(skill_dim=20_000_000), "of shape"),
    "a huge network": (say(prior_hidden=[10_000_000, 10_000_000]), "prior_net"),
    "deep settings": (say(encoder_hidden="x"), "encoder_hidden"),
    "kind": (say(kind="os.system"), "kind of skills"),
    "space": (say(action_space={"low": [-1], "high": ["inf"], "dtype": "float32"}), "action space"),
    "space of code": (say(action_space={"low": [-1], "high": [1], "dtype": "O"}), "do not describe"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_skills(name: str, tmp_path: Path) -> None:
    change, message = HOSTILE[name]
    with pytest.raises(ModelFileError, match=message):
        SkillModel.load(rewritten(tmp_path / "skills.safetensors", change))


def test_other_numbers_than_were_saved(tmp_path: Path) -> None:
    change = put("decoder.output.weight", lambda x: x * 1.001)
    with pytest.raises(ModelFileError, match="not those that were saved"):
        SkillModel.load(rewritten(tmp_path / "skills.safetensors", change, sealed=False))


def test_cut_and_flipped_files(tmp_path: Path) -> None:
    path = tmp_path / "skills.safetensors"
    skills = tiny_skills()
    skills.save(path)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    begin = 8 + int.from_bytes(content[:8], "little")  # of the numbers
    for position in rng.integers(begin, len(content), 40):
        path.write_bytes(content[:position] + bytes([content[position] ^ 64]) + content[position + 1 :])
        with pytest.raises(ModelFileError):
            SkillModel.load(path)
        path.write_bytes(content[:position])
        with pytest.raises(ModelFileError):
            SkillModel.load(path)
    for position in range(0, begin, 7):  # of the header, seal and all
        path.write_bytes(
            content[:position] + bytes([content[position] ^ (1 << position % 8)]) + content[position + 1 :]
        )
        with pytest.raises(ModelFileError):
            SkillModel.load(path)


def test_equal_skills_have_an_equal_hash(tmp_path: Path) -> None:
    first, second = (content_hash(tiny_skills(seed=1).state_dict()) for _ in range(2))
    assert first == second != content_hash(tiny_skills(seed=2).state_dict())


def test_loading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    tiny_skills(encoder="lstm").save(tmp_path / "skills.safetensors")
    state = th.get_rng_state()
    loaded = SkillModel.load(tmp_path / "skills.safetensors")
    assert th.equal(state, th.get_rng_state())
    assert same_parameters(loaded, tiny_skills(encoder="lstm"))
    assert not any(parameter.is_meta for parameter in loaded.parameters())
    mean, _ = loaded.encode(th.zeros(3, 5, 2), th.zeros(3, 4, 1))
    th.testing.assert_close(mean, tiny_skills(encoder="lstm").encode(th.zeros(3, 5, 2), th.zeros(3, 4, 1))[0])


# ---------------------------------------------------------------- checkpoints of extraction


def extractor(folder: Path) -> SkillExtractor:
    rng = np.random.default_rng(0)
    episodes = [Episode(rng.normal(size=(13, 2)), rng.uniform(-1.0, 1.0, (12, 1))) for _ in range(4)]
    data = DemonstrationDataset.from_episodes(episodes, OBSERVATIONS, ACTIONS)
    sizes: dict[str, Any] = {"horizon": 4, "skill_dim": 2, "decoder_hidden": (8,), "prior_hidden": (8,)}
    return SkillExtractor(data, **sizes, encoder_hidden=(8,), seed=1, batch_size=8, folder=folder, device="cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("checkpoint")
    extractor(folder).learn(2, checkpoint_interval=2)
    return dict(th.load(folder / "checkpoint_00000002.pt", weights_only=True))


def moments(value: Callable[[th.Tensor], Any], name: str = "exp_avg") -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        for of_parameter in state["optimizer"]["state"].values():
            of_parameter[name] = value(of_parameter[name])

    return change


CHECKPOINTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "moments of another shape": moments(lambda _: th.zeros(3)),  # a fused Adam would write behind them
    "moments that are none": moments(lambda _: 3.0),
    "moments of NaN": moments(lambda x: x * np.nan),
    "steps of NaN": moments(lambda x: x * np.nan, "step"),
    "negative steps": moments(lambda x: -x, "step"),
    "steps as a row": moments(lambda x: x.repeat(3), "step"),
    "a parameter too many": lambda state: state["optimizer"]["state"].__setitem__(99, {}),
    "half of the moments": lambda state: state["optimizer"]["state"][0].pop("exp_avg"),
    "other moments than Adam's": lambda state: state["optimizer"].update(state={0: {"momentum": th.zeros(8)}}),
    "moments of one number": moments(lambda x: x.flatten()[:1].as_strided(x.shape, (0,) * x.dim())),
    "moments of 1e38": moments(lambda x: th.full_like(x, 1e38)),
    "no second moments": moments(th.zeros_like, "exp_avg_sq"),
    "no optimiser": lambda state: state.update(optimizer=[]),
    "no random state": lambda state: state.pop("rng"),
    "random state of nothing": lambda state: state.update(rng="{}"),
    "noise of another length": lambda state: state.update(noise=th.zeros(5, dtype=th.uint8)),
    "updates below 0": lambda state: state.update(n_updates=-100_000),
    "updates of NaN": lambda state: state.update(n_updates=float("nan")),
    "weights of NaN": lambda state: state["model"].update({"decoder.output.bias": th.tensor([np.nan])}),
    "weights of another kind": lambda state: state["model"].update({"decoder.output.bias": th.tensor([1])}),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_hostile_checkpoint_changes_nothing(name: str, checkpoint: dict[str, Any], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    th.save(checkpoint, buffer)
    buffer.seek(0)
    state = dict(th.load(buffer, weights_only=True))
    CHECKPOINTS[name](state)
    th.save(state, tmp_path / "checkpoint_00000002.pt")  # without a seal, as the revision before wrote them
    one, untouched = extractor(tmp_path), extractor(tmp_path)
    with pytest.raises(ModelFileError, match="no checkpoint of this skill extraction"):
        one.restore()
    assert one.n_updates == 0
    assert same_parameters(one.learn(2), untouched.learn(2))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    extractor(tmp_path).learn(2, checkpoint_interval=2)
    path, rng = tmp_path / "checkpoint_00000002.pt", np.random.default_rng(0)
    content, one = path.read_bytes(), extractor(tmp_path)
    for position in [*rng.integers(0, len(content), 100).tolist(), *range(len(content) - 130, len(content), 3)]:
        path.write_bytes(
            content[:position] + bytes([content[position] ^ (1 << position % 8)]) + content[position + 1 :]
        )
        with pytest.raises(ModelFileError, match="no checkpoint of this skill extraction"):
            one.restore()
        assert one.n_updates == 0


def test_tensors_are_read_and_nothing_else_is_called() -> None:
    def written(value: Any) -> bytes:
        content = io.BytesIO()
        th.save(value, content)
        return content.getvalue()

    value = {"a": [th.arange(3), th.zeros(2, dtype=th.float64)], "b": ("text", 1.5, None, True)}
    found = read_tensors(written(value))
    assert th.equal(found["a"][0], value["a"][0])
    assert found["b"] == value["b"]
    for call in (bytearray(8), th.nn.Parameter(th.zeros(2)), {1, 2}, th.zeros(2, device="meta"), 1j):
        with pytest.raises(ModelFileError, match="expected tensors, texts and numbers"):
            read_tensors(written({"a": call}))


def test_rates_come_from_the_settings_not_from_the_file(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    groups = [group | {"lr": float("nan"), "betas": ["x", 2.0]} for group in checkpoint["optimizer"]["param_groups"]]
    state = checkpoint | {"optimizer": checkpoint["optimizer"] | {"param_groups": groups}}
    th.save(state, tmp_path / "checkpoint_00000002.pt")
    one, plain = extractor(tmp_path), extractor(tmp_path / "other")
    one.restore()
    th.save(checkpoint, tmp_path / "plain.pt")
    plain.restore(tmp_path / "plain.pt")
    assert same_parameters(one.learn(4), plain.learn(4))
