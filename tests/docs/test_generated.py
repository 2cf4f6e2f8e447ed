"""Tables of the site are read from the code, and say all of it."""

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from blocks_for_tests import ROOT, docs_module

from simpl_sb3.algorithms.settings import AdaptationSettings, MetaTrainingSettings
from simpl_sb3.experiments.presets import PRESETS
from simpl_sb3.experiments.verbs import VERBS
from simpl_sb3.settings import Settings, setting
from simpl_sb3.skills.settings import ExtractionSettings, SkillModelSettings

pytest.importorskip("sphinx", reason="the extra docs is not installed")
ROOMS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api").glob("*.md")}


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    return docs_module("generated")


def test_every_setting_is_a_row_with_its_default(generated: ModuleType) -> None:
    rows = generated.settings_table(AdaptationSettings).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == AdaptationSettings.names()
    (episodes,) = [row for row in rows if row.startswith("| `n_episodes`")]
    assert "| whole number | `205` | ≥ 1, ≤ 1e+07 | episodes in all" in episodes


def test_a_setting_without_description_is_refused(generated: ModuleType) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Undescribed(Settings):
        """Nothing is said."""

        width: int = setting(3, at_least=1)

    with pytest.raises(ValueError, match=r"Undescribed\.width has no description"):
        generated.settings_table(Undescribed)


def test_every_preset_is_listed(generated: ModuleType) -> None:
    text = generated.preset_tables()
    assert all(f"### `{name}`" in text for name in PRESETS)


def test_every_verb_has_its_help_on_the_site(generated: ModuleType) -> None:
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    assert all(f"```{{command-help}} {verb}\n" in page for verb in VERBS)
    assert "--n-episodes" in generated.help_of("adapt")


def test_every_module_is_in_a_room(generated: ModuleType) -> None:
    packages = [
        line.split()[1] for text in ROOMS.values() for line in text.splitlines() if line.startswith("```{room}")
    ]
    shown = [name for package in packages for name in generated.modules_of(package)]
    every = {name for package in ("simpl_sb3", "simpl_envs") for name in generated.modules_of(package)}
    assert every - set(shown) == {"simpl_sb3"}  # whose names are those of its rooms
    assert len(shown) == len(set(shown))


def test_every_method_has_a_page() -> None:
    from simpl_sb3.methods import METHODS

    pages = {path.stem for path in Path(ROOT / "docs" / "methods").glob("*.md")}
    assert set(METHODS) <= pages


def test_whoever_comes_from_the_published_scripts_is_sent_to_settings_that_there_are() -> None:
    page = (ROOT / "docs" / "from_scripts.md").read_text(encoding="utf-8")
    tables = page.split("## Skill extraction")[1].split("## What is different")[0]
    ours = [line.split("|")[-2] for line in tables.splitlines() if line.startswith("| ") and "|---" not in line]
    named = {name for cell in ours for name in re.findall(r"`([a-z_]+)(?:=[^`]*)?`", cell)}
    records = (AdaptationSettings, MetaTrainingSettings, ExtractionSettings, SkillModelSettings)
    elsewhere = {"max_episode_steps"}  # of the environment
    assert named - elsewhere <= {name for record in records for name in record.names()}
    assert len(named) > 30
