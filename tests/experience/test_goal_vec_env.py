"""Goals that are shown: what is seen, and that hindsight rewards as the environment does."""

from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import LineTask, line_envs
from stable_baselines3 import SAC
from stock_for_tests import LINE_GOALS, TASKS, line_skills

from simpl_envs import MAZE_TASK_SETS, GoalTask
from simpl_sb3.domains import find_domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.goal_vec_env import GoalScale, GoalVecEnv, SkillHerReplayBuffer
from simpl_sb3.experiments.presets import PRETRAINED
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.vec_env import SkillVecEnv

MAZE_GOALS = find_domain("maze").goals


def goal_line(number: int = 2, tasks: Any = TASKS, **arguments: Any) -> GoalVecEnv:
    skills = line_skills()
    skills.observation_mean[:], skills.observation_std[:] = 1.0, 2.0
    return GoalVecEnv(SkillVecEnv(line_envs(number, **arguments), skills), tasks, LINE_GOALS, drawn=False)


def test_the_goal_is_shown_in_the_observations_scale() -> None:
    env = goal_line()
    seen = env.reset()
    assert {name: part.shape for name, part in seen.items()} == {
        "observation": (2, 2),
        "achieved_goal": (2, 1),
        "desired_goal": (2, 1),
    }
    assert seen["desired_goal"][:, 0].tolist() == [0.25, -1.25]  # 1.5 and -1.5, of mean 1 and deviation 2
    assert np.array_equal(seen["achieved_goal"][:, 0], seen["observation"][:, 0])
    assert all(env.observation_space[name].contains(part[0]) for name, part in seen.items())
    _, _, dones, infos = [env.step(np.full((2, 1), 2.0)) for _ in range(7)][-1]
    assert dones[1]
    assert infos[1]["terminal_observation"]["desired_goal"].tolist() == [-1.25]


def filled(env: GoalVecEnv, skills: int) -> tuple[SkillHerReplayBuffer, list[dict[str, Any]]]:
    """A buffer of random skills, and what was added."""
    buffer = SkillHerReplayBuffer(200, env.observation_space, env.action_space, env, n_envs=env.num_envs)
    rng, added = np.random.default_rng(0), []
    seen = env.reset()
    for _ in range(skills):
        z = rng.uniform(-3, 3, (env.num_envs, 1)).astype(np.float32)
        after, rewards, dones, infos = env.step(z)
        following = {name: part.copy() for name, part in after.items()}
        for i in np.flatnonzero(dones):
            for name in following:
                following[name][i] = infos[i]["terminal_observation"][name]
        buffer.add(seen, following, z, rewards, dones, infos)
        added.append({"infos": infos, "rewards": rewards})
        seen = after
    return buffer, added


def test_hindsight_rewards_as_the_task_itself_would() -> None:
    env = goal_line(tasks=(LineTask(30.0), LineTask(-30.0)))
    buffer, added = filled(env, 60)
    np.random.seed(0)  # noqa: NPY002 - HerReplayBuffer draws from it
    rows, columns = np.unravel_index(np.flatnonzero(buffer.ep_length > 0), buffer.ep_length.shape)
    samples = buffer._get_virtual_samples(rows, columns)
    goals = env.scale.read(samples.observations["desired_goal"].numpy())[:, 0]
    for k, (row, column) in enumerate(zip(rows, columns, strict=True)):
        passed = added[row]["infos"][column]["skill_observations"]
        rewards, terminated = LineTask(float(goals[k])).rewards(passed)
        assert samples.rewards[k].item() == float(rewards.any())
        assert samples.dones[k].item() == float(terminated.any())
    assert 0.1 < samples.rewards.mean() < 0.98
    assert not any(added[row]["rewards"].any() for row in rows)  # nothing real was rewarded


def test_a_goal_counts_that_a_skill_passes() -> None:
    env = goal_line()
    env.reset()
    path = np.array([[-3.0, 0.0], [0.0, 0.0], [3.0, 0.0]], np.float32)
    shown = env.scale.shown(np.array([[0.5]]))
    end = env.scale.achieved(path[-1:])
    assert env.env_method("compute_reward", end, shown, [{"skill_observations": path}], indices=[0])[0].tolist() == [
        1.0
    ]
    assert env.compute_reward(end, shown, [{}]).tolist() == [0.0]  # stock HerReplayBuffer sees its end alone
    assert env.compute_reward(end, env.scale.shown(np.array([[3.5]])), [{}]).tolist() == [1.0]


def test_before_an_episode_has_ended_there_is_nothing_to_sample() -> None:
    tasks = (LineTask(30.0), LineTask(-30.0))
    assert not filled(goal_line(tasks=tasks), 6)[0].has_episodes
    assert filled(goal_line(tasks=tasks), 7)[0].has_episodes


def test_the_mazes_goals_are_its_rewards() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0.0, 21.0, (500, 4)).astype(np.float32)
    for task in (*MAZE_TASK_SETS["target"], GoalTask((3.0, 4.0), 0.5)):
        rewards, _ = task.rewards(places)
        goals = np.repeat(MAZE_GOALS.goal(task)[None], len(places), axis=0)
        assert np.array_equal(MAZE_GOALS.reached(MAZE_GOALS.achieved(places), goals), rewards > 0)
    scale = GoalScale(MAZE_GOALS, SkillModel.load(PRETRAINED / "maze-fast" / "skills.safetensors"))
    shown = scale.asked(MAZE_TASK_SETS["train-40"])
    assert np.abs(shown).max() < 3.0
    assert np.allclose(scale.read(shown)[0], [8.0, 2.0, 1.0], atol=1e-5)


def test_stock_sac_learns_on_it_with_stock_hindsight() -> None:
    model = SAC(
        "MultiInputPolicy",
        goal_line(),
        replay_buffer_class=SkillHerReplayBuffer,
        learning_starts=20,
        batch_size=8,
        buffer_size=200,
        policy_kwargs={"net_arch": [8]},
        seed=0,
    )
    model.learn(40)
    assert model._n_updates > 0
    assert all(bool(th.isfinite(parameter).all()) for parameter in model.policy.parameters())


def test_what_is_no_goal_is_refused() -> None:
    with pytest.raises(SettingsError, match="nothing says how a task is written as a goal"):
        GoalVecEnv(SkillVecEnv(line_envs(1), line_skills()), TASKS, None)
