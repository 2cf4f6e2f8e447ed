"""SkillPriorMAML: its promises as an SB3 class, exact repetition, and that it learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import (
    ACTIONS,
    OBSERVATIONS,
    LineEnv,
    LineTask,
    line_envs,
    recorded,
    same_parameters,
    straight_skills,
    tiny_skills,
)
from training_for_tests import assert_equal, everything

from simpl_sb3 import SkillPriorMAML
from simpl_sb3.errors import EnvironmentSpecError, SettingsError, SkillMismatchError
from simpl_sb3.skills.vec_env import SkillVecEnv

SMALL: dict[str, Any] = {"net_arch": (8,), "seed": 0, "device": "cpu"}


def make(**settings: Any) -> SkillPriorMAML:
    return SkillPriorMAML("MlpPolicy", SkillVecEnv(line_envs(4), tiny_skills()), **(SMALL | settings))


def test_equal_seeds_give_equal_trainings_and_going_on_is_exact(tmp_path: Path) -> None:
    one = make().learn(30)
    one.save(tmp_path / "m", with_training_state=True)
    first = everything(one)
    assert_equal(everything(make().learn(30)), first)
    whole = everything(make().learn(30).learn(30, reset_num_timesteps=False))
    env = SkillVecEnv(line_envs(4), tiny_skills())
    going_on = SkillPriorMAML.load(tmp_path / "m", env=env, device="cpu").learn(30, reset_num_timesteps=False)
    assert_equal(everything(going_on), whole)


def test_it_begins_as_the_skill_prior_and_its_file_gives_it_back(tmp_path: Path) -> None:
    model = make()
    seen = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    prior, _ = model.skills.prior(th.as_tensor(seen))
    assert np.allclose(model.predict(seen, deterministic=True)[0], prior.numpy(), atol=1e-5)
    model.learn(20)
    model.save(tmp_path / "m")
    loaded = SkillPriorMAML.load(tmp_path / "m", device="cpu")
    assert np.array_equal(loaded.predict(seen, deterministic=True)[0], model.predict(seen, deterministic=True)[0])


def test_agents_take_steps_and_go_on(tmp_path: Path) -> None:
    log, near = [], (LineTask(1.3), LineTask(-1.3))
    skills = straight_skills(OBSERVATIONS, ACTIONS, 4)
    env = SkillVecEnv(line_envs(2), skills)
    model = SkillPriorMAML("MlpPolicy", SkillVecEnv(line_envs(4), skills), **SMALL)
    agents = model.adapt_tasks(
        env, near, seed=0, n_episodes=3, on_episode=lambda agent, number, _: log.append((agent, number))
    )
    assert sorted(log) == [(agent, number) for agent in (0, 1) for number in (1, 2, 3)]
    again = model.adapt_tasks(env, near, seed=0, n_episodes=3)
    for one, two in zip(agents, again, strict=True):
        assert same_parameters(one.policy.actor, two.policy.actor)
    assert not same_parameters(agents[0].policy.actor, model.policy.actor)
    agents[0].save(tmp_path / "agent")
    loaded = SkillPriorMAML.load(tmp_path / "agent", device="cpu")
    seen = np.zeros((2, 2), np.float32)
    assert np.array_equal(loaded.predict(seen, deterministic=True)[0], agents[0].predict(seen, deterministic=True)[0])
    further = agents[0].adapt(SkillVecEnv(line_envs(1), skills), near[0], n_episodes=1)
    assert isinstance(further, SkillPriorMAML)


def test_what_is_wrong_is_said() -> None:
    for name in ("hindsight", "n_steps", "reuse_exploration"):
        with pytest.raises(SettingsError, match=f"SkillPriorMAML has no setting '{name}'"):
            make(**{name: 1})
    with pytest.raises(SettingsError, match="max_kl is 0"):
        make(max_kl=0.0)
    with pytest.raises(EnvironmentSpecError):
        SkillPriorMAML("MlpPolicy", LineEnv())
    with pytest.raises(SkillMismatchError, match="other skills"):
        make().adapt_tasks(SkillVecEnv(line_envs(1), tiny_skills(seed=1)), LineEnv.test_tasks[:1], n_episodes=1)
    with pytest.raises(SettingsError, match="2 tasks for 1 environments"):
        make().adapt_tasks(SkillVecEnv(line_envs(1), tiny_skills()), LineEnv.test_tasks, n_episodes=1)


@pytest.mark.parametrize("first_order", [True, False])
def test_it_learns_within_its_trust_region(first_order: bool) -> None:
    skills = straight_skills(OBSERVATIONS, ACTIONS, 4)
    tasks = (LineTask(3.0), LineTask(3.5))
    env = SkillVecEnv(line_envs(8, limit=24, train_tasks=tasks), skills)
    model = SkillPriorMAML(
        "MlpPolicy", env, **SMALL, episodes_per_step=8, max_kl=0.05, first_order=first_order, learning_rate=0.05
    )
    rows = recorded(model)
    model.learn(2_000)
    steps = [row["train/kl"] for row in rows if "train/kl" in row]
    assert max(steps) <= 0.05
    assert np.mean(np.array(steps) > 0.0) > 0.5
    success = [row["rollout/success_adapted"] for row in rows]
    assert np.mean(list(model._results["rollout/success_adapted"])[-32:]) > success[0] + 0.3
