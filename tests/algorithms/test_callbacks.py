"""``AdaptationEvalCallback``: held-out tasks by adapting to them, without moving the training's random numbers."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from envs_for_tests import LineEnv, line_envs, same_parameters, tiny_skills
from pearl_for_tests import ITERATION, make
from stable_baselines3.common.callbacks import EvalCallback

from simpl_sb3 import AdaptationEvalCallback, SkillPriorPEARL, SkillPriorSAC
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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eval_freq": 0}, "eval_freq is 0: expected a whole number of at least 1"),
        ({"n_last_episodes": 0}, "n_last_episodes is 0: expected"),
        ({"n_episodes": 0}, "n_episodes is 0: expected"),
        ({"seed": -1}, "seed is -1: expected None or a whole number"),
    ],
)
def test_what_it_cannot_do_is_said_at_once(settings: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        AdaptationEvalCallback(held_out(), TASKS, **{**SHORT, **settings})  # type: ignore[arg-type]


def test_an_agent_has_nothing_to_adapt() -> None:
    agent = SkillPriorSAC("MlpPolicy", SkillVecEnv(line_envs(1), tiny_skills()), seed=0, device="cpu")
    with pytest.raises(SettingsError, match="SkillPriorSAC has none: expected SkillPriorPEARL"):
        agent.learn(4, AdaptationEvalCallback(held_out(), TASKS, **SHORT))


def test_an_evaluation_of_an_adapted_agent_is_on_its_task() -> None:
    """Its own environment stands on another at first."""
    model = make().learn(8)
    agent = model.adapt(SkillVecEnv(line_envs(1), tiny_skills()), TASKS[1], **SHORT)
    agent.set_env(SkillVecEnv(line_envs(1), tiny_skills()))
    evaluated = SkillVecEnv(line_envs(1), tiny_skills())
    assert evaluated.get_attr("task")[0] != TASKS[1]
    agent.learn(4, EvalCallback(evaluated, eval_freq=4, n_eval_episodes=1, verbose=0, warn=False))
    assert evaluated.get_attr("task")[0] == TASKS[1]


def test_predicting_with_the_meta_policy_warns_once() -> None:
    model = make()
    with pytest.warns(UserWarning, match=r"predict explores.*adapt\(env, task\) returns"):
        model.predict(np.zeros(2, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(np.zeros(2, np.float32))
