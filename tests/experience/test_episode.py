"""Recorded episodes in skills: rows by hand, and what does not fit."""

from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import ACTIONS, HORIZON, OBSERVATIONS, SKILL_DIM, tiny_skills

from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.episode import RecordedEpisode
from simpl_sb3.skills.primitive import PrimitiveActions

LENGTH = 2 * HORIZON + 1
OBSERVED = np.arange(2 * (LENGTH + 1), dtype=np.float32).reshape(-1, 2)
DONE = np.linspace(-1, 1, LENGTH, dtype=np.float32)[:, None]


def recorded(**changes: Any) -> RecordedEpisode:
    whole: dict[str, Any] = {
        "observations": OBSERVED,
        "rewards": np.arange(LENGTH),
        "actions": DONE,
        "terminated": True,
    }
    return RecordedEpisode(**(whole | changes))


def test_rows_are_skills_of_horizon_env_steps() -> None:
    episode = recorded().in_skills(tiny_skills())
    assert episode.skill_steps.tolist() == [HORIZON, HORIZON, 1]
    assert episode.rewards.tolist() == [0 + 1 + 2 + 3, 4 + 5 + 6 + 7, 8]
    assert np.array_equal(episode.observations, OBSERVED[[0, HORIZON, 2 * HORIZON]])
    assert np.array_equal(episode.next_observations, OBSERVED[[HORIZON, 2 * HORIZON, LENGTH]])
    assert episode.terminated.tolist() == [0, 0, 1]
    assert episode.truncated.tolist() == [0, 0, 0]
    assert recorded(terminated=False).in_skills(tiny_skills()).truncated.tolist() == [0, 0, 1]
    assert np.array_equal(episode.env_observations, OBSERVED[1:])  # type: ignore[arg-type]


def test_latents_are_those_of_the_encoder_the_last_from_the_last_window() -> None:
    skills = tiny_skills()
    starts = np.array([0, HORIZON, LENGTH - HORIZON])
    windows = np.stack([OBSERVED[start : start + HORIZON + 1] for start in starts])
    done = np.stack([DONE[start : start + HORIZON] for start in starts])
    with th.no_grad():
        expected = skills.encode(th.from_numpy(windows), th.from_numpy(done))[0].clamp(-3, 3).numpy()
    assert np.allclose(recorded().in_skills(skills).actions, expected, atol=1e-6)


def test_primitive_actions_are_their_own_latents() -> None:
    episode = recorded().in_skills(PrimitiveActions(OBSERVATIONS, ACTIONS))
    assert np.array_equal(episode.actions, DONE)
    assert len(episode) == LENGTH


def test_given_latents_are_kept() -> None:
    z = np.random.default_rng(0).normal(size=(3, SKILL_DIM)).astype(np.float32)
    assert np.array_equal(recorded(actions=None, latents=z).in_skills(tiny_skills()).actions, z)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": None}, "actions or latents"),
        ({"rewards": np.zeros(3)}, r"rewards \(3,\)"),
        ({"observations": np.full((LENGTH + 1, 2), np.nan)}, "observations hold NaN"),
        ({"observations": np.zeros((LENGTH + 1, 3))}, r"are \(3,\): expected \(2,\)"),
        ({"actions": np.zeros((LENGTH, 2))}, r"actions are \(9, 2\): expected \(L, 1\)"),
        ({"actions": None, "latents": np.zeros((2, SKILL_DIM))}, r"latents are \(2, 3\): expected \(3, 3\)"),
        ({"observations": OBSERVED[:3], "rewards": np.zeros(2), "actions": DONE[:2]}, "latents of a shorter episode"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        recorded(**changes).in_skills(tiny_skills())
