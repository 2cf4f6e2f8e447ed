"""Environments that work off tasks for algorithms with a loop of their own, and one of many as a vec env of its own."""

from typing import Any

import numpy as np
import pytest
from envs_for_tests import LineEnv, LineTask, line_envs
from stable_baselines3.common.vec_env import DummyVecEnv
from stock_for_tests import HORIZON, TASKS, line_skills

from simpl_sb3.errors import EnvironmentSpecError, SettingsError
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.experience.task_vec_env import OneEnv, TaskVecEnv
from simpl_sb3.skills.vec_env import SkillVecEnv

RIGHT = np.full((1, 1), 2.0, np.float32)  # the action 1: 0.3 to the right per env step


def line(number: int, **arguments: Any) -> SkillVecEnv:
    return SkillVecEnv(line_envs(number, **arguments), line_skills())


def test_every_episode_is_handed_on_whole() -> None:
    told: list[tuple[int, FinishedEpisode]] = []
    env = TaskVecEnv(line(2), TASKS, drawn=False, on_episode=lambda *each: told.append(each))
    env.seed(0)
    first = env.reset()
    rewards, ends = np.zeros(2), []
    for _ in range(7):
        _, reward, dones, infos = env.step(np.repeat(RIGHT, 2, axis=0))
        rewards += reward
        ends.append(dones)
        if dones.any():
            assert all("terminal_observation" in infos[i] for i in np.flatnonzero(dones))
    (right, reached), (left, missed) = min(told, key=lambda each: each[0]), told[-1]
    assert (right, left) == (0, 1)
    assert reached.success
    assert not missed.success
    assert reached.job.task == TASKS[0]
    assert missed.job.task == TASKS[1]
    assert np.array_equal(reached.episode.observations[0], first[0])
    assert reached.episode.terminated[-1] == 1.0
    assert (missed.episode.truncated[-1], missed.episode.terminated[-1]) == (1.0, 0.0)
    assert missed.episode.env_steps == 14  # the time limit
    assert reached.episode.total_reward == 1.0
    assert np.array_equal(reached.episode.env_observations[-1], reached.episode.next_observations[-1])
    assert env.finished.tolist() == [sum(end[0] for end in ends), 1]
    assert rewards[1] == 0.0


def test_tasks_are_drawn_by_the_seed() -> None:
    def drawn(seed: int) -> list[str]:
        tasks = tuple(LineTask(float(goal)) for goal in range(30, 40))
        names: list[str] = []
        env = TaskVecEnv(line(1, limit=2), tasks, on_episode=lambda _, finished: names.append(finished.job.task.name))
        env.seed(seed)
        env.reset()
        for _ in range(12):
            _, _, _, infos = env.step(RIGHT)
            assert infos[0]["task"] == names[-1]
        return names

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert len(set(drawn(0))) > 3


def test_an_episode_succeeds_if_any_env_step_did() -> None:
    class GoesOn(LineEnv):
        def step(self, action: np.ndarray) -> Any:
            observation, reward, _, truncated, info = super().step(action)
            return observation, reward, False, truncated, info

    env = TaskVecEnv(SkillVecEnv([GoesOn], line_skills()), (LineTask(0.0),))
    env.reset()
    for _ in range(7):  # starts at the goal and leaves it
        _, _, dones, infos = env.step(RIGHT)
    assert dones[0]
    assert infos[0]["is_success"]


def test_one_of_many_is_stepped_alone() -> None:
    many = line(3)
    many.seed(0)
    many.reset()
    before = [state.copy() for state in many.get_attr("x")]
    one = OneEnv(many, 1)
    one.seed(5)
    start = one.reset()
    assert one.env_method("set_task", LineTask(9.0)) == [None]
    observations, _, _, infos = one.step(RIGHT)
    assert observations.shape == start.shape == (1, 2)
    assert observations[0, 0] == pytest.approx(start[0, 0] + 0.3 * HORIZON)
    assert infos[0]["task"] == "9"
    assert [task.goal for task in many.get_attr("task")] == [1.5, 9.0, 1.5]
    after = many.get_attr("x")
    assert all(np.array_equal(before[i], after[i]) for i in (0, 2))
    one.seed(5)
    assert np.array_equal(one.reset(), start)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SettingsError, match="2, one per environment"):
        TaskVecEnv(line(2), TASKS[:1], drawn=False)
    with pytest.raises(SettingsError, match="expected a sequence of tasks, one or more"):
        TaskVecEnv(line(2), ())
    with pytest.raises(EnvironmentSpecError, match="has none"):
        TaskVecEnv(DummyVecEnv([LineEnv]), TASKS)
