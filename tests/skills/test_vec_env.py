"""``SkillVecEnv`` equals ``SkillActionWrapper`` environment by environment, over plain and over native environments."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from envs_for_tests import HORIZON, OBSERVATIONS, SKILL_DIM, CountingEnv, LineEnv, LineTask, line_envs, tiny_skills
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

import simpl_envs
from simpl_sb3.errors import EnvironmentSpecError, SkillMismatchError
from simpl_sb3.skills.held_envs import HeldEnvs
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.vec_env import SkillVecEnv, make_skill_vec_env
from simpl_sb3.skills.wrapper import SKILL_BOUND, SkillActionWrapper

N = 4


def drawn_skills(n_steps: int, number: int = N, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(0).standard_normal((n_steps, number, SKILL_DIM)).astype(np.float32)


def assert_equal_infos(one: dict[str, Any], other: dict[str, Any]) -> None:
    ignored = {"episode"}  # as Monitor writes it, which the plain side has not
    assert one.keys() - ignored == other.keys() - ignored | ({"TimeLimit.truncated"} & one.keys())
    for key in one.keys() & other.keys() - ignored:
        assert np.array_equal(one[key], other[key]), key


def assert_equal_vec_envs(fast: SkillVecEnv, plain: DummyVecEnv, n_steps: int, scale: float = 1.0) -> None:
    """Step for step and to the bit, over the ends of episodes."""
    for env in (fast, plain):
        env.seed(11)
    assert np.array_equal(fast.reset(), plain.reset())
    ends = 0
    for z in drawn_skills(n_steps, fast.num_envs, scale):
        observations, rewards, dones, infos = fast.step(z)
        expected, expected_rewards, expected_dones, expected_infos = plain.step(z)
        assert np.allclose(observations, expected, atol=1e-5)
        assert np.allclose(rewards, expected_rewards)
        assert np.array_equal(dones, expected_dones)
        ends += dones.sum()
        for info, other, done in zip(infos, expected_infos, dones, strict=True):
            assert info["skill_steps"] == other["skill_steps"]
            assert np.allclose(info["skill_observations"], other["skill_observations"], atol=1e-5)
            assert (info["task"], info["is_success"]) == (other["task"], other["is_success"])
            assert ("terminal_observation" in info) == done
            if done:
                assert np.allclose(info["terminal_observation"], other["terminal_observation"], atol=1e-5)
                assert info["TimeLimit.truncated"] == other["TimeLimit.truncated"]
    assert ends > 0


# ---------------------------------------------------------------- equal to the wrapper


def test_equals_the_wrapper_over_plain_environments() -> None:
    """Some episodes terminate in the middle of a skill, others are truncated."""
    skills = tiny_skills()
    tasks = [LineTask(-0.9), LineTask(1.3), LineTask(30.0), LineTask(-1.3)]
    fast = SkillVecEnv(line_envs(N), skills)
    plain = DummyVecEnv([lambda: SkillActionWrapper(LineEnv(), skills)] * N)  # type: ignore[list-item]
    for env in (fast, plain):
        for i, task in enumerate(tasks):
            env.env_method("set_task", task, indices=[i])
    assert_equal_vec_envs(fast, plain, 30, scale=3.0)


def test_equals_the_wrapper_over_native_mazes() -> None:
    maze = gym.make("SimplMaze-v0")
    skills = tiny_skills(maze.observation_space, maze.action_space)
    fast = make_skill_vec_env("SimplMaze-v0", skills, N, max_episode_steps=18)
    plain = DummyVecEnv([lambda: SkillActionWrapper(gym.make("SimplMaze-v0", max_episode_steps=18), skills)] * N)  # type: ignore[list-item]
    near = simpl_envs.GoalTask((10.0, 11.2))
    for env in (fast, plain):
        env.env_method("set_task", near, indices=[1, 2])
    assert not isinstance(fast.envs, HeldEnvs)
    assert_equal_vec_envs(fast, plain, 12)
    fast.close()
    plain.close()


def test_native_mazes_equal_plain_mazes() -> None:
    maze = gym.make("SimplMaze-v0")
    skills = tiny_skills(maze.observation_space, maze.action_space)
    native = make_skill_vec_env("SimplMaze-v0", skills, N, max_episode_steps=18, seed=3)
    plain = make_skill_vec_env(
        lambda **arguments: gym.make("SimplMaze-v0", **arguments), skills, N, max_episode_steps=18, seed=3
    )
    assert isinstance(plain.envs, HeldEnvs)
    assert np.array_equal(native.reset(), plain.reset())
    assert native.reset_infos == plain.reset_infos
    for z in drawn_skills(12):
        native_step, plain_step = native.step(z), plain.step(z)
        for one, other in zip(native_step[:3], plain_step[:3], strict=True):
            assert np.array_equal(one, other)
        for info, plain_info in zip(native_step[3], plain_step[3], strict=True):
            assert_equal_infos(info, plain_info)
    native.close()
    plain.close()


@pytest.mark.parametrize(("terminate_at", "truncate_at"), [(6, 99), (99, 6), (6, 6), (4, 99), (99, 4)])
def test_counting_environments(terminate_at: int, truncate_at: int) -> None:
    """Rewards, flags and infos by hand, where one environment ends and the other goes on."""
    env = SkillVecEnv([lambda: CountingEnv(terminate_at, truncate_at), CountingEnv], tiny_skills())
    end = min(terminate_at, truncate_at)
    assert env.reset().tolist() == [[0, 1], [0, 1]]
    rewards, infos = np.zeros((2, 2)), []
    for i in range(2):
        observations, rewards[i], dones, infos = env.step(np.zeros((2, SKILL_DIM), np.float32))
        assert observations[1].tolist() == [HORIZON * (i + 1), 1]
        assert not dones[1]
        if dones[0]:
            break
    assert dones[0]
    assert rewards[:, 0].sum() == end * (end + 1) / 2
    assert observations[0].tolist() == [0, 2]
    assert infos[0]["terminal_observation"].tolist() == [end, 1]
    assert infos[0]["TimeLimit.truncated"] == (truncate_at < terminate_at)
    assert infos[0]["skill_steps"] == (end - 1) % HORIZON + 1
    assert infos[0]["episode"] == {"r": end * (end + 1) / 2, "l": i + 1, "t": 0.0}
    assert infos[0]["count"] == end
    assert infos[1]["skill_steps"] == HORIZON
    assert "episode" not in infos[1]


def test_infos_are_those_of_the_last_env_step_and_of_the_own_environment() -> None:
    env = SkillVecEnv([lambda: CountingEnv(terminate_at=2), CountingEnv], tiny_skills())
    env.reset()
    *_, infos = env.step(np.zeros((2, SKILL_DIM), np.float32))
    assert infos[0]["only_at_two"]
    assert "only_at_two" not in infos[1]


def test_returned_arrays_are_not_changed_later() -> None:
    env = SkillVecEnv([CountingEnv, lambda: CountingEnv(terminate_at=4)], tiny_skills())
    first = env.reset()
    z = np.zeros((2, SKILL_DIM), np.float32)
    observations, _, _, infos = env.step(z)
    kept = (
        observations.copy(),
        [info["skill_observations"].copy() for info in infos],
        infos[1]["terminal_observation"].copy(),
    )
    env.step(z)
    assert first.tolist() == [[0, 1], [0, 1]]
    assert np.array_equal(observations, kept[0])
    assert all(np.array_equal(info["skill_observations"], one) for info, one in zip(infos, kept[1], strict=True))
    assert np.array_equal(infos[1]["terminal_observation"], kept[2])


def test_dict_observations_by_key() -> None:
    env = SkillVecEnv([lambda: CountingEnv(6, key="state")] * 2, tiny_skills(observation_key="state"))
    assert env.observation_space == OBSERVATIONS
    assert env.reset().tolist() == [[0, 1], [0, 1]]
    z = np.zeros((2, SKILL_DIM), np.float32)
    env.step(z)
    observations, _, dones, infos = env.step(z)
    assert dones.all()
    assert observations.tolist() == [[0, 2], [0, 2]]
    assert infos[1]["terminal_observation"].tolist() == [6, 1]


# ---------------------------------------------------------------- environments that are left out


def native_or_plain(native: bool, number: int = N) -> tuple[SkillVecEnv, Any, Any]:
    """A vec env and two tasks that it takes."""
    if not native:
        return SkillVecEnv(line_envs(number), tiny_skills()), LineTask(4.0), LineTask(5.0)
    maze = gym.make("SimplMaze-v0")
    env = make_skill_vec_env("SimplMaze-v0", tiny_skills(maze.observation_space, maze.action_space), number)
    return env, simpl_envs.GoalTask((12.0, 7.0)), simpl_envs.GoalTask((1.0, 19.0))


both = pytest.mark.parametrize("native", [False, True], ids=["plain", "native"])


@both
def test_environments_that_are_not_active_do_not_move(native: bool) -> None:
    env, *_ = native_or_plain(native)
    before = env.reset()
    env.set_active(np.array([True, False, True, False]))
    z = drawn_skills(1)[0]
    observations, rewards, dones, infos = env.step(z)
    assert [info["skill_steps"] for info in infos] == [HORIZON, 0, HORIZON, 0]
    assert np.array_equal(observations[[1, 3]], before[[1, 3]])
    assert not np.array_equal(observations[[0, 2]], before[[0, 2]])
    assert not rewards.any()
    assert not dones.any()
    assert len(infos[1]["skill_observations"]) == 0
    env.set_active(np.ones(N, bool))
    assert [info["skill_steps"] for info in env.step(z)[-1]] == [HORIZON] * N


@both
def test_a_step_without_any_active_environment_changes_nothing(native: bool) -> None:
    env, *_ = native_or_plain(native)
    before = env.reset()
    env.set_active(np.zeros(N, bool))
    observations, _, dones, infos = env.step(drawn_skills(1)[0])
    assert np.array_equal(observations, before)
    assert not dones.any()
    assert [info["skill_steps"] for info in infos] == [0] * N


@both
def test_reset_makes_every_environment_active_again(native: bool) -> None:
    """What collected episodes leaves environments out at its end; who uses the vec env next must not wait forever."""
    env, *_ = native_or_plain(native)
    env.reset()
    env.set_active(np.zeros(N, bool))
    env.reset()
    assert [info["skill_steps"] for info in env.step(drawn_skills(1)[0])[-1]] == [HORIZON] * N


# ---------------------------------------------------------------- SB3's VecEnv interface


@both
def test_tasks_are_set_one_environment_at_a_time(native: bool) -> None:
    env, one, two = native_or_plain(native)
    env.reset()
    env.env_method("set_task", one)
    env.env_method("set_task", two, indices=[2])
    expected = [one, one, two, one]
    assert env.get_attr("task") == expected
    assert env.get_attr("task", indices=[2, 0]) == [two, one]
    env.reset()
    assert [info["task"] for info in env.reset_infos] == [task.name for task in expected]
    assert [info["task"] for info in env.step(drawn_skills(1)[0])[-1]] == [task.name for task in expected]


@both
def test_reset_of_some_environments(native: bool) -> None:
    env, one, two = native_or_plain(native)
    env.reset()
    env.env_method("set_task", one)
    moved = env.step(drawn_skills(1)[0])[0]
    results = env.env_method("reset", indices=[1, 3], options={"task": two})
    assert [info["task"] for _, info in results] == [two.name] * 2
    assert env.get_attr("task") == [one, two, one, two]
    observations, *_ = env.step(np.zeros((N, SKILL_DIM), np.float32))
    env.set_active(np.zeros(N, bool))
    for i, (observation, _) in zip((1, 3), results, strict=True):
        assert not np.array_equal(observation, moved[i])
    assert observations.shape == moved.shape


@both
def test_options_of_the_next_reset(native: bool) -> None:
    """As SB3 gives them: one dict for all, or one for each; a task stays, for the automatic reset passes no options."""
    env, one, two = native_or_plain(native)
    env.set_options({"task": one})
    env.reset()
    assert env.get_attr("task") == [one] * N
    env.set_options([{"task": two}, {}, {"task": two}, {}])
    env.reset()
    env.reset()
    assert env.get_attr("task") == [two, one, two, one]


@both
def test_seeds(native: bool) -> None:
    env, *_ = native_or_plain(native)
    env.seed(3)
    first, again = env.reset(), env.reset()
    assert not np.array_equal(first, again)
    env.seed(3)
    assert np.array_equal(env.reset(), first)
    env.seed(4)
    assert np.array_equal(env.reset()[:-1], first[1:])  # environment i is seeded s + i


def test_methods_and_attributes_of_plain_environments() -> None:
    env = SkillVecEnv(line_envs(3), tiny_skills())
    env.set_attr("limit", 5, indices=[1])
    assert env.get_attr("limit") == [14, 5, 14]
    env.set_attr("train_tasks", (LineTask(3.0), LineTask(4.0)))  # one value, though it is a tuple
    assert env.get_attr("train_tasks", indices=[1]) == [(LineTask(3.0), LineTask(4.0))]
    env.seed(0)
    env.reset()
    (x,) = env.env_method("get_wrapper_attr", "x", indices=[2])
    assert np.array_equal(x, LineEnv().reset(seed=2)[0])
    assert env.get_attr("skills") == [env.skills] * 3
    with pytest.raises(AttributeError):
        env.get_attr("nothing_of_that_name")


def test_pictures() -> None:
    env = SkillVecEnv(line_envs(3, render_mode="rgb_array"), tiny_skills())
    env.reset()
    assert env.render_mode == "rgb_array"
    assert [picture.shape for picture in env.get_images() if picture is not None] == [(4, 4, 3)] * 3
    picture = env.render()
    assert picture is not None
    assert picture.shape == (8, 8, 3)
    assert SkillVecEnv(line_envs(2), tiny_skills()).get_images() == [None, None]


class Still:
    """Always the same skill."""

    def predict(self, observations: np.ndarray, **_: Any) -> tuple[np.ndarray, None]:
        return np.zeros((len(observations), SKILL_DIM), np.float32), None


def test_it_counts_as_monitored() -> None:
    """Its infos hold what ``Monitor`` would write, so SB3's evaluation reads them and does not warn."""
    env = SkillVecEnv([lambda: CountingEnv(terminate_at=6)] * 2, tiny_skills())
    assert env.env_is_wrapped(Monitor) == [True, True]
    assert env.env_is_wrapped(TimeLimit, indices=[0]) == [False]
    returns, lengths = evaluate_policy(Still(), env, n_eval_episodes=3, return_episode_rewards=True)  # type: ignore[arg-type]
    assert returns == [21.0] * 3
    assert lengths == [2] * 3  # skills: what one step is here


