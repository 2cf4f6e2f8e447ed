"""Skill vec envs for algorithms that bring their own loop: each environment works off tasks, each episode is noted."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.collector import FinishedEpisode, Job, check_lengths, finished_episode
from simpl_sb3.experience.env_states import env_state, holds_episodes, take_env_state
from simpl_sb3.experience.episode_arrays import running_arrays, running_of
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.fit import find_skills

__all__ = ["OneEnv", "TaskVecEnv", "features_of"]

INNER = "envs."
OnFinished = Callable[[int, FinishedEpisode], None]


class TaskVecEnv(VecEnvWrapper):
    """
    A vec env over skills in which each environment works off trials: a task, and some episodes of it.

    ``dones`` are true where a trial ends. ``info["is_success"]`` at the end of an episode tells whether any of its env
    steps was a success.

    :param env: its actions are skills, such as a ``SkillVecEnv``
    :param tasks: what trials are about
    :param episodes_per_trial: episodes of the same task, one after the other
    :param drawn: each trial's task is drawn from ``tasks`` at random; False: environment i always has ``tasks[i]``
    :param on_episode: called after every episode with the environment's index and a ``FinishedEpisode``
    :param observation_space: of what is shown; None for the environment's own
    :raises SettingsError: for no tasks, or without ``drawn`` another number of tasks than environments
    :raises EnvironmentSpecError: for an environment whose actions are not skills
    """

    skills: Skills

    def __init__(
        self,
        env: VecEnv,
        tasks: Sequence[Any],
        *,
        episodes_per_trial: int = 1,
        drawn: bool = True,
        on_episode: OnFinished | None = None,
        observation_space: gym.Space[Any] | None = None,
    ) -> None:
        if isinstance(tasks, str) or not tasks or (not drawn and len(tasks) != env.num_envs):
            number = "one or more" if drawn else f"{env.num_envs}, one per environment"
            raise SettingsError(f"tasks is {tasks!r}: expected a sequence of tasks, {number}.")
        super().__init__(env, observation_space=observation_space)
        self.skills = find_skills(env, type(self).__name__)
        self.tasks, self.episodes_per_trial, self.drawn = tuple(tasks), episodes_per_trial, drawn
        self.on_episode = on_episode
        self.episodes = np.zeros(env.num_envs, int)  # ended, in the trials that run
        self.finished = np.zeros(env.num_envs, int)  # ended in all
        self._rng = np.random.default_rng()
        self._tasks: list[Any] = [None] * env.num_envs  # of the trials that run
        self._steps: list[list[tuple[Any, ...]]] = [[] for _ in range(env.num_envs)]
        self._env_steps = np.zeros(env.num_envs, int)
        self._observations = np.zeros((env.num_envs, *self.skills.observation_space.shape), np.float32)
        self._actions = np.zeros((env.num_envs, self.skills.skill_dim), np.float32)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """As in SB3; the tasks are drawn by the same seed."""
        self._rng = np.random.default_rng(seed)
        return self.venv.seed(seed)

    def reset(self) -> VecEnvObs:
        """Begin a trial in every environment."""
        for i in range(self.num_envs):
            self._give_task(i)
        self._observations = np.array(self.venv.reset(), np.float32)
        self.episodes[:], self._env_steps[:] = 0, 0
        self._steps = [[] for _ in range(self.num_envs)]
        return self._show(self._observations, np.arange(self.num_envs))

    def _give_task(self, index: int) -> bool:
        """The task of an environment's next trial; False where it is the same as before."""
        task = self.tasks[int(self._rng.integers(len(self.tasks))) if self.drawn else index]
        if task is self._tasks[index]:
            return False
        self._tasks[index] = task
        self.venv.env_method("set_task", task, indices=[index])
        return True

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = np.array(actions, np.float32)
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        after = np.array(observations, np.float32)
        for i in np.flatnonzero(dones):
            after[i] = infos[i]["terminal_observation"]
        self._note(after, rewards, dones, infos)
        self._observations = np.array(observations, np.float32)
        self._lived(rewards, dones)
        ends = np.zeros(self.num_envs, bool)
        for i in np.flatnonzero(dones):
            infos[i]["terminal_observation"] = _first(self._show(after[[i]], np.array([i])))
            ends[i] = self._end_episode(int(i), infos[i])
        return self._show(self._observations, np.arange(self.num_envs)), rewards, ends, infos

    def _note(self, after: np.ndarray, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]) -> None:
        """Keep the rows of the episodes that run."""
        latest = np.array([info["skill_steps"] for info in infos])
        self._env_steps += latest
        check_lengths(self._env_steps, latest)
        for i in np.flatnonzero(latest):  # those that are left out do no env step
            info, truncated = infos[i], bool(infos[i].get("TimeLimit.truncated", False))
            row = (self._observations[i], self._actions[i], rewards[i], dones[i] and not truncated, after[i], latest[i])
            told = (dones[i] and truncated, info.get("skill_observations"), info.get("is_success"))
            self._steps[i].append((*row, *told))

    def _end_episode(self, index: int, info: dict[str, Any]) -> bool:
        """Hand an episode on; whether its trial ended with it, and another one began."""
        finished = finished_episode(Job(self._tasks[index], index, "learning"), self._steps[index])
        self._steps[index], self._env_steps[index] = [], 0
        self.episodes[index] += 1
        self.finished[index] += 1
        if finished.success_known:
            info["is_success"] = finished.success
        if self.on_episode is not None:
            self.on_episode(index, finished)
        if self.episodes[index] < self.episodes_per_trial:
            return False
        self.episodes[index] = 0
        if self._give_task(index):
            self._observations[index] = self.venv.env_method("reset", indices=[index])[0][0]
        self._forget(index)
        return True

    # ------------------------------------------------------------ stopping in the middle of episodes, and going on

    @property
    def holds_episodes(self) -> bool:
        """Whether :meth:`get_state` holds the episodes that run."""
        return holds_episodes(self.venv)

    def get_state(self) -> dict[str, np.ndarray]:
        """What the coming steps depend on: the trials that run and their tasks, and the environments' own state."""
        numbers = {id(task): k for k, task in enumerate(self.tasks)}
        state = {name: array.copy() for name, array in self._own_state().items()}
        state["chosen"] = np.array([numbers[id(task)] for task in self._tasks], np.int64)
        state["generator"] = np.array(json.dumps(self._rng.bit_generator.state))
        theirs = {f"{INNER}{name}": array for name, array in env_state(self.venv).items()}
        return state | running_arrays(self._steps) | theirs

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """
        Go on from a state of :meth:`get_state`, after a reset.

        :raises ValueError: for a state of other environments or tasks
        """
        own = self._own_state()
        kinds = {name: (state[name].shape, state[name].dtype) for name in own}
        wanted = {name: (array.shape, array.dtype) for name, array in own.items()}
        running, chosen = running_of(state), state["chosen"]
        known = np.isin(chosen, np.arange(len(self.tasks))).all()
        if kinds != wanted or not known or not len(running) == len(chosen) == self.num_envs:
            raise ValueError(f"Expected a state of {self.num_envs} environments and {len(self.tasks)} tasks")
        self._rng.bit_generator.state = json.loads(str(state["generator"]))
        for i, k in enumerate(chosen.tolist()):
            self._tasks[i] = self.tasks[k]
            self.venv.env_method("set_task", self.tasks[k], indices=[i])
        inner = {name.removeprefix(INNER): array for name, array in state.items() if name.startswith(INNER)}
        take_env_state(self.venv, inner)
        for name, array in own.items():
            array[:] = state[name]
        self._steps = running

    def _own_state(self) -> dict[str, np.ndarray]:
        """The arrays that a state holds, themselves."""
        return {
            "episodes": self.episodes,
            "finished": self.finished,
            "steps_so_far": self._env_steps,
            "now": self._observations,
        }

    # ------------------------------------------------------------ what a subclass shows

    def _show(self, observations: np.ndarray, indices: np.ndarray) -> Any:
        """
        What the algorithm sees.

        :param observations: of the environment, (K, O)
        :param indices: of the environments, (K,)
        """
        return observations.copy()

    def _lived(self, rewards: np.ndarray, dones: np.ndarray) -> None:
        """Rewards and ends of the latest skill, each (n_envs,), before what follows it is shown."""

    def _forget(self, index: int) -> None:
        """A trial begins in an environment."""


