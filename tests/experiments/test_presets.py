"""Presets are checked when they are made, and the published ones hold what the published numbers used."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simpl_sb3 import PRESETS, AdaptationSettings, SimplError, preset
from simpl_sb3.algorithms.settings import MetaTrainingSettings
from simpl_sb3.domains import Domain, find_domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.presets import Preset, find_preset, presets_domain, split_settings
from simpl_sb3.methods import METHODS
from simpl_sb3.skills.settings import ExtractionSettings, SkillModelSettings

PUBLISHED = json.loads(Path(__file__).with_name("published_presets.json").read_text())
"""Every setting behind the published numbers, resolved at the revision that made them."""


MAZE, KITCHEN = find_domain("maze"), find_domain("kitchen")
OWN = Domain(name="own", env_id="Own-v0", task_sets={})


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("name", PUBLISHED)
def test_general_defaults_may_move_but_published_presets_do_not(name: str) -> None:
    chosen, published = preset(name), PUBLISHED[name]
    skills = {}
    for record in split_settings(chosen.extract, SkillModelSettings, ExtractionSettings):
        skills |= record.as_dict()
    resolved = {
        "extract": skills,
        "meta_train": MetaTrainingSettings.of(chosen.meta_train).as_dict(),
        "adapt": AdaptationSettings.of(chosen.adapt).as_dict(),
        "spirl": AdaptationSettings.of(chosen.spirl).as_dict(),
        "meta_train_env": dict(chosen.meta_train_env),
        "collect": dict(chosen.collect),
        "amounts": {key: getattr(chosen, key) for key in ("n_trajectories", "skill_updates", "meta_timesteps")},
    }
    left_to_the_model = set(METHODS["simpl"].follows_model) - set(chosen.adapt)  # whose own settings are in meta_train
    for section, values in resolved.items():
        now, wanted = as_json(values), dict(published[section])
        if section == "adapt":
            wanted = {key: value for key, value in wanted.items() if key not in left_to_the_model}
        assert {key: now[key] for key in wanted} == wanted, section


def test_general_presets_fit_every_domain() -> None:
    assert PRESETS["default"].domain is None
    assert PRESETS["paper"].domain is None
    for domain in (MAZE, KITCHEN, OWN):
        assert find_preset("default", domain) is PRESETS["default"]
        assert find_preset("paper", domain) is PRESETS.get(f"{domain.name}-paper", PRESETS["paper"])
    assert find_preset("fast", KITCHEN) is PRESETS["kitchen-fast"]
    assert find_preset(None, MAZE) is PRESETS["maze-fast"]
    assert find_preset(None, OWN) is PRESETS["default"]
    assert presets_domain("kitchen-fast") == "kitchen"
    assert presets_domain("paper") is presets_domain(None) is None


@pytest.mark.parametrize("name", [name for name, chosen in PRESETS.items() if chosen.domain])
def test_presets_fit_their_domains(name: str) -> None:
    chosen = preset(name)
    domain = find_domain(str(chosen.domain))
    assert chosen.name == name
    domain.needs_demonstrator().settings.of(chosen.collect)
    domain.check_env_settings(chosen.meta_train_env)
    train, test = domain.tasks(domain.train_tasks), domain.tasks(domain.test_tasks)
    assert train
    assert test
    assert not set(train) & set(test)
    *tasks, dataset_id = PUBLISHED[name]["tasks"]
    assert [domain.train_tasks, domain.test_tasks, domain.needs_demonstrator().dataset_id] == [*tasks, dataset_id]


def test_unknown_presets_and_those_of_another_domain_are_refused() -> None:
    with pytest.raises(
        SimplError,
        match="No preset 'maze': expected one of default, paper, kitchen-paper, kitchen-fast, maze-paper, maze-fast",
    ):
        preset("maze")
    with pytest.raises(SettingsError, match="No preset 'fast': expected one of"):
        find_preset("fast", OWN)
    with pytest.raises(
        SettingsError, match="maze-fast is for the domain maze, not for kitchen: expected one of default"
    ):
        find_preset("maze-fast", KITCHEN)


@pytest.mark.parametrize(
    ("section", "wrong", "message"),
    [
        ("extract", {"kl_wieght": 1.0}, "did you mean 'kl_weight'"),
        ("extract", {"gamma": 0.9}, "SkillModelSettings and ExtractionSettings has no setting 'gamma'"),
        ("meta_train", {"n_episodes": 3}, "MetaTrainingSettings has no setting 'n_episodes'"),
        ("meta_train", {"gamma": 1.5}, "gamma is 1.5"),
        ("adapt", {"n_episodes": 3}, "20 exploring episodes of 3"),
        ("spirl", {"tasks_per_update": (1, 2)}, "AdaptationSettings has no setting"),
    ],
)
def test_a_typo_shows_when_the_preset_is_made(section: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=f"Preset mine: .*{message}"):
        Preset(name="mine", **{section: wrong})  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="meta_timesteps is 0"):
        Preset(name="mine", meta_timesteps=0)


def test_a_preset_of_your_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from simpl_sb3.experiments.presets import Preset\n"
        "MINE = Preset(name='mine', domain='maze', adapt={'n_episodes': 40}, sections={'own': {'width': 3}})\n"
    )
    found = find_preset(str(file), MAZE)
    assert found.section("adapt") == {"n_episodes": 40}
    assert found.section("own") == {"width": 3}
    assert found.section("other") == {}
    assert presets_domain(f"{file}:MINE") == "maze"


def test_published_sizes() -> None:
    chosen = preset("maze-paper")
    assert (chosen.n_trajectories, len(find_domain("maze").tasks("train-40"))) == (3046, 40)
    assert (chosen.meta_train["context_sizes"], chosen.meta_train["tasks_per_update"]) == ((4, 8192), (4, 26))
    assert (chosen.meta_train["batch_size"], chosen.meta_train["learning_rate"]) == (1024, 3e-4)
    assert not chosen.meta_train["hindsight"]
    kitchen = preset("kitchen-paper")
    assert kitchen.meta_timesteps * 10 == 6_400_000  # env steps: 500 epochs of two episodes per task are 6,440,000
    assert (len(kitchen.extract["decoder_hidden"]), len(kitchen.extract["prior_hidden"])) == (6, 7)


def test_a_domain_brings_its_own_presets() -> None:
    fast = Preset(name="own-fast", domain="own", skill_updates=7)
    own = replace(OWN, presets=(fast,))
    assert find_preset(None, own) is find_preset("fast", own) is find_preset("own-fast", own) is fast
    assert find_preset("default", own) is PRESETS["default"]
    for wrong in (replace(fast, domain="maze"), replace(fast, name="fast"), "fast"):
        with pytest.raises(SettingsError, match="Domain own: presets holds"):
            replace(OWN, presets=(wrong,))