@pytest.mark.filterwarnings("ignore:The environment is already wrapped")
def test_under_a_wrapper_of_sb3() -> None:
    env = VecMonitor(SkillVecEnv([lambda: CountingEnv(terminate_at=6)] * 2, tiny_skills()))
    env.reset()
    z = np.zeros((2, SKILL_DIM), np.float32)
    env.step(z)
    *_, infos = env.step(z)
    assert infos[0]["episode"]["r"] == 21.0
    assert infos[0]["episode"]["l"] == 2  # VecMonitor counts skills


# ---------------------------------------------------------------- making one, and what is refused


def test_spaces() -> None:
    env = SkillVecEnv(line_envs(2), tiny_skills(), bound=2.0)
    assert env.action_space == gym.spaces.Box(-2.0, 2.0, (SKILL_DIM,), np.float32)
    assert env.observation_space == OBSERVATIONS
    assert SkillVecEnv(line_envs(2), tiny_skills()).action_space.high[0] == SKILL_BOUND  # type: ignore[attr-defined]


def test_make_from_a_constructor_and_from_an_id(tmp_path: Any) -> None:
    path = tmp_path / "skills.safetensors"
    tiny_skills().save(path)
    env = make_skill_vec_env(LineEnv, path, 3, limit=5, seed=1)
    assert isinstance(env.skills, SkillModel)
    assert env.get_attr("limit") == [5] * 3
    assert np.array_equal(env.reset()[2], LineEnv().reset(seed=3)[0])
    gym.register("LineForTests-v1", LineEnv)
    try:
        assert make_skill_vec_env("LineForTests-v1", path, 2, limit=6).get_attr("limit") == [6] * 2
    finally:
        gym.registry.pop("LineForTests-v1")


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_a_vector_environment_that_resets_by_itself_is_refused(mode: AutoresetMode) -> None:
    with pytest.raises(EnvironmentSpecError, match="DISABLED"):
        SkillVecEnv(SyncVectorEnv(line_envs(2), autoreset_mode=mode), tiny_skills())