class OneEnv(VecEnv):
    """
    One environment of a vec env, as a vec env of its own; the others rest while it is stepped.

    :param env: has ``set_active``, such as a ``SkillVecEnv``, and was reset
    :param index: of the environment
    """

    def __init__(self, env: VecEnv, index: int) -> None:
        self.env, self.index = env, index
        self.render_mode = env.render_mode
        super().__init__(1, env.observation_space, env.action_space)

    def reset(self) -> VecEnvObs:
        active = np.arange(self.env.num_envs) == self.index
        self.env.set_active(active)  # type: ignore[attr-defined]
        seed = {} if self._seeds[0] is None else {"seed": self._seeds[0]}
        observation, self.reset_infos[0] = self.env.env_method("reset", indices=[self.index], **seed)[0]
        self._reset_seeds()
        self._reset_options()
        return np.asarray(observation)[None]

    def step_async(self, actions: np.ndarray) -> None:
        every = np.zeros((self.env.num_envs, *np.shape(actions)[1:]), np.float32)
        every[self.index] = actions[0]
        self.env.step_async(every)

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.env.step_wait()
        own = slice(self.index, self.index + 1)
        return np.asarray(observations)[own], rewards[own], dones[own], [infos[self.index]]

    @property
    def holds_episodes(self) -> bool:
        """As the vec env's."""
        return holds_episodes(self.env)

    def get_state(self) -> dict[str, np.ndarray]:
        """That of the whole vec env."""
        return env_state(self.env)

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """
        Go on from a state of :meth:`get_state`.

        :raises ValueError: for a state of other environments
        """
        take_env_state(self.env, state)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        return self.env.get_attr(attr_name, [self.index])

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        self.env.set_attr(attr_name, value, [self.index])

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        return self.env.env_method(method_name, *args, indices=[self.index], **kwargs)

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        return self.env.env_is_wrapped(wrapper_class, [self.index])

    def close(self) -> None:
        """Nothing: the environment belongs to the vec env."""


def features_of(skills: Skills, observations: np.ndarray) -> np.ndarray:
    """Observations (..., O) as networks read them, (..., F); the demonstrations' mean is 0, their deviation 1."""
    with th.no_grad():
        read = skills.features(th.as_tensor(observations, device=skills.observation_mean.device))
    return np.asarray(read.cpu().numpy(), np.float32)


def _first(shown: Any) -> Any:
    """The first of what is shown."""
    return {name: part[0] for name, part in shown.items()} if isinstance(shown, dict) else shown[0]
