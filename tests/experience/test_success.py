"""What counts as a success: an episode in which any env step was one, however the environment says so."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from envs_for_tests import ACTIONS, HORIZON, OBSERVATIONS, tiny_skills
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from simpl_sb3.errors import EnvironmentSpecError
from simpl_sb3.experience.collector import EpisodeCollector, FinishedEpisode, Job
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper

LENGTH = 2 * HORIZON


class SaysSo(gym.Env[np.ndarray, np.ndarray]):
    """Succeeds at one env step of its episode, and goes on."""

    observation_space, action_space = OBSERVATIONS, ACTIONS

    def __init__(self, at: int, key: str | None, yes: Any = True, no: Any = False) -> None:
        self.at, self.key, self.yes, self.no = at, key, yes, no
        self.steps = 0

    def set_task(self, task: Any) -> None:
        pass

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        info = {} if self.key is None else {self.key: self.yes if self.steps == self.at else self.no}
        return np.zeros(2, np.float32), 0.0, False, self.steps >= LENGTH, info


def collected(env: VecEnv) -> list[FinishedEpisode]:
    """One episode of each environment."""
    env.reset()
    jobs = {i: [Job(None, i, "any")] for i in range(env.num_envs)}
    act = lambda observations, _: np.zeros((len(observations), env.action_space.shape[0]), np.float32)  # noqa: E731
    collector = EpisodeCollector(env, act, lambda i: jobs[i].pop() if jobs[i] else None, lambda job: th.zeros(1), 1)
    finished: list[FinishedEpisode] = []
    while collector.active.any():
        finished += collector.step().finished
    return sorted(finished, key=lambda episode: episode.job.task_index)


def made(kind: str, *envs: tuple[Any, ...]) -> VecEnv:
    makers = [lambda given=given: SaysSo(*given) for given in envs]
    if kind == "SkillVecEnv":
        return SkillVecEnv(makers, tiny_skills())  # type: ignore[arg-type]
    return DummyVecEnv([lambda make=make: SkillActionWrapper(make(), tiny_skills()) for make in makers])  # type: ignore[list-item]


both = pytest.mark.parametrize("kind", ["SkillVecEnv", "DummyVecEnv"])
NEVER = 99


@both
@pytest.mark.parametrize("key", ["is_success", "success"])
def test_a_success_within_a_skill_counts_though_the_episode_goes_on(kind: str, key: str) -> None:
    ats = (1, 2, HORIZON, HORIZON + 1, LENGTH, NEVER)
    episodes = collected(made(kind, *((at, key) for at in ats)))
    assert [episode.success for episode in episodes] == [at != NEVER for at in ats]
    assert all(episode.success_known for episode in episodes)


@both
def test_numbers_count_as_well(kind: str) -> None:
    episodes = collected(made(kind, (3, "success", 1.0, 0.0), (NEVER, "success", 1.0, 0.0)))
    assert [episode.success for episode in episodes] == [True, False]
    with pytest.raises(
        EnvironmentSpecError, match=r"Environment 0: .*success.* is 0\.5; expected True or False|The env"
    ):
        collected(made(kind, (3, "success", 0.5, 0.0)))


@both
def test_an_environment_that_says_nothing_is_told_of(kind: str) -> None:
    with pytest.warns(UserWarning, match="neither 'is_success' nor 'success'"):
        (episode,) = collected(made(kind, (3, None)))
    assert (episode.success, episode.success_known) == (False, False)
