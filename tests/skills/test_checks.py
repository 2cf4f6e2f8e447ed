"""What an environment may return, and the one clear error where it returns something else, before anything learns."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from envs_for_tests import HORIZON, SKILL_DIM, CountingEnv, LineEnv, LineTask, tiny_skills

from simpl_sb3.errors import EnvironmentSpecError, ModelFileError
from simpl_sb3.skills.checks import check_numbers, checked_rewards
from simpl_sb3.skills.held_envs import HeldEnvs
from simpl_sb3.skills.vec_env import SkillVecEnv, make_skill_vec_env
from simpl_sb3.skills.wrapper import SkillActionWrapper


class Faulty(gym.Wrapper[Any, Any, Any, Any]):
    """An environment that changes what ``step`` returns at one env step, and what ``reset`` returns."""

    def __init__(self, step: Callable[..., Any] = lambda *result: result, at: int = 6, reset: Any = None) -> None:
        super().__init__(LineEnv())
        self.change, self.at, self.begin, self.n = step, at, reset, 0

    def reset(self, **arguments: Any) -> Any:
        result = self.env.reset(**arguments)
        return result if self.begin is None else self.begin(*result)

    def step(self, action: np.ndarray) -> Any:
        self.n += 1
        result = self.env.step(action)
        return self.change(*result) if self.n == self.at else result


def lived(make: Callable[[], Any], vector: bool) -> None:
    """Two skills of 4 env steps."""
    z = np.zeros(SKILL_DIM, np.float32)
    if vector:
        env: Any = SkillVecEnv([LineEnv, make], tiny_skills())
        env.reset()
        for _ in range(2):
            env.step(np.stack([z, z]))
        return
    env = SkillActionWrapper(make(), tiny_skills())
    env.reset()
    for _ in range(2):
        env.step(z)


STEPS: dict[str, tuple[Callable[..., Any], str]] = {
    "NaN observation": (lambda o, *r: (o * np.nan, *r), r"observation\[0\] is nan after 6 env steps of task 1\.5"),
    "infinite observation": (lambda o, *r: (o + np.array([0, np.inf]), *r), r"observation\[1\] is inf after 6 env"),
    "large observation": (lambda o, *r: (o + 1e31, *r), r"observation\[0\] is .*e\+3\d after"),
    "beyond float32": (lambda o, *r: (np.float64(o) + 1e39, *r), r"observation\[0\]"),
    "NaN reward": (lambda o, _, *r: (o, np.nan, *r), "the reward is nan after 6 env steps"),
    "infinite reward": (lambda o, _, *r: (o, -np.inf, *r), "the reward is -inf"),
    "no reward": (lambda o, _, *r: (o, None, *r), "reward is None; expected a number"),
    "no observation": (lambda _, *r: (None, *r), "the observation has shape None"),
    "another shape": (lambda o, *r: (o[:1], *r), r"the observation has shape \(1,\); expected \(2,\)"),
    "gym's old step": (lambda o, reward, done, _, info: (o, reward, done, info), "step returned 4 values"),
    "flags as numbers": (lambda o, reward, _, *r: (o, reward, 0, *r), "terminated is 0; expected True or False"),
    "success as text": (lambda *r: (*r[:4], {"is_success": "False"}), "is_success.*'False'; expected True or False"),
    "success in part": (lambda *r: (*r[:4], {"is_success": 0.3}), "is_success.*expected True or False"),
    "info is None": (lambda *r: (*r[:4], None), "info is None; expected a dict"),
}


@pytest.mark.parametrize("vector", [False, True], ids=["wrapper", "vec env"])
@pytest.mark.parametrize("fault", STEPS)
def test_faulty_steps(fault: str, vector: bool) -> None:
    change, message = STEPS[fault]
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        lived(lambda: Faulty(change), vector)
    assert ("Environment 1" if vector else "nvironment") in str(caught.value)


@pytest.mark.parametrize("vector", [False, True], ids=["wrapper", "vec env"])
@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (lambda o, info: o, "reset returned a ndarray; expected Gymnasium's"),
        (lambda o, info: (o[:1], info), r"after reset: the observation has shape \(1,\)"),
        (lambda o, info: (o * np.nan, info), r"observation\[0\] is nan after 0 env steps"),
    ],
)
def test_faulty_resets(begin: Any, message: str, vector: bool) -> None:
    with pytest.raises(EnvironmentSpecError, match=message):
        lived(lambda: Faulty(reset=begin), vector)


@pytest.mark.parametrize("vector", [False, True], ids=["wrapper", "vec env"])
@pytest.mark.parametrize("success", [True, np.bool_(False), 1.0, np.float32(0.0)])
def test_success_as_gymnasium_robotics_writes_it(success: Any, vector: bool) -> None:
    lived(lambda: Faulty(lambda *r: (*r[:4], {"is_success": success})), vector)


def test_nothing_of_a_faulty_skill_is_kept() -> None:
    env = SkillVecEnv([lambda: Faulty(lambda o, *r: (o * np.nan, *r), at=2)], tiny_skills())
    first = env.reset()
    with pytest.raises(EnvironmentSpecError):
        env.step(np.zeros((1, SKILL_DIM), np.float32))
    assert np.array_equal(env._observations, first)


def test_numbers_that_are_fine() -> None:
    check_numbers(np.full((2, 3), 1e30), np.array([-1e8, 0.0]), np.zeros(2, int))
    check_numbers(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2), np.zeros(2, int))


@pytest.mark.parametrize("reward", [1e9, -1e25])
def test_rewards_beyond_what_a_loss_can_hold(reward: float) -> None:
    """They are finite, and their gradients' squares are not."""
    with pytest.raises(EnvironmentSpecError, match=r"the reward is .*expected a number between -1e\+08 and 1e\+08"):
        check_numbers(np.zeros((2, 3)), np.array([0.0, reward]), np.ones(2, int))


