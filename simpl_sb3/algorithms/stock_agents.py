"""What stock algorithms do on test tasks: learn one each, reach a goal that is shown, or live through a trial."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints
from simpl_sb3.algorithms.stock_agent_checkpoints import AgentCheckpoints
from simpl_sb3.experience.collector import MAX_EPISODE_ENV_STEPS, FinishedEpisode
from simpl_sb3.experience.goal_vec_env import GoalScale
from simpl_sb3.experience.task_vec_env import OneEnv, TaskVecEnv, features_of
from simpl_sb3.experience.trial_vec_env import TrialVecEnv, trial_row
from simpl_sb3.skills.base import Skills

__all__ = ["GoalAgent", "TrialAgent", "learn_tasks", "live_trials"]

OnEpisode = Callable[[int, int, FinishedEpisode], None]
SELDOM = 1 << 40
"""Episodes between two logs of an agent: rows say all that there is."""
Memory = tuple[np.ndarray, np.ndarray]
"""Of an LSTM: hidden and cell state, each (layers, K, width)."""


class StopAfter(BaseCallback):
    """
    Ends ``learn`` once a number of episodes has ended.

    :param env: with one environment
    :param n_episodes: how many
    """

    def __init__(self, env: TaskVecEnv, n_episodes: int) -> None:
        super().__init__()
        self.env, self.n_episodes = env, n_episodes

    def _on_step(self) -> bool:
        return bool(self.env.finished[0] < self.n_episodes)


def learn_tasks(
    env: VecEnv,
    tasks: Sequence[Any],
    seed: int,
    on_episode: OnEpisode,
    n_episodes: int,
    make: Callable[[VecEnv, Any, Callable[[int, FinishedEpisode], None]], TaskVecEnv],
    learner: Callable[[TaskVecEnv, int], BaseAlgorithm],
    checkpoints: AdaptationCheckpoints | None = None,
) -> list[Any]:
    """
    One stock learner for each task, one after the other, each by its own ``learn``.

    :param env: as many environments as tasks, with ``set_active``
    :param tasks: one per agent
    :param seed: of everything random
    :param on_episode: called with agent, episode (from 1), and a ``FinishedEpisode``
    :param n_episodes: episodes of each agent
    :param make: makes the agent's environment of one environment, its task, and what notes its episodes
    :param learner: the algorithm for that environment and a seed
    :param checkpoints: where agents are kept; going on, ``on_episode`` is first told all earlier episodes once more
    :return: the learners, in the tasks' order
    """
    env.seed(environment_seed(seed))
    env.reset()
    learners = []
    for agent, task in enumerate(tasks):
        kept = None if checkpoints is None else AgentCheckpoints(checkpoints, agent, task)
        number = count(1)

        def note(_: int, finished: FinishedEpisode, agent: int = agent, number: Any = number, kept: Any = kept) -> None:
            if kept is not None:
                kept.note(finished)
            on_episode(agent, next(number), finished)

        own = make(OneEnv(env, agent), task, note)
        model = learner(own, seed + agent)
        own.seed(environment_seed(seed) + agent)  # SB3 had given it the model's
        goes_on = kept is not None and kept.take_up(model, lambda finished, note=note: note(0, finished))  # type: ignore[misc]
        if kept is None or not kept.done:
            callbacks = [StopAfter(own, n_episodes), *([] if kept is None else [kept])]
            model.learn(
                n_episodes * MAX_EPISODE_ENV_STEPS, callbacks, log_interval=SELDOM, reset_num_timesteps=not goes_on
            )
        if kept is not None:
            kept.finish(model)
        learners.append(model)
    return learners


def environment_seed(seed: int) -> int:
    """The environments' seed: apart from one another's, and from meta-training's, as in ``adaptation``."""
    return 10_000 + 1_000 * seed


