"""Trials: what a row shows, where memory is kept and where it is cleared."""

from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import LineTask, line_envs
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.callbacks import BaseCallback
from stock_for_tests import TASKS, line_skills

from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.task_vec_env import features_of
from simpl_sb3.experience.trial_vec_env import TrialVecEnv
from simpl_sb3.skills.vec_env import SkillVecEnv

RIGHT = np.full((1, 1), 2.0, np.float32)


def trials(number: int = 1, episodes: int = 2, tasks: Any = TASKS[:1], **more: Any) -> TrialVecEnv:
    env = TrialVecEnv(
        SkillVecEnv(line_envs(number, limit=6), line_skills()), tasks, episodes_per_trial=episodes, **more
    )
    env.seed(0)
    return env


def test_a_row_shows_features_skill_reward_and_end() -> None:
    env = trials(tasks=(LineTask(2.0),))
    start = env.reset()
    assert start.shape == (1, 2 + 1 + 2)
    assert start.dtype == np.float32
    assert start[0, 2:].tolist() == [0.0, 0.0, 0.0]  # nothing was done yet
    row = env.step(RIGHT)[0]
    assert row[0, 2:].tolist() == [2.0, 0.0, 0.0]
    after, reward, dones, infos = env.step(RIGHT)  # reaches the goal
    assert reward.tolist() == [1.0]
    assert after[0, 2:].tolist() == [2.0, 1.0, 1.0]
    assert not dones[0]  # one episode of two
    assert 1.0 <= infos[0]["terminal_observation"][0] < 1.3
    assert abs(after[0, 0]) <= 0.2  # the next episode's start
    assert np.array_equal(after[0, :2], features_of(env.skills, after[0, :2]))  # these skills' statistics are 0 and 1


def test_trials_end_after_their_episodes_whatever_ended_those() -> None:
    env = trials(tasks=(LineTask(30.0),))  # out of reach: episodes are truncated after three skills
    env.reset()
    seen = [env.step(RIGHT) for _ in range(12)]
    assert [bool(dones[0]) for _, _, dones, _ in seen] == [False] * 5 + [True] + [False] * 5 + [True]
    assert not any(infos[0].get("TimeLimit.truncated") for _, _, dones, infos in seen if dones[0])
    assert seen[2][0][0, 2:].tolist() == [2.0, 0.0, 1.0]
    assert seen[5][0][0, 2:].tolist() == [0.0, 0.0, 0.0]  # a new trial knows nothing


def test_a_task_stays_for_a_trial() -> None:
    tasks = tuple(LineTask(float(goal)) for goal in range(30, 40))
    names: list[str] = []
    env = trials(tasks=tasks, episodes=3, on_episode=lambda _, finished: names.append(finished.job.task.name))
    env.reset()
    for _ in range(3 * 3 * 6):
        env.step(RIGHT)
    assert len(names) == 18
    by_trial = [set(names[i : i + 3]) for i in range(0, 18, 3)]
    assert all(len(each) == 1 for each in by_trial)
    assert len(set.union(*by_trial)) > 2


class Starts(BaseCallback):
    """What RecurrentPPO takes for the beginning of an episode, and the memory that it begins with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, th.Tensor, th.Tensor]] = []

    def _on_step(self) -> bool:
        memory = self.locals["self"]._last_lstm_states.pi[0]
        starts = self.locals["episode_starts"]
        self.seen.append((bool(starts[0]), memory[:, 0].clone(), self.locals["lstm_states"].pi[0][:, 0].clone()))
        return True


def test_memory_is_kept_across_episodes_and_cleared_between_trials() -> None:
    env = trials(tasks=(LineTask(30.0),))
    model = RecurrentPPO(
        "MlpLstmPolicy", env, n_steps=12, batch_size=12, n_epochs=1, seed=0, policy_kwargs={"lstm_hidden_size": 4}
    )
    starts = Starts()
    model.learn(12, starts)
    assert [start for start, *_ in starts.seen] == [True] + [False] * 5 + [True] + [False] * 5
    for (_, _, before), (_, memory, _) in zip(starts.seen, starts.seen[1:], strict=False):
        assert th.equal(before, memory)  # carried on, over the end of an episode too
    rows = th.as_tensor(model.rollout_buffer.observations).reshape(-1, 5)
    first, fourth, seventh = (rows[[i]] for i in (0, 3, 6))
    nothing = tuple(np.zeros((1, 1, 4), np.float32) for _ in range(2))
    policy: Any = model.policy
    kept = policy.predict(fourth.numpy(), tuple(np.ones_like(part) for part in nothing), np.array([False]))[1][0]
    cleared = policy.predict(seventh.numpy(), tuple(np.ones_like(part) for part in nothing), np.array([True]))[1][0]
    anew = policy.predict(seventh.numpy(), nothing, np.array([False]))[1][0]
    assert np.array_equal(cleared, anew)
    assert not np.array_equal(kept, policy.predict(fourth.numpy(), nothing, np.array([False]))[1][0])
    assert first.shape == (1, 5)


def test_a_trial_has_an_episode() -> None:
    with pytest.raises(SettingsError, match="episodes_per_trial is 0"):
        trials(episodes=0)
