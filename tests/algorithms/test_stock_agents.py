"""Stock learners on test tasks: one after the other, each with its own episodes, stopped where they end."""

from typing import Any

import numpy as np
from envs_for_tests import LineTask, line_envs
from stable_baselines3 import SAC
from stock_for_tests import LINE_GOALS, TEST_TASKS, line_skills

from simpl_sb3.algorithms.stock_agents import GoalAgent, environment_seed, learn_tasks, live_trials
from simpl_sb3.experience.goal_vec_env import GoalScale
from simpl_sb3.experience.task_vec_env import TaskVecEnv
from simpl_sb3.skills.vec_env import SkillVecEnv


def make(one: Any, task: Any, note: Any) -> TaskVecEnv:
    return TaskVecEnv(one, [task], drawn=False, on_episode=note)


def learner(own: Any, seed: int) -> SAC:
    return SAC("MlpPolicy", own, seed=seed, learning_starts=10**6, buffer_size=50, policy_kwargs={"net_arch": [4]})


def test_learners_live_exactly_their_episodes() -> None:
    env = SkillVecEnv(line_envs(2), line_skills())
    told: list[Any] = []
    tasks = (LineTask(30.0), LineTask(-30.0))
    models = learn_tasks(env, tasks, 3, lambda *each: told.append(each), 2, make, learner)
    assert [(agent, episode) for agent, episode, _ in told] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [finished.job.task for *_, finished in told] == [tasks[0]] * 2 + [tasks[1]] * 2
    assert [model.num_timesteps for model in models] == [14, 14]  # two episodes of seven skills
    assert [model.seed for model in models] == [3, 4]
    starts = [finished.episode.observations[0, 0] for *_, finished in told]
    alone = SkillVecEnv(line_envs(1), line_skills())
    alone.seed(environment_seed(3))
    assert starts[0] == alone.reset()[0, 0]
    assert len(set(starts)) == 4


def test_a_goal_agent_takes_the_environments_own_observations() -> None:
    class Model:
        def predict(self, shown: dict[str, np.ndarray], deterministic: bool) -> tuple[np.ndarray, None]:
            return np.column_stack([*shown.values(), np.full(len(shown["observation"]), deterministic)]), None

    skills = line_skills()
    agent = GoalAgent(Model(), skills, GoalScale(LINE_GOALS, skills), LineTask(7.0))
    z, state = agent.predict(np.array([1.0, 2.0]), state="kept", deterministic=True)
    assert z.tolist() == [1.0, 2.0, 1.0, 7.0, 1.0]  # observation, achieved, asked
    assert state == "kept"
    assert agent.predict(np.zeros((3, 2)))[0].shape == (3, 5)


def test_a_trial_shows_its_policy_one_start() -> None:
    class Policy:
        """Remembers how often it was asked since its start."""

        def __init__(self) -> None:
            self.rows: list[np.ndarray] = []

        def predict(self, rows: np.ndarray, memory: Any, starts: np.ndarray, deterministic: bool) -> Any:
            self.rows.append(rows)
            counts = np.zeros((1, len(rows), 1)) if memory is None else memory[0]
            counts = counts * (1 - starts[None, :, None]) + 1
            return np.full((len(rows), 1), 2.0, np.float32), (counts, counts.copy())

    policy, told = Policy(), list[Any]()
    env = SkillVecEnv(line_envs(2), line_skills())
    agents = live_trials(env, TEST_TASKS, policy, line_skills(), 3, 0, lambda *each: told.append(each))
    right = [finished for agent, _, finished in told if agent == 0]
    assert [finished.success for finished in right] == [True] * 3
    assert agents[0].memory[0].item() == sum(len(finished.episode) for finished in right)
    assert agents[1].memory[0].item() == 3 * 7  # the other goal is never reached this way
    assert len(policy.rows) == 21
    assert agents[0].z.tolist() == [2.0]
    ends = [i for i, rows in enumerate(policy.rows) if rows[1, -1] == 1.0]
    assert ends == [7, 14]
