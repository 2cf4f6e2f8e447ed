"""Demonstrations that memory should not hold stay on disk, and nothing shows it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box

from simpl_sb3.demonstrations.minari import load_minari, write_minari
from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode
from simpl_sb3.skills.extractor import SkillExtractor

OBSERVATIONS, ACTIONS = Box(-9.0, 9.0, (2,), np.float32), Box(-1.0, 1.0, (1,), np.float32)


def test_a_dataset_larger_than_memory_allows_stays_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    episodes = [Episode(np.zeros((length + 1, 2)), np.zeros((length, 1))) for length in (12, 30)]
    path = write_minari("simpl/large-v0", episodes, OBSERVATIONS, ACTIONS)
    before = sorted(path.rglob("*"))
    assert load_minari("simpl/large-v0", 10).folder is None
    monkeypatch.setattr("simpl_sb3.demonstrations.flat.MEMORY_SHARE", 0.0)
    dataset = load_minari("simpl/large-v0", 10)
    assert dataset.folder == path / "data"
    assert (dataset.n_episodes, dataset.n_steps) == (2, 42)
    assert sorted(path.rglob("*")) == before
    assert load_minari("simpl/large-v0", 10, in_memory=True).folder is None
    assert load_minari("simpl/large-v0", 10, in_memory=False).n_windows(10) == dataset.n_windows(10)


def test_skills_from_disk_are_those_from_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    episodes = [Episode(rng.normal(size=(31, 2)), rng.uniform(-1.0, 1.0, (30, 1))) for _ in range(8)]
    small: dict[str, Any] = {f"{part}_hidden": (8,) for part in ("encoder", "decoder", "prior")}
    small |= {"horizon": 5, "skill_dim": 2, "batch_size": 16, "seed": 0, "device": "cpu"}
    found = []
    for folder in (None, tmp_path):
        data = DemonstrationDataset.from_episodes(episodes, OBSERVATIONS, ACTIONS, folder=folder)
        found.append(SkillExtractor(data, **small).learn(20).state_dict())
    assert all(bool((found[0][name] == found[1][name]).all()) for name in found[0])
