"""``SkillActionWrapper`` over an environment that counts: what one latent action does, and what is refused."""

import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from envs_for_tests import ACTIONS, HORIZON, OBSERVATIONS, SKILL_DIM, CountingEnv, LineEnv, LineTask, tiny_skills
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.vec_env import DummyVecEnv

from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError, SimplError, SkillMismatchError
from simpl_sb3.skills.wrapper import SKILL_BOUND, SkillActionWrapper, skill_action_space

Z = np.array([0.5, -1.0, 2.0], np.float32)


def counting(**arguments: Any) -> SkillActionWrapper:
    env = SkillActionWrapper(CountingEnv(**arguments), tiny_skills(observation_key=arguments.get("key")))
    env.reset()
    return env


class Spaces(gym.Env[Any, Any]):
    """An environment of which only the spaces are asked."""

    def __init__(
        self, observation_space: gym.Space[Any] = OBSERVATIONS, action_space: gym.Space[Any] = ACTIONS
    ) -> None:
        self.observation_space, self.action_space = observation_space, action_space


# ---------------------------------------------------------------- one latent action


def test_a_skill_takes_horizon_env_steps_and_sums_their_rewards() -> None:
    env = counting()
    observation, reward, terminated, truncated, info = env.step(Z)
    assert observation.tolist() == [HORIZON, 1]
    assert reward == 1 + 2 + 3 + 4
    assert type(reward) is float
    assert (terminated, truncated) == (False, False)
    assert info["skill_steps"] == HORIZON
    assert env.step(Z)[1] == 5 + 6 + 7 + 8


@pytest.mark.parametrize(
    ("terminate_at", "truncate_at", "flags"),
    [
        (6, 99, (True, False)),
        (99, 6, (False, True)),
        (6, 6, (True, True)),
        (6, 7, (True, False)),
        (7, 6, (False, True)),
    ],
    ids=["terminated", "truncated", "both at once", "terminated first", "truncated first"],
)
def test_a_skill_stops_where_the_episode_ends(terminate_at: int, truncate_at: int, flags: tuple[bool, bool]) -> None:
    env = counting(terminate_at=terminate_at, truncate_at=truncate_at)
    assert env.step(Z)[2:4] == (False, False)
    observation, reward, terminated, truncated, info = env.step(Z)
    assert (terminated, truncated) == flags
    assert observation.tolist() == [6, 1]
    assert reward == 5 + 6
    assert info["skill_steps"] == 2
    assert info["skill_observations"].tolist() == [[5, 1], [6, 1]]
    assert len(env.unwrapped.actions) == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", [HORIZON, 1])
def test_a_skill_that_ends_with_its_episode(end: int) -> None:
    env = counting(terminate_at=end)
    observation, reward, terminated, _, info = env.step(Z)
    assert (reward, terminated, info["skill_steps"]) == (end * (end + 1) / 2, True, end)
    assert observation.tolist() == [end, 1]


def test_truncation_by_gymnasiums_time_limit_in_the_middle_of_a_skill() -> None:
    env = SkillActionWrapper(TimeLimit(CountingEnv(), HORIZON + 1), tiny_skills())
    env.reset()
    env.step(Z)
    _, reward, terminated, truncated, info = env.step(Z)
    assert (reward, terminated, truncated, info["skill_steps"]) == (HORIZON + 1, False, True, 1)


def test_info_is_that_of_the_last_env_step() -> None:
    _, info = SkillActionWrapper(CountingEnv(), tiny_skills()).reset()
    assert info == {"count": 0}
    *_, info = counting().step(Z)
    assert info["count"] == HORIZON
    assert "only_at_two" not in info  # what an earlier env step of the skill said is gone
    assert "only_at_two" in counting(terminate_at=2).step(Z)[-1]


def test_observed_after_each_env_step_also_where_the_environment_changes_one_array_in_place() -> None:
    *_, info = counting().step(Z)
    assert info["skill_observations"].tolist() == [[1, 1], [2, 1], [3, 1], [4, 1]]


def test_info_of_the_environment_is_left_alone() -> None:
    inner = CountingEnv()
    given = {"mine": 1}
    inner.step = lambda action: (inner.state, 0.0, False, False, given)  # type: ignore[method-assign]
    env = SkillActionWrapper(inner, tiny_skills())
    env.reset()
    assert env.step(Z)[-1]["mine"] == 1
    assert given == {"mine": 1}


def test_actions_are_those_of_the_closed_loop_decoder() -> None:
    skills = tiny_skills()
    env = SkillActionWrapper(CountingEnv(), skills)
    env.reset()
    env.step(Z)
    seen = np.array([[count, 1] for count in range(HORIZON)], np.float32)  # before each env step
    assert np.allclose(env.unwrapped.actions, skills.act(seen, np.tile(Z, (HORIZON, 1))), atol=1e-6)  # type: ignore[attr-defined]
    assert all(action.dtype == np.float32 and action.shape == (1,) for action in env.unwrapped.actions)  # type: ignore[attr-defined]