class GoalAgent:
    """
    A goal-conditioned policy with one goal, which takes the environment's own observations.

    :param model: a policy or an algorithm of SB3 that takes ``GoalVecEnv``'s dicts
    :param skills: what the environment's actions are
    :param scale: of goals
    :param task: whose goal it is shown
    """

    def __init__(self, model: Any, skills: Skills, scale: GoalScale, task: Any) -> None:
        self.model, self.skills, self.scale, self.task = model, skills, scale, task

    def predict(
        self, observation: np.ndarray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """
        As in SB3.

        :param observation: (O,) or (K, O)
        :return: skills (Z,) or (K, Z), and the state as it was given
        """
        rows = np.atleast_2d(np.asarray(observation, np.float32))
        goal = np.repeat(self.scale.asked([self.task]), len(rows), axis=0)
        shown = {
            "observation": features_of(self.skills, rows),
            "achieved_goal": self.scale.achieved(rows),
            "desired_goal": goal,
        }
        z, _ = self.model.predict(shown, deterministic=deterministic)
        return (z if np.ndim(observation) > 1 else z[0]), state


# ------------------------------------------------------------ one trial, without a gradient


def live_trials(
    env: VecEnv, tasks: Sequence[Any], policy: Any, skills: Skills, n_episodes: int, seed: int, on_episode: OnEpisode
) -> list["TrialAgent"]:
    """
    One trial on each task: nothing is learned but what the policy's memory keeps.

    :param env: as many environments as tasks, with ``set_active``
    :param tasks: one per agent
    :param policy: recurrent, over ``TrialVecEnv``'s rows
    :param skills: what the environment's actions are
    :param n_episodes: episodes of the trial
    :param seed: of environments and actions
    :param on_episode: called with agent, episode (from 1), and a ``FinishedEpisode``
    :return: agents with the memory that each trial left
    """
    set_random_seed(seed)
    trials = TrialVecEnv(
        env,
        tasks,
        episodes_per_trial=n_episodes,
        drawn=False,
        on_episode=lambda agent, finished: on_episode(agent, int(trials.finished[agent]), finished),
    )
    trials.seed(environment_seed(seed))
    observations, memory = trials.reset(), None
    starts, active = np.ones(len(tasks), bool), np.ones(len(tasks), bool)
    agents: list[TrialAgent | None] = [None] * len(tasks)
    while active.any():
        z, memory = policy.predict(observations, memory, starts, deterministic=False)
        observations, _rewards, dones, _infos = trials.step(z)
        starts[:] = False
        for i in np.flatnonzero(dones & active).tolist():
            own = (memory[0][:, [i]].copy(), memory[1][:, [i]].copy())
            agents[i] = TrialAgent(policy, skills, own, z[i].copy(), tasks[i])
            active[i] = False
            env.set_active(active)  # type: ignore[attr-defined]
    assert all(agent is not None for agent in agents)
    return agents  # type: ignore[return-value]


class TrialAgent:
    """
    A recurrent policy with the memory that a trial left, which takes the environment's own observations.

    Its memory is the ``state`` that ``predict`` returns and is given again, as SB3's ``evaluate_policy`` does; with
    None it is that of the trial's end. Nobody tells ``predict`` of rewards: they count as 0.

    :param policy: over ``TrialVecEnv``'s rows
    :param skills: what the environment's actions are
    :param memory: at the trial's end, with K = 1
    :param z: the trial's last skill, (Z,)
    :param task: that the trial was about
    """

    def __init__(self, policy: Any, skills: Skills, memory: Memory, z: np.ndarray, task: Any) -> None:
        self.policy, self.skills, self.memory, self.z, self.task = policy, skills, memory, z, task

    def predict(
        self, observation: np.ndarray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, tuple[Memory, np.ndarray]]:
        """
        :param observation: (O,) or (K, O)
        :param state: what the call before returned; None for the trial's end
        :param episode_start: where an episode begins, (K,); the memory is kept
        :return: skills (Z,) or (K, Z), and the state
        """
        rows = np.atleast_2d(np.asarray(observation, np.float32))
        ended = np.zeros(len(rows), np.float32)
        if episode_start is not None:
            ended[:] = episode_start
        elif state is None:
            ended[:] = 1.0
        if state is None:
            memory = tuple(np.repeat(part, len(rows), axis=1) for part in self.memory)
            latest = np.repeat(self.z[None], len(rows), axis=0)
        else:
            memory, latest = state
        shown = trial_row(features_of(self.skills, rows), latest, np.zeros(len(rows)), ended)
        z, memory = self.policy.predict(shown, memory, np.zeros(len(rows), bool), deterministic)
        return (z if np.ndim(observation) > 1 else z[0]), (memory, z)