class Rewarding(LineTask):
    def __init__(self, answer: Any) -> None:
        super().__init__(1.0)
        object.__setattr__(self, "answer", answer)

    def rewards(self, observations: np.ndarray) -> Any:
        return self.answer  # type: ignore[attr-defined]


@pytest.mark.parametrize("answer", [3.0, np.zeros(4), (np.zeros(4),), (np.zeros(3), np.zeros(4)), None, (0.0, False)])
def test_rewards_of_a_trajectory_that_are_none(answer: Any) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"Task 1: rewards\(observations\) gave .*each \(4,\)"):
        checked_rewards(Rewarding(answer), np.zeros((4, 2)))


# ---------------------------------------------------------------- what make_skill_vec_env and SkillVecEnv take


@pytest.mark.parametrize("seed", [-1, "x", 1.5, True])
def test_a_seed_that_is_none(seed: Any) -> None:
    with pytest.raises(ValueError, match=r"seed is .*: expected None or a whole number"):
        make_skill_vec_env(LineEnv, tiny_skills(), 1, seed=seed)


@pytest.mark.parametrize("env_id", [None, 5])
def test_an_id_that_is_none(env_id: Any) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"env_id is .*expected a registered id, or a constructor"):
        make_skill_vec_env(env_id, tiny_skills(), 1)


def strict(num_envs: int) -> gym.vector.VectorEnv:  # type: ignore[type-arg]
    raise AssertionError("it takes no autoreset_mode")


def stubborn(num_envs: int, **_: Any) -> gym.vector.VectorEnv:  # type: ignore[type-arg]
    return gym.vector.SyncVectorEnv([LineEnv] * num_envs)  # type: ignore[list-item]


@pytest.mark.parametrize("entry_point", [strict, stubborn])
def test_a_vector_form_that_cannot_hold_ended_environments_is_not_used(entry_point: Any) -> None:
    gym.register("OwnVector-v0", LineEnv, vector_entry_point=entry_point)
    try:
        env = make_skill_vec_env("OwnVector-v0", tiny_skills(), 2)
        assert isinstance(env.envs, HeldEnvs)
        env.reset()
        for _ in range(8):  # beyond an end
            env.step(np.zeros((2, SKILL_DIM), np.float32))
    finally:
        gym.registry.pop("OwnVector-v0")


@pytest.mark.parametrize("number", [2.0, 0, -1, True, "2", None])
def test_a_number_of_environments_that_is_none(number: Any) -> None:
    with pytest.raises(ValueError, match=r"n_envs is .*: expected a whole number of at least 1"):
        make_skill_vec_env(LineEnv, tiny_skills(), number)


def test_a_number_of_environments_from_numpy() -> None:
    assert make_skill_vec_env(LineEnv, tiny_skills(), np.int64(2)).num_envs == 2  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*is out of date")
def test_ids_as_gymnasium_takes_them() -> None:
    gym.register("LineForTests-v0", LineEnv)
    gym.register("LineForTests-v1", LineEnv, kwargs={"limit": 7})
    try:
        for env_id, limit in (("LineForTests-v0", 14), ("LineForTests", 7), ("envs_for_tests:LineForTests-v1", 7)):
            assert make_skill_vec_env(env_id, tiny_skills(), 1).get_attr("limit") == [limit]
        for unknown in ("LineForTests-v9", "NoSuchEnvironment", "no_such_module:Line-v0", "two words"):
            with pytest.raises(EnvironmentSpecError, match="no environment"):
                make_skill_vec_env(unknown, tiny_skills(), 1)
    finally:
        for name in ("LineForTests-v0", "LineForTests-v1"):
            gym.registry.pop(name)


def test_goal_environments_by_key() -> None:
    make = lambda: CountingEnv(6, key="state")  # noqa: E731
    env = make_skill_vec_env(make, tiny_skills(), 2, observation_key="state")
    assert env.reset().tolist() == [[0, 1], [0, 1]]
    assert env.step(np.zeros((2, SKILL_DIM), np.float32))[0].tolist() == [[HORIZON, 1]] * 2
    with pytest.raises(EnvironmentSpecError, match="name it as observation_key"):
        make_skill_vec_env(make, tiny_skills(), 2)


class Taskless(CountingEnv):
    """It lists tasks, and takes none."""

    train_tasks = test_tasks = (LineTask(1.5), LineTask(-1.5))


@pytest.mark.parametrize("vector", [False, True])
def test_a_task_for_an_environment_that_takes_none(vector: bool) -> None:
    wrapper = SkillActionWrapper(Taskless(), tiny_skills())
    vec_env = SkillVecEnv([Taskless], tiny_skills())
    with pytest.raises(EnvironmentSpecError, match=r"Taskless is given a task, and has no set_task\(task\)"):
        vec_env.env_method("set_task", LineTask(1.5)) if vector else wrapper.set_task(LineTask(1.5))


@pytest.mark.parametrize("envs", [LineEnv(), [LineEnv()], [LineEnv, None], None, 5])
def test_what_is_no_constructor(envs: Any) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"envs is .*give SkillVecEnv the constructors"):
        SkillVecEnv(envs, tiny_skills())


@pytest.mark.parametrize("env", [LineEnv, "SimplMaze-v0", None])
def test_what_is_no_environment(env: Any) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"env is .*: expected a gymnasium\.Env"):
        SkillActionWrapper(env, tiny_skills())


@pytest.mark.parametrize("skills", [None, 5])
def test_what_are_no_skills(skills: Any) -> None:
    with pytest.raises(ModelFileError, match=r"The path of skills is (None|5)"):
        make_skill_vec_env(LineEnv, skills, 2)