def test_a_step_before_the_first_reset_is_refused() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        SkillActionWrapper(CountingEnv(), tiny_skills()).step(Z)


# ---------------------------------------------------------------- spaces, options, attributes


def test_spaces() -> None:
    env = SkillActionWrapper(CountingEnv(), tiny_skills())
    assert (
        env.action_space == Box(-SKILL_BOUND, SKILL_BOUND, (SKILL_DIM,), np.float32) == skill_action_space(env.skills)
    )
    assert env.observation_space == OBSERVATIONS
    assert SkillActionWrapper(CountingEnv(), tiny_skills(), bound=1.5).action_space == Box(
        -1.5, 1.5, (SKILL_DIM,), np.float32
    )


def test_dict_observations_by_key() -> None:
    env = counting(key="state")
    assert env.observation_space == OBSERVATIONS
    observation, *_, info = env.step(Z)
    assert observation.tolist() == [HORIZON, 1]
    assert info["skill_observations"].shape == (HORIZON, 2)
    assert env.reset()[0].tolist() == [0, 2]


def test_the_key_can_be_given_where_skills_have_none() -> None:
    """As for a goal environment, and skills from demonstrations that were written as plain arrays."""
    env = SkillActionWrapper(CountingEnv(key="state"), tiny_skills(), observation_key="state")
    assert env.reset()[0].tolist() == [0, 1]
    with pytest.raises(EnvironmentSpecError, match="name it as observation_key"):
        SkillActionWrapper(CountingEnv(key="state"), tiny_skills())


def test_skills_with_a_key_work_on_the_bare_observation_too() -> None:
    env = SkillActionWrapper(CountingEnv(), tiny_skills(observation_key="state"))
    assert env.reset()[0].tolist() == [0, 1]


def test_tasks_reach_through() -> None:
    env = SkillActionWrapper(LineEnv(), tiny_skills())
    assert env.get_wrapper_attr("train_tasks") == LineEnv.train_tasks
    assert env.get_wrapper_attr("skills") is env.skills
    env.get_wrapper_attr("set_task")(LineTask(3.0))
    assert env.reset()[1]["task"] == "3"
    assert env.reset(options={"task": LineTask(7.0)})[1]["task"] == "7"
    assert env.reset()[1]["task"] == "7"


def test_seeds_reach_through() -> None:
    env = SkillActionWrapper(LineEnv(), tiny_skills())
    first, other, again = (env.reset(seed=seed)[0] for seed in (3, 4, 3))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "action_space",
    [Discrete(4), MultiDiscrete([2, 2]), Box(-np.inf, np.inf, (1,)), Box(0.0, np.inf, (1,)), Dict(a=ACTIONS)],
)
def test_actions_other_than_a_bounded_box_are_refused(action_space: gym.Space[Any]) -> None:
    with pytest.raises(EnvironmentSpecError, match="bounded Box"):
        SkillActionWrapper(Spaces(action_space=action_space), tiny_skills())


@pytest.mark.parametrize("observation_space", [Discrete(4), Dict(state=Discrete(3)), Dict(other=OBSERVATIONS)])
def test_observations_that_skills_cannot_read_are_refused(observation_space: gym.Space[Any]) -> None:
    with pytest.raises(EnvironmentSpecError):
        SkillActionWrapper(Spaces(observation_space), tiny_skills(observation_key="state"))


def test_a_dict_without_a_key_is_refused() -> None:
    with pytest.raises(EnvironmentSpecError):
        SkillActionWrapper(Spaces(Dict(state=OBSERVATIONS)), tiny_skills())


@pytest.mark.parametrize(
    "env",
    [
        Spaces(Box(-50.0, 50.0, (3,))),
        Spaces(action_space=Box(-1.0, 1.0, (2,))),
        Spaces(action_space=Box(-2.0, 2.0, (1,))),
        Spaces(action_space=Box(-1.0, 0.5, (1,))),
    ],
    ids=["observation size", "action size", "action bounds", "upper bound"],
)
def test_spaces_that_differ_from_the_skills_are_refused(env: gym.Env[Any, Any]) -> None:
    with pytest.raises(SkillMismatchError, match="extracted from"):
        SkillActionWrapper(env, tiny_skills())


