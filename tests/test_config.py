"""Presets name settings that exist, and settings from the command line are checked by name and kind."""

import json
from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest

from simpl_sb3 import PRESETS, AdaptationSettings, SimplError, SkillExtractor, SkillPriorPEARL, preset
from simpl_sb3.config import parse_overrides
from simpl_sb3.pipeline import find_tasks

STAGES: dict[str, Callable[..., Any]] = {
    "extract": SkillExtractor,
    "meta_train": SkillPriorPEARL,
    "adapt": AdaptationSettings,
    "spirl": AdaptationSettings,
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_settings_and_tasks_that_exist(name: str) -> None:
    chosen = preset(name)
    assert chosen.name == name
    for stage, target in STAGES.items():
        assert set(getattr(chosen, stage)) <= set(signature(target).parameters)
        assignments = [f"{key}={json.dumps(value)}" for key, value in getattr(chosen, stage).items()]
        assert parse_overrides(assignments, target) == getattr(chosen, stage)
    assert AdaptationSettings(**chosen.adapt).n_episodes == 205
    assert AdaptationSettings(**chosen.spirl).n_exploration_episodes == 0
    train, test = find_tasks(chosen.env_id, chosen.train_tasks), find_tasks(chosen.env_id, chosen.test_tasks)
    assert train
    assert test
    assert not set(train) & set(test)


def test_published_sizes() -> None:
    chosen = preset("maze-paper")
    assert (chosen.n_trajectories, len(find_tasks(chosen.env_id, chosen.train_tasks))) == (3046, 40)
    assert (chosen.meta_train["context_sizes"], chosen.meta_train["tasks_per_update"]) == ((4, 8192), (4, 26))
    assert (chosen.meta_train["batch_size"], chosen.meta_train["learning_rate"]) == (1024, 3e-4)
    assert not chosen.meta_train["hindsight"]
    assert chosen.meta_train["exploration"] == "prior"


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(SimplError, match="No preset 'maze': expected one of maze-paper, maze-fast"):
        preset("maze")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("n_episodes=40", 40),
        ("learning_rate=3e-4", 3e-4),
        ("gamma=1", 1),
        ("context_size=null", None),
        ("net_arch=[256, 256]", (256, 256)),
        ("exploration=prior", "prior"),
        ("reuse_exploration=false", False),
    ],
)
def test_overrides(assignment: str, value: object) -> None:
    settings = parse_overrides([assignment], AdaptationSettings)
    assert settings == {assignment.partition("=")[0]: value}
    AdaptationSettings(**settings)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("n_episode=40", "expected name=value with one of the names n_episodes, "),
        ("n_episodes", "expected name=value"),
        ("n_episodes=forty", "expected int"),
        ("n_episodes=4.5", "expected int"),
        ("n_episodes=true", "expected int"),
        ("gamma=high", "expected float"),
        ("reuse_exploration=1", "expected bool"),
        ("net_arch=256", r"expected tuple\[int, \.\.\.\]"),
        ('net_arch=[256, "x"]', r"expected tuple\[int, \.\.\.\]"),
        ("context_size=all", r"expected int \| None"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(assignment: str, expected: str) -> None:
    with pytest.raises(SimplError, match=f"^--set .*{expected}"):
        parse_overrides([assignment], AdaptationSettings)


def test_a_pair_is_two() -> None:
    assert parse_overrides(["context_sizes=[4, 8]"], SkillPriorPEARL.__init__) == {"context_sizes": (4, 8)}
    with pytest.raises(SimplError, match=r"tuple\[int, int\]"):
        parse_overrides(["context_sizes=[4]"], SkillPriorPEARL.__init__)


@pytest.mark.parametrize("name", ["self", "env", "seed", "device", "_init_setup_model"])
def test_what_has_an_option_of_its_own_is_not_a_setting(name: str) -> None:
    with pytest.raises(SimplError, match="expected name=value"):
        parse_overrides([f"{name}=0"], SkillPriorPEARL.__init__)


@pytest.mark.parametrize(
    "wrong", [{"exploration": "random"}, {"n_episodes": 0}, {"n_episodes": 5}, {"n_exploration_episodes": -1}]
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SimplError, match="expected"):
        AdaptationSettings(**wrong)
