"""
``SkillPriorPEARL``: SiMPL's meta-training (Section 4.2).

One meta-iteration lives through one episode per training task with a task latent e that knows nothing of it, and one
with e from the posterior q(e | context); then it updates, each update on two groups of tasks::

    prior-sized context (a few rows)    e tells little: the policy must stay close to the skill prior
    posterior-sized context (many rows) e tells the task: the policy may leave the prior further

Each group has its own KL budgets, of the policy to the skill prior and of q(e | context) to N(0, I), and dual descent
finds the multipliers that keep them. The task encoder learns from the critics' loss alone.
"""

import warnings
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.adaptation import OnEpisode, adapt_tasks
from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints
from simpl_sb3.algorithms.callbacks import warn_of_exploring_evaluation
from simpl_sb3.algorithms.exploration import Explorer
from simpl_sb3.algorithms.policies import Gaussian, SkillPriorPEARLPolicy
from simpl_sb3.algorithms.session import StepsAdaptations
from simpl_sb3.algorithms.settings import AdaptationSettings, MetaPolicySettings, MetaTrainingSettings
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.algorithms.task_training import TaskTraining
from simpl_sb3.algorithms.tasks import task_of
from simpl_sb3.algorithms.updates import MetaLearner
from simpl_sb3.experience.batch import TaskBatch
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.collector import EpisodeCollector, FinishedEpisode, Job


