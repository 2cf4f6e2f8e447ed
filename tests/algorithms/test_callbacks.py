"""``AdaptationEvalCallback``: held-out tasks by adapting to them, without moving the training's random numbers."""

from pathlib import Path

import pytest
from envs_for_tests import LineEnv, line_envs, same_parameters, tiny_skills
from pearl_for_tests import ITERATION, make
from stable_baselines3.common.callbacks import EvalCallback

from simpl_sb3 import AdaptationEvalCallback, SkillPriorPEARL
from simpl_sb3.errors import SettingsError
from simpl_sb3.skills.vec_env import SkillVecEnv

TASKS = LineEnv.test_tasks[:2]
SHORT = {"n_episodes": 4, "n_exploration_episodes": 2, "initial_updates": 1, "batch_size": 4}


def held_out() -> SkillVecEnv:
    return SkillVecEnv(line_envs(2), tiny_skills())


def test_it_measures_adapted_agents_and_leaves_the_training_alone(tmp_path: Path) -> None:
    callback = AdaptationEvalCallback(
        held_out(), TASKS, ITERATION, n_last_episodes=2, best_model_save_path=tmp_path, **SHORT
    )
    measured = make().learn(2 * ITERATION, callback)
    alone = make().learn(2 * ITERATION)
    assert same_parameters(measured.policy, alone.policy)
    assert 0.0 <= callback.last_mean_success <= 1.0
    assert callback.best_mean_return == pytest.approx(max(callback.best_mean_return, callback.last_mean_return))
    assert SkillPriorPEARL.load(tmp_path / "best_model.zip").task_names == alone.task_names


def test_as_many_tasks_as_environments() -> None:
    with pytest.raises(SettingsError, match="1 tasks for 2 environments"):
        AdaptationEvalCallback(held_out(), TASKS[:1])


def test_sb3s_evaluation_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="AdaptationEvalCallback"):
        make().learn(1, [EvalCallback(held_out(), eval_freq=10**9)])
