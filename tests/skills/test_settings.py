"""The settings of skills: declared once, in range, named in errors, seen by ``help()``."""

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from envs_for_tests import ACTIONS, OBSERVATIONS

from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode
from simpl_sb3.errors import SettingsError, SkillMismatchError
from simpl_sb3.skills.extractor import OPTIMIZERS, SkillExtractor
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.networks import SKILL_ENCODERS
from simpl_sb3.skills.settings import ExtractionSettings, SkillModelSettings

from simpl_sb3.skills.settings import ENCODERS, OPTIMIZERS as OPTIMIZER_NAMES  # isort: skip

SMALL: dict[str, Any] = {
    "horizon": 4,
    "skill_dim": 2,
    "encoder_hidden": (8,),
    "decoder_hidden": (8,),
    "prior_hidden": (8,),
}


def dataset(env_id: str | None = None) -> DemonstrationDataset:
    rng = np.random.default_rng(0)
    episodes = [Episode(rng.normal(size=(13, 2)), rng.uniform(-1.0, 1.0, (12, 1))) for _ in range(4)]
    return DemonstrationDataset.from_episodes(episodes, OBSERVATIONS, ACTIONS, id="own/line-v0", env_id=env_id)


OUT_OF_RANGE: dict[str, tuple[Any, ...]] = {
    "horizon": (0, -1, 2.5, True, "10", float("nan")),
    "skill_dim": (0, None),
    "encoder": ("gru", 3),
    "encoder_hidden": ((0,), (-1, 8), 8, "128"),
    "decoder_hidden": ((8, 0),),
    "prior_hidden": ((8.5,),),
    "norm": ("group",),
    "prior_temperature": (0.0, -1.0, float("nan"), float("inf")),
    "min_prior_std": (-0.1, float("nan")),
    "min_observation_std": (0.0, -1.0),
    "observation_noise": (-0.1, float("nan")),
    "kl_weight": (-1.0, float("inf")),
    "batch_size": (0, -1, 1.5),
    "learning_rate": (0.0, -1.0, float("nan"), float("inf"), None),
    "learning_rate_decay": ("step",),
    "optimizer": ("sgd",),
    "validation_fraction": (1.0, -0.1),
    "normalize_observations": ("yes",),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in OUT_OF_RANGE.items() for value in bad])
def test_values_out_of_range_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} is .*: expected "):
        SkillExtractor(dataset(), **{name: value})


def test_every_setting_has_a_case_above() -> None:
    assert set(OUT_OF_RANGE) == {*SkillModelSettings.names(), *ExtractionSettings.names()}


def test_an_lstm_has_one_size() -> None:
    with pytest.raises(SettingsError, match="an LSTM takes one hidden size"):
        SkillModelSettings(encoder="lstm")
    assert SkillModelSettings(encoder="lstm", encoder_hidden=(8,)).encoder == "lstm"


def test_names_are_those_of_networks_and_optimisers() -> None:
    assert set(ENCODERS) == set(SKILL_ENCODERS)
    assert set(OPTIMIZER_NAMES) == set(OPTIMIZERS)


def test_unknown_names_are_refused_with_the_list() -> None:
    with pytest.raises(
        SettingsError, match=r"SkillExtractor has no setting 'horizn' \(did you mean 'horizon'\?\).*norm"
    ):
        SkillExtractor(dataset(), horizn=10)
    with pytest.raises(SettingsError, match=r"no setting 'kl_weight': expected one of horizon"):
        SkillModel(OBSERVATIONS, ACTIONS, kl_weight=1.0)


def test_numbers_from_numpy_are_plain_afterwards() -> None:
    numpys = {"horizon": np.int64(4), "encoder_hidden": np.array([8, 8]), "prior_temperature": np.float32(0.5)}
    settings = SkillExtractor(dataset(), **(SMALL | numpys), seed=np.int64(3), kl_weight=np.float64(0.1)).settings
    assert (settings["horizon"], settings["encoder_hidden"], settings["seed"]) == (4, [8, 8], 3)
    assert all(type(value) in (int, float, str, bool, list, type(None)) for value in settings.values())


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", True])
def test_a_seed_that_is_none(seed: Any) -> None:
    with pytest.raises(SettingsError, match=r"seed is .*: expected None or a whole number from 0"):
        SkillExtractor(dataset(), **SMALL, seed=seed)


def test_the_extractor_says_everything_that_it_uses() -> None:
    extractor = SkillExtractor(dataset("Line-v0"), **SMALL, seed=7, kl_weight=0.5, device="cpu")
    settings = extractor.settings
    assert set(settings) == {
        *SkillModelSettings.names(),
        *ExtractionSettings.names(),
        *("seed", "device", "observation_key", "dataset_id", "env_id"),
    }
    defaults = ExtractionSettings()
    assert settings["kl_weight"] == 0.5
    assert (settings["batch_size"], settings["learning_rate"]) == (defaults.batch_size, defaults.learning_rate)
    assert (settings["seed"], settings["dataset_id"], settings["env_id"]) == (7, "own/line-v0", "Line-v0")


def test_signatures_show_every_setting_with_its_default() -> None:
    for made, records in (
        (SkillModel, (SkillModelSettings,)),
        (SkillExtractor, (SkillModelSettings, ExtractionSettings)),
    ):
        shown = inspect.signature(made).parameters
        for record in records:
            for name, value in record().as_dict().items():
                assert shown[name].default == value
                assert shown[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in shown.values())


# ---------------------------------------------------------------- the extractor takes a model, or its settings


def test_a_model_its_settings_and_flat_names_are_the_same_extraction() -> None:
    flat = SkillExtractor(dataset(), **SMALL, seed=1, batch_size=8)
    record = SkillExtractor(dataset(), SkillModelSettings(**SMALL), seed=1, batch_size=8)
    own = SkillModel(OBSERVATIONS, ACTIONS, **SMALL)
    own.load_state_dict(flat.model.state_dict())
    given = SkillExtractor(dataset(), own, seed=1, batch_size=8)
    assert given.model is own
    first, *others = (extractor.learn(3).state_dict() for extractor in (flat, record, given))
    for other in others:
        assert all(np.array_equal(first[name], value) for name, value in other.items())
    assert flat.settings == record.settings


def test_a_model_that_is_given_has_its_own_settings() -> None:
    model = SkillModel(OBSERVATIONS, ACTIONS, **SMALL)
    with pytest.raises(SettingsError, match="given a model and horizon, norm"):
        SkillExtractor(dataset(), model, horizon=4, norm="none")
    with pytest.raises(SettingsError, match="expected a SkillModel, SkillModelSettings or None"):
        SkillExtractor(dataset(), "mlp")  # type: ignore[arg-type]
    other = SkillModel(OBSERVATIONS, OBSERVATIONS, **SMALL)
    with pytest.raises(SkillMismatchError, match="the dataset own/line-v0 has"):
        SkillExtractor(dataset(), other)


def test_intervals_that_are_none() -> None:
    with pytest.raises(SettingsError, match="log_interval is 0"):
        SkillExtractor(dataset(), **SMALL).learn(1, log_interval=0)


def test_settings_load_without_torch() -> None:
    code = "import sys, simpl_sb3.skills.settings; print([name for name in ('torch', 'minari') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr
