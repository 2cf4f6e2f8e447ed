"""What surrounds meta-training: the environment's tasks, the meta-policy's use, adaptation to unseen tasks, metrics."""

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.adaptation import Adaptation, OnEpisode
from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.policies import Gaussian, SkillPriorPEARLPolicy
from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import EnvironmentSpecError, SettingsError


class MetaSkillAlgorithm(SkillAlgorithm):
    """
    Base of meta-training over the training tasks of an environment.

    A subclass has ``policy`` (a ``SkillPriorPEARLPolicy``), ``exploration`` and ``exploration_spread`` (where an
    exploring episode's latent comes from), and learns.
    """

    policy: SkillPriorPEARLPolicy
    task_latent_dim: int
    exploration: str
    exploration_spread: float
    hindsight: bool
    context_sizes: tuple[int, ...]
    tasks_per_update: tuple[int, ...]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.train_tasks: tuple[Any, ...] = ()
        self.task_names: tuple[str, ...] = ()
        self.num_env_steps = self.num_meta_iterations = 0
        self._results: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=self._stats_window_size))

    # ------------------------------------------------------------ tasks

    def _find_tasks(self, env: VecEnv) -> tuple[Any, ...]:
        try:
            tasks = tuple(env.get_attr("train_tasks")[0])
        except AttributeError:
            tasks = ()
        if not tasks:
            raise EnvironmentSpecError(
                "Meta-training needs an environment with train_tasks (a tuple of tasks) and set_task(task); "
                "this one has no tasks."
            )
        if self.task_names and tuple(task.name for task in tasks) != self.task_names:
            raise EnvironmentSpecError(
                f"The model was trained on the tasks {', '.join(self.task_names)}; the environment has others."
            )
        return tasks

    def _check_settings(self) -> None:
        """
        :raises SettingsError: for settings that cannot work, in themselves or with the environment's tasks
        """
        if self.exploration not in ("prior", "aggregate"):
            raise SettingsError(f"exploration is {self.exploration!r}: expected prior or aggregate.")
        for name in ("context_sizes", "tasks_per_update"):
            if len(pair := getattr(self, name)) != 2 or min(pair) < 1:
                raise SettingsError(f"{name} is {pair}: expected two numbers of at least 1.")
        if self.hindsight and not all(hasattr(task, "rewards") for task in self.train_tasks):
            raise SettingsError(
                "hindsight=True relabels episodes by task.rewards(observations), which these tasks have not: "
                "expected hindsight=False."
            )

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """As in SB3; the environment needs the tasks and the skills that the model was trained on."""
        wrapped = self._wrap_env(env, self.verbose)
        tasks = self._find_tasks(wrapped)
        super().set_env(wrapped, force_reset)
        self.train_tasks = tasks

    def _extra_state(self) -> dict[str, Any]:
        return {"train_tasks": list(self.task_names), "num_env_steps": self.num_env_steps}

    def _load_extra_state(self, data: dict[str, Any]) -> None:
        self.task_names, self.num_env_steps = tuple(data["train_tasks"]), data["num_env_steps"]

    # ------------------------------------------------------------ using the meta-policy

    @th.no_grad()
    def infer_task_latent(self, context: th.Tensor) -> Gaussian:
        """
        The posterior q(e | context).

        :param context: rows (s, z, r, done, s'), one per skill, (T, N, row)
        :return: mean and standard deviation, each (T, E)
        """
        return self.policy.encode(context.to(self.device))

    def predict(  # type: ignore[override]
        self,
        observation: np.ndarray,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """
        Skills of the meta-policy, which explores: ``state`` holds each environment's task latent, drawn again as for
        exploration at each episode's start. The policy of one task is what :meth:`adapt` returns.

        :param observation: (O,) or (n_envs, O)
        :param state: what the last call returned, or None at the start
        :param episode_start: where an episode starts, (n_envs,)
        :param deterministic: the mean instead of a sample
        :return: skills (Z,) or (n_envs, Z), and the state (e (n_envs, E),)
        """
        self.policy.set_training_mode(False)
        observations = np.asarray(observation, np.float32).reshape(-1, self.policy.observation_dim)
        fresh = np.stack(
            [self.policy.sample_latent(self.exploration, self.exploration_spread).cpu() for _ in observations]
        )
        starts = (
            np.ones(len(observations), bool)
            if state is None or episode_start is None
            else np.asarray(episode_start, bool)
        )
        e = fresh if state is None else np.where(starts[:, None] & (episode_start is not None), fresh, state[0])
        z = self.policy.act(observations, th.as_tensor(e, device=self.device), deterministic)
        return z.reshape(*np.shape(observation)[:-1], -1), (e,)

    def adaptation_settings(self, **settings: Any) -> AdaptationSettings:
        """How to adapt: with the discount and the view of time limits that the critics learned, unless given."""
        learned = ("gamma", "gamma_per_env_step", "handle_timeout_termination")
        return AdaptationSettings(**{name: getattr(self, name) for name in learned} | settings)

    def adapt(
        self,
        env: GymEnv,
        task: Any = None,
        *,
        seed: int | None = None,
        on_episode: OnEpisode | None = None,
        **settings: Any,
    ) -> SkillPriorSAC:
        """
        Learn an unseen task: explore, infer its latent, fine-tune (Section 4.3).

        :param env: one environment whose actions are the model's skills
        :param task: the task; None takes the one the environment has
        :param seed: of exploration, samples and noise
        :param on_episode: called after every episode with agent (0), episode (from 1), and a ``FinishedEpisode``
        :param settings: those of ``AdaptationSettings``, such as ``n_episodes=40``
        :return: the adapted agent; it may go on to ``learn`` in ``env``
        """
        vec_env = self._wrap_env(env, self.verbose)
        [agent] = self.adapt_tasks(
            vec_env,
            [vec_env.get_attr("task")[0] if task is None else task],
            seed=seed,
            on_episode=on_episode,
            **settings,
        )
        agent.env = vec_env
        return agent

    def adapt_tasks(
        self,
        env: VecEnv,
        tasks: Sequence[Any],
        *,
        seed: int | None = None,
        on_episode: OnEpisode | None = None,
        **settings: Any,
    ) -> list[SkillPriorSAC]:
        """
        Learn many tasks at once, each as :meth:`adapt` would, in one batched learner.

        :param env: as many environments as tasks; ``make_skill_vec_env(env_id, model.skills, n_envs=len(tasks))``
        :param tasks: one per agent; repeat a task for more seeds
        :param seed: of exploration, samples and noise
        :param on_episode: called after every episode with agent, episode (from 1), and a ``FinishedEpisode``
        :param settings: those of ``AdaptationSettings``
        :return: the adapted agents, in the tasks' order
        :raises SettingsError: where tasks and environments differ in number
        :raises EnvironmentSpecError: for an environment without skills
        :raises SkillMismatchError: for one with other spaces or other skills than the model's
        """
        self._check_env(env)
        chosen = self.adaptation_settings(**settings)
        return Adaptation(env, tasks, self.skills, self.policy, chosen, seed, on_episode).run()

    # ------------------------------------------------------------ metrics

    def _dump_logs(self) -> None:
        for name, values in self._results.items():
            self.logger.record(name, float(np.mean(values)), exclude="stdout" if name.startswith("task/") else None)
        self.logger.record("time/env_steps", self.num_env_steps)
        self.logger.record("time/skills", self.num_timesteps)
        self.dump_logs()
