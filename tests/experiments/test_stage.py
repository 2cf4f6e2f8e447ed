"""Stages are values: equal, hashable, JSON, and told from others by what they do."""

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.stage import PlainMapping, Stage

SETTINGS = {"seed": 0, "hidden": (8, 8), "kl_clip": math.inf, "rate": np.float32(0.5), "more": {"task": None}}


def test_equal_stages_are_one_key_of_a_dictionary() -> None:
    first = Stage("extract", SETTINGS, {"dataset": "own/point-v0"}, "skills")
    again = Stage("extract", dict(reversed(SETTINGS.items())), {"dataset": "own/point-v0"}, "skills")
    assert first == again
    assert {first: 1}[again] == 1
    other = Stage("extract", {**SETTINGS, "seed": 1}, {"dataset": "own/point-v0"}, "skills")
    elsewhere = Stage("extract", SETTINGS, {"dataset": "own/point-v0"}, "other")
    assert len({first, again, other, elsewhere}) == 3
    assert first.key == again.key == elsewhere.key != other.key


def test_there_and_back() -> None:
    stage = Stage("adapt", SETTINGS, {"skills": str(Path("runs") / "skills.safetensors")}, "rows.csv")
    text = stage.as_json()
    json.loads(text, parse_constant=pytest.fail)  # no NaN, no Infinity
    assert Stage.from_json(text) == stage
    assert pickle.loads(pickle.dumps(stage)) == stage
    assert Stage.from_json(text).settings["kl_clip"] == math.inf
    assert Stage.from_json(text).settings["hidden"] == [8, 8]


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = {"tasks": ["1-1"]}
    stage = Stage("adapt", settings, {}, "rows.csv")
    before = stage.key
    settings["tasks"].append("2-2")
    stage.settings["tasks"].append("3-3")
    assert stage.key == before
    assert dict(stage.settings) == {"tasks": ["1-1"]}
    assert len(PlainMapping()) == 0


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("practise", {}, "expected one of collect"),
        ("adapt", {"f": print}, "plain data"),
        ("adapt", {"x": math.nan}, "NaN"),
    ],
)
def test_what_is_no_stage_is_refused(kind: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Stage(kind, settings, {}, "")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "adapt"}', '{"schema_version": 9}'])
def test_what_is_no_json_of_a_stage_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"stage"):
        Stage.from_json(text)