def test_vector_environments_that_do_not_hold_ended_environments_are_refused() -> None:
    """Gymnasium's own step no further once one of theirs has ended; SB3's are something else."""
    with pytest.raises(EnvironmentSpecError, match=r"SyncVectorEnv has no set_active and no set_task.*constructors"):
        SkillVecEnv(SyncVectorEnv(line_envs(2), autoreset_mode=AutoresetMode.DISABLED), tiny_skills())
    with pytest.raises(EnvironmentSpecError, match="DummyVecEnv is a Stable-Baselines3 vector environment"):
        SkillVecEnv(DummyVecEnv(line_envs(2)), tiny_skills())  # type: ignore[arg-type, list-item]
    with pytest.raises(EnvironmentSpecError, match="at least one constructor"):
        SkillVecEnv([], tiny_skills())


def test_another_environment_of_the_same_shapes_is_refused_unless_asked() -> None:
    gym.register("LineForTests-v0", LineEnv)
    try:
        skills = tiny_skills(env_id="OtherLine-v0")
        with pytest.raises(SkillMismatchError, match=r"demonstrations of OtherLine-v0; this environment is LineFor"):
            make_skill_vec_env("LineForTests-v0", skills, 2)
        make_skill_vec_env("LineForTests-v0", skills, 2, check_env=False)
        make_skill_vec_env(LineEnv, skills, 2)
    finally:
        gym.registry.pop("LineForTests-v0")


def test_spaces_that_skills_do_not_fit_are_refused() -> None:
    with pytest.raises(SkillMismatchError):
        SkillVecEnv(line_envs(2), tiny_skills(gym.spaces.Box(-1.0, 1.0, (5,))))
    with pytest.raises(EnvironmentSpecError):
        SkillVecEnv([lambda: CountingEnv(key="state")] * 2, tiny_skills(observation_key="nothing"))
