"""
``SkillPriorMTRL``: multi-task RL over skills, as the baseline of the paper (Nam et al., 2022; Teh et al., 2017).

Each training task has a policy of its own; all are distilled into a shared one, to which each one's KL has a budget::

    policy of a task   maximises its task's reward, close to the shared policy
    shared policy      is fitted to the tasks' policies where their transitions are

A new task is learned from the shared policy, which stands where SPiRL has the skill prior.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.adaptation import OnEpisode, adapt_tasks
from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints
from simpl_sb3.algorithms.multi_task_policy import MultiTaskPolicy
from simpl_sb3.algorithms.settings import AdaptationSettings, MultiTaskSettings, PolicySettings
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.algorithms.task_training import TaskTraining
from simpl_sb3.algorithms.tasks import task_of
from simpl_sb3.algorithms.updates import MultiTaskLearner
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.collector import FinishedEpisode, Job
from simpl_sb3.skills.distilled import DistilledSkills


class SkillPriorMTRL(TaskTraining):
    """
    A policy for each training task, side by side, distilled into a shared one.

    The environment's actions are skills; it has ``train_tasks`` and ``set_task``. Settings are those of
    ``MultiTaskSettings``; other parameters as in ``SkillAlgorithm``. ``predict`` asks the shared policy.

    :raises EnvironmentSpecError: for an environment without skills or without training tasks
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": MultiTaskPolicy}
    settings_class = MultiTaskSettings
    policy_settings_class = PolicySettings
    base_policy_class = MultiTaskPolicy
    policy: MultiTaskPolicy
    learner: MultiTaskLearner
    config: MultiTaskSettings

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self._find_tasks()
        config, n_tasks = self.config, len(self.task_names)
        self.replay_buffer = TaskReplayBuffer(
            n_tasks,
            config.buffer_size,
            self.skills.observation_space.shape[0],
            self.skills.skill_dim,
            self.seed,
            self.device,
            config.handle_timeout_termination,
        )
        self.policy = self._make_policy().to(self.device)
        self.learner = MultiTaskLearner(self.policy, config)

    def _make_policy(self) -> MultiTaskPolicy:
        return self.policy_class(  # type: ignore[return-value]
            self.observation_space,
            self.action_space,
            skills=self.skills,
            n_tasks=len(self.task_names),
            **self.policy_kwargs,
        )

    @property
    def distilled(self) -> DistilledSkills:
        """The skills with the shared policy as their prior; ``save`` writes a file of skills."""
        return self.policy.distilled

    # ------------------------------------------------------------ learning

    def learn(
        self,
        total_timesteps: int | None = None,
        callback: MaybeCallback = None,
        log_interval: int | None = 1,
        tb_log_name: str = "SkillPriorMTRL",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """
        As in SB3, but for the clock. No episode begins once ``total_timesteps`` skills are lived.

        :param total_timesteps: skills (not env steps) to live; None takes ``default_timesteps``
        :param log_interval: iterations between two prints of the metrics
        """
        total = self.default_timesteps() if total_timesteps is None else total_timesteps
        return self._learn(total, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def _collect(self, callback: BaseCallback, log_interval: int | None, total_timesteps: int) -> bool:
        """An episode of each training task, by its own policy."""
        self.policy.set_training_mode(False)
        callback.on_rollout_start()
        self._show("collect")
        before = self.num_timesteps
        jobs = [Job(task, i, "training") for i, task in enumerate(self.train_tasks)]
        if not self._live(jobs, self.policy, callback, total_timesteps, self._store):
            return False
        self._iteration_skills = self.num_timesteps - before
        self.num_meta_iterations += 1
        if log_interval is not None and self.num_meta_iterations % log_interval == 0:
            self.dump_logs()
        callback.on_rollout_end()
        return True

    def _store(self, finished: FinishedEpisode) -> None:
        """Keep an episode for its task, and with hindsight for every task that would have rewarded it."""
        for index, episode in self._labelled(finished):
            self.replay_buffer.add_episode(index, episode)

    def _n_due(self) -> int:
        if not self.replay_buffer.sizes.all():  # the first iteration was cut short
            return 0
        if self.config.gradient_steps >= 0:
            return self.config.gradient_steps
        return max(1, 256 * self._iteration_skills // (len(self.task_names) * self.config.batch_size))

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Critics, actors, target critics, multipliers and the shared policy; ``gradient_steps`` times."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(list(self.learner.optimizers.values()))
        everyone, config = np.arange(len(self.task_names)), self.config
        for step in self._count_updates(gradient_steps):
            self._show(f"update {step + 1} of {gradient_steps}")
            batch = self.replay_buffer.sample(
                everyone, batch_size, config.gamma, config.n_steps, config.gamma_per_env_step
            )
            for name, value in self.learner.update_agents(batch).items():
                self._losses[name].append(value)
        for name, values in self._losses.items():
            self.logger.record(f"train/{name}", float(np.mean(values)))
        self._losses.clear()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _bar_figures(self) -> dict[str, str]:
        """Success of the latest episodes."""
        success = self._results.get("rollout/success_training")
        return {"success": f"{np.mean(success):.2f}"} if success else {}

    # ------------------------------------------------------------ a new task

    def adaptation_settings(self, **settings: Any) -> AdaptationSettings:
        """
        Settings of an adaptation: discount, time limits, precision and networks as in the training, unless given.

        :raises SettingsError: for an unknown name, or a value outside its range
        """
        learned = ("gamma", "gamma_per_env_step", "handle_timeout_termination", "matmul_precision")
        alike = {name: getattr(self.config, name) for name in (*learned, *PolicySettings.names())}
        return AdaptationSettings.of({"n_exploration_episodes": 0} | alike | settings)

    def adapt(
        self,
        env: GymEnv,
        task: Any = None,
        *,
        seed: int | None = None,
        on_episode: OnEpisode | None = None,
        progress_bar: bool | None = None,
        checkpoints: AdaptationCheckpoints | None = None,
        **settings: Any,
    ) -> SkillPriorSAC:
        """
        Learn an unseen task, from the shared policy on.

        :param env: one environment whose actions are the model's skills
        :param task: the task; None takes the one that the environment has
        :param seed: of samples and noise
        :param on_episode: called after every episode with agent (0), episode (from 1), and a ``FinishedEpisode``
        :param progress_bar: show episodes and success; None does where the model's ``verbose`` is at least 1
        :param checkpoints: where to go on from, and what is written on the way; None for nothing
        :param settings: those of ``AdaptationSettings``, such as ``n_episodes=40``
        :return: the adapted agent
        """
        vec_env = self._wrap_env(env, self.verbose)
        tasks = [task_of(vec_env) if task is None else task]
        how = {"on_episode": on_episode, "progress_bar": progress_bar, "checkpoints": checkpoints}
        [agent] = self.adapt_tasks(vec_env, tasks, seed=seed, **how, **settings)  # type: ignore[arg-type]
        agent.env = vec_env
        return agent

    def adapt_tasks(
        self,
        env: VecEnv,
        tasks: Sequence[Any],
        *,
        seed: int | None = None,
        on_episode: OnEpisode | None = None,
        progress_bar: bool | None = None,
        checkpoints: AdaptationCheckpoints | None = None,
        **settings: Any,
    ) -> list[SkillPriorSAC]:
        """
        Learn many tasks at once, each as :meth:`adapt` would, in one batched learner.

        :param env: as many environments as tasks; ``make_skill_vec_env(env_id, model.skills, n_envs=len(tasks))``
        :param tasks: one per agent; repeat a task for more seeds
        :param seed: of samples and noise
        :param on_episode: called after every episode with agent, episode (from 1), and a ``FinishedEpisode``
        :param progress_bar: show episodes and success; None does where the model's ``verbose`` is at least 1
        :param checkpoints: go on from them where there are any, and write one now and then
        :param settings: those of ``AdaptationSettings``
        :return: the adapted agents, in the tasks' order; their skills are ``model.distilled``
        """
        self._check_env(env)
        chosen = self.adaptation_settings(**settings)
        bar = self.verbose >= 1 if progress_bar is None else progress_bar
        return adapt_tasks(env, tasks, self.distilled, None, chosen, seed, on_episode, bar, checkpoints)
