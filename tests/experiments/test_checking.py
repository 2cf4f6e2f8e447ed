"""Skills judged before any learning: numbers worked out by hand, and the table's verdicts."""

from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from envs_for_tests import straight_skills, tiny_skills
from own_domain_for_tests import DOMAIN, LineEnv, Reach

from simpl_sb3 import DemonstrationDataset, Episode, PrimitiveActions
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.checking import PriorLife, findings, fit_to, live_prior


@pytest.fixture
def skills() -> Any:
    return straight_skills(LineEnv.observation_space, LineEnv.action_space, horizon=4)


def life(reached: list[int], tried: int = 10) -> PriorLife:
    tasks = tuple(type("Task", (), {"name": f"t{k}"})() for k in range(len(reached)))
    return PriorLife(tasks, (), np.array(reached), np.full(len(reached), tried))


def test_coverage_is_the_share_of_tasks_that_n_episodes_reach() -> None:
    assert life([0, 5]).coverage(2) == pytest.approx((0.0 + 0.75) / 2)
    assert life([10, 10]).coverage(1) == 1.0
    np.testing.assert_allclose(life([1, 4]).shares, [0.1, 0.4])


def test_the_prior_lives_under_every_task_and_episodes_count_for_all(skills: Any) -> None:
    lived = live_prior(skills, DOMAIN, n_episodes=8, seed=0)
    assert len(lived.episodes) == 8
    assert {one.job.task.name for one in lived.episodes} == {task.name for task in DOMAIN.sets["train"]}
    np.testing.assert_array_equal(lived.tried, [8, 8])  # relabelled for the other task
    for index, task in enumerate(lived.tasks):
        by_hand = sum(bool(task.rewards(one.episode.env_observations)[0].any()) for one in lived.episodes)
        assert lived.reached[index] == by_hand
    assert lived.reached.sum() > 0


def test_equal_seeds_live_alike(skills: Any) -> None:
    one, two, other = (live_prior(skills, DOMAIN, n_episodes=3, seed=seed) for seed in (1, 1, 2))
    actions = [np.concatenate([each.episode.actions for each in lived.episodes]) for lived in (one, two, other)]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert actions[0].shape != actions[2].shape or (actions[0] != actions[2]).any()


@dataclass(frozen=True)
class Blind:
    """A task whose rewards only the environment knows."""

    place: Reach

    @property
    def name(self) -> str:
        return self.place.name


class BlindEnv(LineEnv):
    def set_task(self, task: Any) -> None:
        self.task = task.place


def test_tasks_without_rewards_count_for_themselves(skills: Any) -> None:
    blind = tuple(Blind(task) for task in DOMAIN.sets["train"])
    gym.register("BlindLine-v0", BlindEnv, max_episode_steps=20)
    try:
        lived = live_prior(skills, replace(DOMAIN, env_id="BlindLine-v0", task_sets={"train": blind}), n_episodes=4)
    finally:
        gym.registry.pop("BlindLine-v0")
    np.testing.assert_array_equal(lived.tried, [2, 2])


def test_fit_explains_all_of_what_is_decoded_and_nothing_of_noise() -> None:
    skills = tiny_skills()
    rng = np.random.default_rng(0)
    episodes = [Episode(rng.normal(size=(21, 2)), rng.uniform(-1, 1, (20, 1))) for _ in range(4)]
    data = DemonstrationDataset.from_episodes(episodes, skills.observation_space, skills.action_space, horizon=4)
    fit = fit_to(skills, data)
    assert set(fit) == {"reconstruction", "from_prior", "kl", "prior_kl"}
    assert fit["reconstruction"] < 0.3  # random weights explain no noise
    assert all(np.isfinite(list(fit.values())))


def test_skills_without_an_encoder_are_refused() -> None:
    skills = tiny_skills()
    episodes = [Episode(np.zeros((6, 2)), np.zeros((5, 1)))]
    data = DemonstrationDataset.from_episodes(episodes, skills.observation_space, skills.action_space)
    with pytest.raises(SettingsError, match="expected a SkillModel"):
        fit_to(PrimitiveActions(skills.observation_space, skills.action_space), data)


@pytest.mark.parametrize(
    ("reached", "fit", "expected"),
    [
        ([10, 10, 10], {"reconstruction": 0.9, "kl": 5.0, "prior_kl": 3.0}, ["good"] * 3 + ["info", "good", "good"]),
        (
            [0, 0, 0],
            {"reconstruction": 0.9, "kl": 0.5, "prior_kl": 0.6},
            ["good", "weak", "weak", "info", "poor", "poor"],
        ),
        (
            [10, 0, 0],
            {"reconstruction": 0.1, "kl": 50.0, "prior_kl": 3.0},
            ["poor", "weak", "good", "info", "weak", "weak"],
        ),
    ],
)
def test_verdicts(reached: list[int], fit: dict[str, float], expected: list[str]) -> None:
    assert [row.verdict for row in findings(life(reached), {**fit, "from_prior": 0.0})] == expected


def test_without_data_the_table_says_why() -> None:
    first = findings(life([5]), None, "not measured: there is none")[0]
    assert (first.value, first.verdict, first.text) == (None, "info", "not measured: there is none")