class SkillPriorPEARL(StepsAdaptations, TaskTraining):
    """
    Skill-based meta-reinforcement learning (SiMPL, ICLR 2022, Section 4.2): PEARL over skills, with the KL to a skill
    prior in place of entropy.

    The environment's actions are skills; it has ``train_tasks`` and ``set_task`` (many at once with
    ``make_skill_vec_env(env_id, skills, n_envs)``). Settings are those of ``MetaTrainingSettings``; other parameters as
    in ``SkillAlgorithm``. Pairs of settings are (prior-sized, posterior-sized); KL budgets are in nats.

    :raises EnvironmentSpecError: for an environment without skills or without training tasks
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": SkillPriorPEARLPolicy}
    settings_class = MetaTrainingSettings
    policy_settings_class = MetaPolicySettings
    base_policy_class = SkillPriorPEARLPolicy
    policy: SkillPriorPEARLPolicy
    learner: MetaLearner
    config: MetaTrainingSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._warned = False  # of what predict does
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self._find_tasks()
        config, n_tasks = self.config, len(self.task_names)
        self.rng = np.random.default_rng(self.seed)
        dims = self.skills.observation_space.shape[0], self.skills.skill_dim
        seeds = self.rng.integers(2**31, size=2).tolist()
        self.context_buffer = TaskReplayBuffer(n_tasks, config.context_buffer_size, *dims, seeds[0], self.device)
        self.replay_buffer = TaskReplayBuffer(
            n_tasks, config.buffer_size, *dims, seeds[1], self.device, config.handle_timeout_termination
        )
        self.policy = self._make_policy().to(self.device)
        self.learner = MetaLearner(self.policy, config, n_tasks)
        self.explorer = Explorer(self.policy, config, config.exploration)

    def _make_policy(self) -> SkillPriorPEARLPolicy:
        return self.policy_class(  # type: ignore[return-value]
            self.observation_space,
            self.action_space,
            skills=self.skills,
            exploration=self.config.exploration,
            exploration_spread=self.config.exploration_spread,
            **self.policy_kwargs,
        )

    # ------------------------------------------------------------ learning: collect, then update

    def learn(
        self,
        total_timesteps: int | None = None,
        callback: MaybeCallback = None,
        log_interval: int | None = 1,
        tb_log_name: str = "SkillPriorPEARL",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """
        Meta-train; as in SB3, but for the clock. A meta-iteration ends with its updates: no episode begins once
        ``total_timesteps`` skills are lived, those that have begun are finished.

        :param total_timesteps: skills (not env steps) to live; None takes ``default_timesteps``
        :param log_interval: meta-iterations between two prints of the metrics
        """
        warn_of_exploring_evaluation(callback)
        total = self.default_timesteps() if total_timesteps is None else total_timesteps
        return self._learn(total, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def _collect(self, callback: BaseCallback, log_interval: int | None, total_timesteps: int) -> bool:
        """One meta-iteration: for each training task one episode that explores, and one with e from its posterior."""
        assert self.env is not None
        self.policy.set_training_mode(False)
        callback.on_rollout_start()
        jobs = deque(self._jobs())

        def next_job(_: int) -> Job | None:
            return jobs.popleft() if jobs and self.num_timesteps < total_timesteps else None

        explorer = self.explorer
        collector = EpisodeCollector(self.env, explorer.act, next_job, self._guess_for, explorer.size, explorer.is_over)
        self._show("collect")
        self._iteration_skills = 0
        while collector.active.any():
            step = collector.step()
            self._iteration_skills += len(step.indices)
            self.num_timesteps += len(step.indices)
            infos, dones, rewards, new_obs = step.infos, step.dones, step.rewards, collector.observations
            callback.update_locals(locals())  # SB3's callbacks read them
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
            for finished in step.finished:
                self._store(finished)
            self._episode_num += len(step.finished)
        self._last_obs = collector.observations
        self.num_meta_iterations += 1
        if log_interval is not None and self.num_meta_iterations % log_interval == 0:
            self.dump_logs()
        callback.on_rollout_end()
        return True

    def _jobs(self) -> list[Job]:
        tasks = list(enumerate(self.train_tasks))
        explore = [Job(task, i, self.explorer.kind()) for i, task in tasks]
        return explore + [Job(task, i, "posterior") for i, task in tasks if self.context_buffer.sizes[i] > 0]

    def _guess_for(self, job: Job) -> th.Tensor:
        if job.explores:
            return self.explorer.guess(kind=job.kind)
        return self.explorer.guess_from(self.policy.infer(self._contexts([job.task_index])))

    def _contexts(self, tasks: Sequence[int] | np.ndarray) -> th.Tensor:
        """Posterior-sized contexts of these tasks, (T, N, row)."""
        return self.context_buffer.sample_context(tasks, self.config.context_sizes[1], self.config.context_reward_rows)

    def _store(self, finished: FinishedEpisode) -> None:
        """Keep an episode for its task, and with hindsight for every task that would have rewarded it."""
        job = finished.job
        kept = self._labelled(finished)
        if finished.success_known and job.kind == "posterior":
            self._results[f"task/{job.task.name}/success"].append(finished.success)
        for index, episode in kept:
            self.replay_buffer.add_episode(index, episode)
            if job.explores:
                self.context_buffer.add_episode(index, episode)

    def _n_due(self) -> int:
        if self.config.gradient_steps >= 0:
            return self.config.gradient_steps
        return max(1, 256 * self._iteration_skills // (sum(self.config.tasks_per_update) * self.config.batch_size))

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Critics and task encoder, actor, target critics, budgets; ``gradient_steps`` times."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(list(self.learner.optimizers.values()))
        n_real = sum(self.config.tasks_per_update) - self._n_imagined
        for step in self._count_updates(gradient_steps):
            self._show(f"update {step + 1} of {gradient_steps}")
            tasks = self._draw_tasks()
            batch, contexts = self._draw_batch(tasks[:n_real], batch_size), self._draw_contexts(tasks[:n_real])
            if n_real < len(tasks):
                towards, shown = self._imagine(tasks[n_real:], batch_size)
                batch, contexts = batch.followed_by(towards), (contexts[0], th.cat([contexts[1], shown]))
            for name, value in self.learner.update_tasks(tasks, batch.as_one(), *contexts).items():
                self._losses[name].append(value)
        self._remember_latents()
        self._record(self._losses)
        self._losses.clear()

    def _buffers(self) -> dict[str, TaskReplayBuffer]:
        return {**super()._buffers(), "context_buffer": self.context_buffer}

    def _remember_latents(self) -> None:
        """Note where the training tasks' latents lie and what was visited, for whoever explores a new task."""
        ready = np.flatnonzero(self.context_buffer.sizes > 0)
        self.policy.remember_latents(*self.policy.infer(self._contexts(ready)))
        self.policy.imagined.remember(*self.context_buffer.evenly_spaced(50_000), self.policy.imagine)

    def _draw_tasks(self) -> np.ndarray:
        """Tasks of one update, the prior-sized group first, (T,)."""
        ready = np.flatnonzero(np.minimum(self.replay_buffer.sizes, self.context_buffer.sizes) > 0)
        return np.concatenate([self.rng.choice(ready, n, replace=n > len(ready)) for n in self.config.tasks_per_update])

    def _draw_batch(self, tasks: np.ndarray, batch_size: int) -> TaskBatch:
        """Transitions of these tasks, (T, B, ...)."""
        config = self.config
        return self.replay_buffer.sample(tasks, batch_size, config.gamma, config.n_steps, config.gamma_per_env_step)

    @property
    def _n_imagined(self) -> int:
        """Tasks of the posterior-sized group that are imagined: none before a reward was seen, and never all."""
        size = self.config.tasks_per_update[1]
        return min(round(self.config.imagined_task_share * size), size - 1) if self.policy.imagined.known else 0

    def _imagine(self, tasks: np.ndarray, batch_size: int) -> tuple[TaskBatch, th.Tensor]:
        """Transitions of tasks that reward one state each which was visited in these tasks, and their contexts."""
        config, imagined = self.config, self.policy.imagined
        how = config.gamma, config.n_steps, config.gamma_per_env_step
        reward, ends = imagined.reward.tolist()
        batch, rows = self.replay_buffer.sample_towards(tasks, batch_size, *how, (reward, ends))
        contexts = self.context_buffer.sample_context(tasks, config.context_sizes[1])
        contexts[:, 0] = rows
        contexts[..., imagined.outcome] = 0.0
        contexts[:, 0, imagined.outcome] = imagined.reward
        return batch, contexts

    def _draw_contexts(self, tasks: np.ndarray) -> tuple[th.Tensor, th.Tensor]:
        """Contexts of both groups' sizes, (T, N, row) each."""
        few, many = np.split(tasks, self.config.tasks_per_update[:1])
        return self.context_buffer.sample_context(few, self.config.context_sizes[0]), self._contexts(many)

    # ------------------------------------------------------------ using the meta-policy

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """As in SB3, of the policy as it explores: with a random task latent. Warns of it once."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                "SkillPriorPEARL.predict explores, with a random task latent: to see what an agent reaches on a task, "
                "ask the agent that adapt(env, task) returns, or AdaptationEvalCallback.",
                stacklevel=2,
            )
        return super().predict(*args, **kwargs)

    def infer_task_latent(self, context: th.Tensor) -> Gaussian:
        """
        The posterior q(e | context).

        :param context: rows (s, z, r, done, s'), one per skill, (T, N, row)
        :return: mean and standard deviation, each (T, E)
        """
        return self.policy.infer(context)

    def adaptation_settings(self, **settings: Any) -> AdaptationSettings:
        """
        Settings of an adaptation: discount, time limits and precision as the critics learned, unless given.

        :raises SettingsError: for an unknown name, or a value outside its range
        """
        learned = ("gamma", "gamma_per_env_step", "handle_timeout_termination", "matmul_precision")
        return AdaptationSettings.of({name: getattr(self.config, name) for name in learned} | settings)

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
        Learn an unseen task: explore, infer its latent, fine-tune (Section 4.3).

        :param env: one environment whose actions are the model's skills
        :param task: the task; None takes the one that the environment has
        :param seed: of exploration, samples and noise
        :param on_episode: called after every episode with agent (0), episode (from 1), and a ``FinishedEpisode``
        :param progress_bar: show episodes and success; None does where the model's ``verbose`` is at least 1
        :param checkpoints: where to go on from, and what is written on the way; None for nothing
        :param settings: those of ``AdaptationSettings``, such as ``n_episodes=40``
        :return: the adapted agent; its ``learn`` goes on in ``env`` from where adaptation stopped
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
        :param seed: of exploration, samples and noise
        :param on_episode: called after every episode with agent, episode (from 1), and a ``FinishedEpisode``
        :param progress_bar: show episodes and success; None does where the model's ``verbose`` is at least 1
        :param checkpoints: as :meth:`adapt` takes it
        :param settings: those of ``AdaptationSettings``
        :return: the adapted agents, in the tasks' order
        :raises SettingsError: where tasks and environments differ in number, or for a setting that there is not
        :raises EnvironmentSpecError: for an environment without skills
        :raises SkillMismatchError: for one with other spaces or other skills than the model's
        """
        self._check_env(env)
        chosen = self.adaptation_settings(**settings)
        bar = self.verbose >= 1 if progress_bar is None else progress_bar
        return adapt_tasks(env, tasks, self.skills, self, chosen, seed, on_episode, bar, checkpoints)

    # ------------------------------------------------------------ metrics

    def _bar_figures(self) -> dict[str, str]:
        """Success of the latest episodes that explored, and of those with an inferred task."""
        shown = {"exploring": "rollout/success_exploration", "inferred": "rollout/success_posterior"}
        return {text: f"{np.mean(self._results[name]):.2f}" for text, name in shown.items() if self._results.get(name)}

    def _record(self, losses: dict[str, list[float]]) -> None:
        for name, values in losses.items():
            self.logger.record(f"train/{name}", float(np.mean(values)))
        few, many = self.learner.budgets["skill_kl"].multiplier().tolist()
        self.logger.record("train/skill_multiplier_prior_sized", few)
        self.logger.record("train/skill_multiplier_posterior_sized", many)
        latent = self.learner.budgets["latent_kl"].multiplier()
        self.logger.record("train/latent_multiplier_prior_sized", latent[0].item())
        self.logger.record("train/latent_multiplier_posterior_sized", latent[1:].mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
