"""SkillPriorMTRL: its promises as an SB3 class, exact repetition, and that tasks and the shared policy learn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import ACTIONS, OBSERVATIONS, LineEnv, LineTask, line_envs, straight_skills, tiny_skills
from training_for_tests import assert_equal, everything

from simpl_sb3 import SkillPriorMTRL, SkillPriorSAC
from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError, SkillMismatchError
from simpl_sb3.skills.distilled import DistilledSkills
from simpl_sb3.skills.vec_env import SkillVecEnv

SMALL: dict[str, Any] = {
    "net_arch": (8,),
    "batch_size": 6,
    "buffer_size": 300,
    "gradient_steps": 2,
    "seed": 0,
    "device": "cpu",
}


def make(**settings: Any) -> SkillPriorMTRL:
    return SkillPriorMTRL("MlpPolicy", SkillVecEnv(line_envs(4), tiny_skills()), **(SMALL | settings))


def test_equal_seeds_give_equal_trainings_and_going_on_is_exact(tmp_path: Path) -> None:
    one = make().learn(40)
    one.save(tmp_path / "m", with_training_state=True)
    first = everything(one)
    assert_equal(everything(make().learn(40)), first)
    assert not th.equal(make(seed=1).policy.actor.weights[0], make().policy.actor.weights[0])
    whole = everything(make().learn(40).learn(40, reset_num_timesteps=False))
    env = SkillVecEnv(line_envs(4), tiny_skills())
    going_on = SkillPriorMTRL.load(tmp_path / "m", env=env, device="cpu").learn(40, reset_num_timesteps=False)
    assert_equal(everything(going_on), whole)


def test_files_and_predictions(tmp_path: Path) -> None:
    model = make().learn(30)
    model.save(tmp_path / "m")
    loaded = SkillPriorMTRL.load(tmp_path / "m", device="cpu")
    seen = np.zeros((3, 2), np.float32)
    assert np.array_equal(loaded.predict(seen, deterministic=True)[0], model.predict(seen, deterministic=True)[0])
    assert loaded.task_names == ("1.5", "-1.5", "30")
    with pytest.raises(ModelFileError, match="holds a SkillPriorMTRL: expected a SkillPriorSAC"):
        SkillPriorSAC.load(tmp_path / "m")


def test_an_agent_begins_as_the_shared_policy_and_is_held_to_it(tmp_path: Path) -> None:
    model = make().learn(40)
    env = SkillVecEnv(line_envs(2), tiny_skills())
    log: list[tuple[int, int]] = []
    settings = {"n_episodes": 2, "batch_size": 6, "gradient_steps": 0}
    agents = model.adapt_tasks(
        env, LineEnv.test_tasks, seed=0, on_episode=lambda agent, number, _: log.append((agent, number)), **settings
    )
    assert sorted(log) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert isinstance(agents[0].skills, DistilledSkills)
    seen = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    shared, _ = model.predict(seen, deterministic=True)
    assert np.allclose(agents[0].predict(seen, deterministic=True)[0], shared, atol=1e-6)
    agents[0].save(tmp_path / "agent")
    again = SkillPriorSAC.load(tmp_path / "agent", device="cpu")
    assert np.array_equal(again.predict(seen, deterministic=True)[0], agents[0].predict(seen, deterministic=True)[0])


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(SettingsError, match="SkillPriorMTRL has no setting 'context_sizes'"):
        make(context_sizes=(2, 8))
    with pytest.raises(SettingsError, match="skill_kl_multiplier is 0"):
        make(skill_kl_multiplier=0.0)
    with pytest.raises(EnvironmentSpecError):
        SkillPriorMTRL("MlpPolicy", LineEnv())
    other = SkillVecEnv(line_envs(1), tiny_skills(seed=1))
    with pytest.raises(SkillMismatchError, match="other skills"):
        make().adapt_tasks(other, LineEnv.test_tasks[:1], n_episodes=1)


def test_no_updates_while_a_task_has_no_episode() -> None:
    model = make().learn(1)
    assert model._n_updates in (0, 2)
    assert (model._n_updates == 0) == (not model.replay_buffer.sizes.all())


def test_tasks_are_learned_and_the_shared_policy_knows_what_they_have_in_common() -> None:
    skills = straight_skills(OBSERVATIONS, ACTIONS, 4)
    tasks = (LineTask(4.0), LineTask(5.0))
    env = SkillVecEnv(line_envs(2, limit=24, train_tasks=tasks), skills)
    model = SkillPriorMTRL(
        "MlpPolicy", env, **SMALL | {"batch_size": 32, "buffer_size": 2_000, "gradient_steps": 12, "net_arch": (16,)}
    )
    model.learn(600)
    late = [model._results["rollout/success_training"][-number] for number in range(1, 11)]
    assert np.mean(late) >= 0.8  # of N(0, 1) it is about .02
    z, _ = model.predict(np.zeros(2, np.float32), deterministic=True)
    assert z[0] > 0.7  # both goals lie to the right
