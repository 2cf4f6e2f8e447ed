"""Intervals over all levels: what is drawn together, what is not, and numbers that can be checked by hand."""

import numpy as np
import pytest

from simpl_sb3.results.estimates import AgentEpisodes
from simpl_sb3.results.levels import (
    improvement,
    interquartile_mean,
    level_counts,
    mean_over_levels,
    paired_difference,
    performance_profile,
    resampled,
    skill_spread,
)


def agents(n_skills: int = 3, n_trainings: int = 2, n_tasks: int = 4, n_agents: int = 2) -> AgentEpisodes:
    every = [
        (f"task {task}", 100 * skill + 10 * training + agent, f"s{skill}", f"s{skill} t{training}")
        for task in range(n_tasks)
        for skill in range(n_skills)
        for training in range(n_trainings)
        for agent in range(n_agents)
    ]
    tasks, seeds, skills, trainings = zip(*every, strict=True)
    return AgentEpisodes(tasks, seeds, np.zeros((len(tasks), 1)), skills, trainings)


def test_every_level_is_counted() -> None:
    assert list(level_counts(agents()).values()) == [3, 6, 4, 2]
    unknown = AgentEpisodes(("a", "b"), (0, 0), np.zeros((2, 1)))
    assert list(level_counts(unknown).values()) == [1, 1, 2, 1]


def test_weights_are_whole_skill_models_and_whole_tasks() -> None:
    some = agents()
    weights = resampled(some, "x")
    assert np.allclose(weights.sum(axis=1), 1)
    assert np.allclose(weights.mean(axis=0), 1 / len(some.tasks), rtol=0.1)
    skills, tasks = np.array(some.skills), np.array(some.tasks)
    for task in set(some.tasks):
        for skill in set(some.skills):
            cell = weights[:, (skills == skill) & (tasks == task)]
            assert (cell == cell[:, :1]).all()  # what comes from one skill model stays together


def test_one_skill_model_leaves_the_meta_trainings_and_one_of_these_the_agents() -> None:
    several = agents(n_skills=1)
    trainings = np.array(several.trainings)
    drawn = [resampled(several, "x")[:, trainings == name].sum(axis=1) for name in sorted(set(several.trainings))]
    assert np.allclose(np.unique(np.round(drawn[0], 6)), [0, 1])  # of two, one is drawn
    alone = resampled(agents(n_skills=1, n_trainings=1), "x")
    assert len(np.unique(np.round(alone, 9))) > 2


def test_the_spread_of_skill_models_is_in_the_interval() -> None:
    some = agents(n_tasks=10)
    skill = np.array([int(name[1:]) for name in some.skills], float)
    found = mean_over_levels(some, skill, "x")  # 0, 1 and 2, and nothing else differs
    assert (found.mean, found.low, found.high) == (1.0, 0.0, 2.0)
    assert skill_spread(some, skill).means == {"s0": 0.0, "s1": 1.0, "s2": 2.0}
    assert skill_spread(some, skill).deviation == 1.0
    even = mean_over_levels(some, np.ones(len(skill)), "x")
    assert (even.low, even.high) == (1.0, 1.0)


def test_the_interquartile_mean_leaves_out_both_ends() -> None:
    some = agents(n_skills=1, n_trainings=1, n_tasks=8, n_agents=1)
    found = interquartile_mean(some, np.array([0, 0, 1, 2, 3, 4, 100, 100], float), "x")
    assert found.mean == pytest.approx((1 + 2 + 3 + 4) / 4)
    six = agents(n_skills=1, n_trainings=1, n_tasks=6, n_agents=1)  # half of an agent on each side
    assert interquartile_mean(six, np.arange(6.0), "x").mean == pytest.approx((0.5 * 1 + 2 + 3 + 0.5 * 4) / 3)


def test_differences_are_paired_in_tasks_and_skill_models() -> None:
    some = agents(n_agents=1)
    rng = np.random.default_rng(0)
    hard = {task: rng.normal() for task in some.tasks}
    good = {skill: rng.normal() for skill in some.skills}
    shared = np.array([hard[task] + good[skill] for task, skill in zip(some.tasks, some.skills, strict=True)])
    found = paired_difference((some, shared + 0.25, "a"), (some, shared, "b"))
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0.25,) * 3)
    assert mean_over_levels(some, shared, "a").high - mean_over_levels(some, shared, "a").low > 0.5


def test_only_shared_tasks_are_compared() -> None:
    two, other = agents(n_tasks=2), agents(n_tasks=1)
    values = np.array([float(task == "task 1") for task in two.tasks])
    found = paired_difference((two, values, "a"), (other, np.zeros(len(other.tasks)), "b"))
    assert found is not None
    assert found.mean == 0.0
    strangers = AgentEpisodes(("else",), (0,), np.zeros((1, 1)))
    assert paired_difference((two, values, "a"), (strangers, np.zeros(1), "b")) is None
    assert improvement((two, values, "a"), (strangers, np.zeros(1), "b")) is None


def test_the_probability_of_improvement_counts_pairs_within_tasks() -> None:
    some = agents(n_skills=1, n_trainings=1, n_tasks=2, n_agents=2)
    # on the first task 3 of 4 pairs are better and one is a tie; on the second all are worse
    found = improvement((some, np.array([2, 3, 10, 10.0]), "a"), (some, np.array([1, 2, 20, 20.0]), "b"))
    assert found is not None
    assert found.mean == pytest.approx((3.5 / 4 + 0) / 2)
    assert 0 <= found.low <= found.mean <= found.high <= 1


def test_a_profile_falls_from_all_agents() -> None:
    some = agents(n_skills=1, n_trainings=1, n_tasks=4, n_agents=1)
    found = performance_profile(some, np.array([0.0, 0.5, 0.5, 1.0]), "x", np.array([0.0, 0.5, 0.6, 1.0]))
    assert found.share.tolist() == [1.0, 0.75, 0.25, 0.25]
    assert (found.low <= found.share).all()
    assert (found.share <= found.high).all()


def test_equal_values_give_equal_intervals() -> None:
    some = agents()
    values = np.random.default_rng(1).random(len(some.tasks))
    assert mean_over_levels(some, values, "x") == mean_over_levels(some, values.copy(), "x")