def test_another_environment_of_the_same_shapes_is_refused_unless_asked() -> None:
    """Skills from one maze fit another's shapes; their ids and the bounds of their observations tell them apart."""
    gym.register("LineForTests-v0", LineEnv)
    try:
        for own, fits in (("LineForTests-v0", True), (None, True), ("OtherLine-v0", False)):
            skills = tiny_skills(env_id=own, dataset_id="own/line-v0")
            if fits:
                SkillActionWrapper(gym.make("LineForTests-v0"), skills)
                continue
            with pytest.raises(SkillMismatchError, match=r"OtherLine-v0 \(dataset own/line-v0\).*is LineForTests-v0"):
                SkillActionWrapper(gym.make("LineForTests-v0"), skills)
            SkillActionWrapper(gym.make("LineForTests-v0"), skills, check_env=False)
            SkillActionWrapper(LineEnv(), skills)  # an environment without id
    finally:
        gym.registry.pop("LineForTests-v0")
    unbounded = tiny_skills(Box(-np.inf, np.inf, (2,)))
    with pytest.raises(SkillMismatchError, match="observations in"):
        SkillActionWrapper(LineEnv(), unbounded)
    SkillActionWrapper(LineEnv(), unbounded, check_env=False)


def test_errors_are_of_one_family() -> None:
    assert issubclass(EnvironmentSpecError, SimplError)
    assert issubclass(SkillMismatchError, SimplError)


# ---------------------------------------------------------------- checkers and records


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized", "ignore:.*different from the unwrapped version")
@pytest.mark.parametrize("check", [gymnasium_check_env, sb3_check_env])
def test_environment_checkers(check: Any) -> None:
    """Bounds other than 1 are the only thing that the checkers remark: see ``SKILL_BOUND``."""
    env = SkillActionWrapper(LineEnv(), tiny_skills())
    check(env, **({"skip_render_check": True} if check is gymnasium_check_env else {}))


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
@pytest.mark.parametrize("check", [gymnasium_check_env, sb3_check_env])
def test_environment_checkers_remark_nothing_at_a_bound_of_one(check: Any) -> None:
    env = SkillActionWrapper(LineEnv(), tiny_skills(), bound=1.0)
    check(env, **({"skip_render_check": True} if check is gymnasium_check_env else {}))


def test_the_recorded_arguments_hold_no_module() -> None:
    env = SkillActionWrapper(LineEnv(), tiny_skills(), bound=2.0)
    assert env._saved_kwargs == {"skills": None, "bound": 2.0, "observation_key": None, "check_env": True}


def test_an_environment_of_a_saved_model_can_be_made_again_from_its_spec(tmp_path: Path) -> None:
    tiny_skills().save(tmp_path / "skills.safetensors")
    gym.register("LineForTests-v0", LineEnv)
    try:
        env = SkillActionWrapper(gym.make("LineForTests-v0"), tmp_path / "skills.safetensors", bound=2.0)
        assert env.spec is not None
        again = gym.make(env.spec)
    finally:
        gym.registry.pop("LineForTests-v0")
    assert again.action_space == env.action_space
    assert np.array_equal(again.reset(seed=5)[0], env.reset(seed=5)[0])
    assert np.array_equal(again.step(Z)[0], env.step(Z)[0])


def test_a_spec_that_holds_no_skills_says_so_when_it_is_made() -> None:
    gym.register("LineForTests-v0", LineEnv)
    try:
        env = SkillActionWrapper(gym.make("LineForTests-v0"), tiny_skills())
        assert env.spec is not None
        with pytest.raises(SettingsError, match="give SkillActionWrapper the path"):
            gym.make(env.spec)
    finally:
        gym.registry.pop("LineForTests-v0")


def test_a_missing_model_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        SkillActionWrapper(LineEnv(), tmp_path / "nothing.safetensors")


def test_wrapped_environments_can_be_pickled() -> None:
    """As worker processes ask."""
    env = SkillActionWrapper(LineEnv(), tiny_skills())
    env.reset(seed=1)
    again = pickle.loads(pickle.dumps(env))
    for one, other in zip(env.step(Z)[:2], again.step(Z)[:2], strict=True):
        assert np.array_equal(one, other)


def test_the_task_is_the_environments() -> None:
    """Through Gymnasium's wrappers, which do not pass attributes on, and through ``DummyVecEnv.set_attr``."""
    wrapped = SkillActionWrapper(gym.wrappers.TimeLimit(LineEnv(), 14), tiny_skills())
    goal = LineTask(1.5)
    wrapped.set_task(goal)
    assert wrapped.task is wrapped.unwrapped.task is goal
    env = DummyVecEnv([lambda: wrapped])
    env.set_attr("task", LineTask(-1.5))
    assert env.get_attr("task")[0] is wrapped.unwrapped.task
    assert wrapped.unwrapped.task == LineTask(-1.5)
    with pytest.raises(EnvironmentSpecError, match="has no set_task"):
        SkillActionWrapper(CountingEnv(), tiny_skills()).set_task(goal)
