"""``PrimitiveActions`` meet the protocol of skills: an algorithm over skills learns over actions, without a copy."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch as th
from envs_for_tests import ACTIONS, OBSERVATIONS, LineEnv, line_envs, same_parameters
from gymnasium.spaces import Box
from pearl_for_tests import SMALL

from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import ModelFileError, SettingsError
from simpl_sb3.skills import PrimitiveActions, SkillModel, Skills
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper

WIDE = Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 4.0], np.float32))


def test_an_action_is_z_scaled_to_the_action_space_and_clipped() -> None:
    skills = PrimitiveActions(OBSERVATIONS, WIDE).freeze()
    assert (skills.horizon, skills.skill_dim, skills.action_bound) == (1, 2, 1.0)
    z = np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0], [0.5, -0.5], [7.0, -7.0]], np.float32)
    actions = skills.act(np.zeros((5, 2), np.float32), z)
    assert actions.dtype == np.float32
    assert actions.tolist() == [[-1.0, 0.0], [1.0, 4.0], [0.0, 2.0], [0.5, 1.0], [1.0, 0.0]]


def test_the_prior_is_one_wide_gaussian_everywhere() -> None:
    skills = PrimitiveActions(OBSERVATIONS, WIDE, prior_std=1.5)
    mean, std = skills.prior(th.randn(7, 2))
    assert mean.shape == std.shape == (7, 2)
    assert not mean.any()
    assert (std == 1.5).all()


def test_statistics_of_observations_come_from_data_or_are_given() -> None:
    skills = PrimitiveActions(OBSERVATIONS, ACTIONS)
    assert skills.features(th.tensor([[3.0, 5.0]])).tolist() == [[3.0, 5.0]]
    skills.fit_observation_statistics(np.array([[1.0, 7.0], [3.0, 7.0]]))
    assert skills.features(th.tensor([[3.0, 9.0]])).tolist() == [[1.0, 2.0]]  # the second never moved
    skills.set_observation_statistics(np.array([1.0, 1.0]), np.array([2.0, 4.0]))
    assert skills.features(th.tensor([[3.0, 9.0]])).tolist() == [[1.0, 2.0]]
    with pytest.raises(SettingsError, match="standard deviations of at least"):
        skills.set_observation_statistics(np.zeros(2), np.array([1.0, 0.0]))
    with pytest.raises(SettingsError, match=r"of shape \(2,\)"):
        skills.set_observation_statistics(np.zeros(1), np.ones(1))


def test_settings_and_files(tmp_path: Path) -> None:
    skills = PrimitiveActions(OBSERVATIONS, WIDE, prior_std=2.0, observation_key="state", env_id="Line-v0")
    skills.set_observation_statistics(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    skills.save(tmp_path / "actions.safetensors")
    again = Skills.load(tmp_path / "actions.safetensors")
    assert isinstance(again, PrimitiveActions)
    assert again.settings == json.loads(json.dumps(skills.settings)) == Skills.from_settings(skills.settings).settings
    assert same_parameters(again, skills)
    with pytest.raises(ModelFileError, match=r"holds simpl_sb3\.PrimitiveActions, expected simpl_sb3\.SkillModel"):
        SkillModel.load(tmp_path / "actions.safetensors")
    with pytest.raises(SettingsError, match="the kind is PrimitiveActions, expected SkillModel"):
        SkillModel.from_settings(skills.settings)
    with pytest.raises(SettingsError, match="kind of skills is 'Options', expected one of SkillModel"):
        Skills.from_settings(skills.settings | {"kind": "Options"})
    for bad in (0.0, float("nan"), "wide"):
        with pytest.raises(SettingsError, match="prior_std"):
            PrimitiveActions(OBSERVATIONS, ACTIONS, prior_std=bad)  # type: ignore[arg-type]


def test_a_step_of_the_wrapper_is_a_step_of_the_environment() -> None:
    env = SkillActionWrapper(LineEnv(), PrimitiveActions(OBSERVATIONS, ACTIONS))
    assert env.action_space == ACTIONS
    env.reset(seed=0)
    plain = LineEnv()
    plain.reset(seed=0)
    for action in np.random.default_rng(0).uniform(-1.0, 1.0, (5, 1)).astype(np.float32):
        observation, *_, info = env.step(action)
        assert np.array_equal(observation, plain.step(action)[0])
        assert info["skill_steps"] == 1


def test_pearl_over_actions_learns_adapts_and_comes_back_from_its_file(tmp_path: Path) -> None:
    env = SkillVecEnv(line_envs(4), PrimitiveActions(OBSERVATIONS, ACTIONS))
    assert env.action_space == ACTIONS
    model = SkillPriorPEARL("MlpPolicy", env, **SMALL)
    before = {name: value.clone() for name, value in model.policy.actor.state_dict().items()}
    model.learn(2)
    assert any(not th.equal(value, before[name]) for name, value in model.policy.actor.state_dict().items())
    model.save(tmp_path / "pearl.zip")
    again = SkillPriorPEARL.load(tmp_path / "pearl.zip", device="cpu")
    assert isinstance(again.skills, PrimitiveActions)
    assert same_parameters(again.policy, model.policy)
    adapted = again.adapt(
        SkillActionWrapper(LineEnv(), again.skills), LineEnv.test_tasks[0], n_episodes=3, n_exploration_episodes=1
    )
    assert np.isfinite(adapted.predict(np.zeros(2, np.float32))[0]).all()


def test_sac_over_actions(tmp_path: Path) -> None:
    env = SkillVecEnv(line_envs(2), PrimitiveActions(OBSERVATIONS, ACTIONS))
    model = SkillPriorSAC("MlpPolicy", env, net_arch=(8,), batch_size=8, seed=0, device="cpu").learn(20)
    model.save(tmp_path / "sac.zip")
    again = SkillPriorSAC.load(tmp_path / "sac.zip", env, device="cpu")
    z = np.zeros((3, 2), np.float32)
    assert np.array_equal(again.predict(z, deterministic=True)[0], model.predict(z, deterministic=True)[0])


def test_statistics_are_those_of_numpy_however_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    skills = PrimitiveActions(Box(-9.0, 9.0, (3,), np.float32), Box(-1.0, 1.0, (1,), np.float32))
    rows = np.random.default_rng(0).normal(3.0, [0.1, 1.0, 5.0], (101, 3)).astype(np.float32)
    for block in (7, 1_000):
        monkeypatch.setattr("simpl_sb3.demonstrations.flat.BLOCK", block)
        skills.fit_observation_statistics(rows)
        np.testing.assert_array_equal(skills.observation_mean, rows.mean(axis=0, dtype=np.float64).astype(np.float32))
        np.testing.assert_array_equal(skills.observation_std, rows.std(axis=0, dtype=np.float64).astype(np.float32))
