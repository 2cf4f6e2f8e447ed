"""
``SkillPriorMAML``: MAML (Finn et al., 2017) whose inner step is a policy gradient and whose outer step keeps a trust
region, as TRPO; over skills, or over cloned actions, where it is the baseline BC+MAML of the paper (Nam et al., 2022).

One meta-iteration::

    live with theta            episodes of each task
    theta_i = theta + rate * gradient of task i's return
    live with theta_i          episodes of each task
    theta += step              that raises the mean return of all theta_i, within a KL
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3 import functional
from simpl_sb3.algorithms.adaptation import OnEpisode, shown_episodes
from simpl_sb3.algorithms.maml_policy import MamlPolicy, Weights
from simpl_sb3.algorithms.policy_gradient import Rollouts, log_likelihood, trust_region_step
from simpl_sb3.algorithms.settings import MamlAdaptationSettings, MamlSettings, PolicySettings
from simpl_sb3.algorithms.task_training import TaskTraining, live
from simpl_sb3.algorithms.tasks import check_given_tasks, task_of
from simpl_sb3.algorithms.updates import NoLearner
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.collector import FinishedEpisode, Job
from simpl_sb3.experience.episode import SkillEpisode
from simpl_sb3.experience.workers import answering
from simpl_sb3.settings import checked_seed


class SkillPriorMAML(TaskTraining):
    """
    A policy from which one step of policy gradient leads to a good policy for each task. It begins as the skill prior.

    The environment's actions are skills; it has ``train_tasks`` and ``set_task``. Settings are those of
    ``MamlSettings``; other parameters as in ``SkillAlgorithm``.

    :raises EnvironmentSpecError: for an environment without skills or without training tasks
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": MamlPolicy}
    settings_class = MamlSettings  # type: ignore[assignment]  # on-policy: no replay, and nothing is relabelled
    policy_settings_class = PolicySettings
    base_policy_class = MamlPolicy
    policy: MamlPolicy
    config: MamlSettings  # type: ignore[assignment]

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self._find_tasks()
        self.policy = self._make_policy().to(self.device)
        self.learner = NoLearner(self.policy)
        self._lived: tuple[Rollouts, Rollouts] | None = None  # before and after the inner step

    def _make_policy(self, n_agents: int = 1) -> MamlPolicy:
        return self.policy_class(  # type: ignore[return-value]
            self.observation_space, self.action_space, skills=self.skills, n_agents=n_agents, **self.policy_kwargs
        )

    def _hindsight(self) -> bool:
        """Never: a policy gradient needs episodes of the policy that it changes."""
        return False

    def used_settings(self) -> dict[str, Any]:
        return self.settings()

    def _buffers(self) -> dict[str, TaskReplayBuffer]:
        return {}

    # ------------------------------------------------------------ learning

    def learn(
        self,
        total_timesteps: int | None = None,
        callback: MaybeCallback = None,
        log_interval: int | None = 1,
        tb_log_name: str = "SkillPriorMAML",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """
        Meta-train; as in SB3, but for the clock. No meta-iteration begins once ``total_timesteps`` skills are lived.

        :param total_timesteps: skills (not env steps) to live; None takes ``default_timesteps``
        :param log_interval: meta-iterations between two prints of the metrics
        """
        total = self.default_timesteps() if total_timesteps is None else total_timesteps
        return self._learn(total, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def _collect(self, callback: BaseCallback, log_interval: int | None, total_timesteps: int) -> bool:
        """Episodes of each task before and after its inner step."""
        self.policy.set_training_mode(False)
        callback.on_rollout_start()
        n_tasks, config = len(self.train_tasks), self.config
        actors = self._make_policy(n_tasks).to(self.device)
        weights: Weights = self.policy.weights(n_tasks)
        rounds = []
        for kind in ("exploration", "adapted"):
            self._show(f"collect: {kind}")
            actors.take(weights)
            episodes: list[list[SkillEpisode]] = [[] for _ in self.train_tasks]

            def keep(finished: FinishedEpisode, episodes: list[list[SkillEpisode]] = episodes) -> None:
                [(index, episode)] = self._labelled(finished)
                episodes[index].append(episode)

            jobs = [
                Job(task, i, kind) for _ in range(config.episodes_per_step) for i, task in enumerate(self.train_tasks)
            ]
            if not self._live(jobs, actors, callback, 2**62, keep):
                return False
            rounds.append(self._rollouts(episodes))
            if kind == "exploration":
                weights = self.policy.inner_step(weights, rounds[0], config.learning_rate, first_order=True)
        self._lived = (rounds[0], rounds[1])
        self.num_meta_iterations += 1
        if log_interval is not None and self.num_meta_iterations % log_interval == 0:
            self.dump_logs()
        callback.on_rollout_end()
        return True

    def _rollouts(self, episodes: Sequence[Sequence[SkillEpisode]], chosen: Any = None) -> Rollouts:
        chosen = self.config if chosen is None else chosen
        return Rollouts.of(episodes, chosen.gamma, chosen.gae_lambda, self.device)

    def _n_due(self) -> int:
        return 1

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """The outer step on what was lived last."""
        assert self._lived is not None
        config, (first, second) = self.config, self._lived
        measured = second.thinned(batch_size)
        parameters = list(self.policy.actor.parameters())
        weights = self._adapted(first)
        with th.no_grad():
            before = log_likelihood(*self.policy.gaussian(weights, second.observations), second.z)
            start = self.policy.gaussian(weights, measured.observations)

        def evaluate() -> tuple[th.Tensor, th.Tensor]:
            weights = self._adapted(first)
            likelihood = log_likelihood(*self.policy.gaussian(weights, second.observations), second.z)
            gain = (second.weights * (likelihood - before).exp() * second.advantages).sum(dim=1).mean()
            now = self.policy.gaussian(weights, measured.observations)
            return gain, (measured.weights * functional.gaussian_kl(*start, *now)).sum(dim=1).mean()

        for _ in self._count_updates(gradient_steps):
            done = trust_region_step(
                parameters,
                evaluate,
                max_kl=config.max_kl,
                cg_steps=config.cg_steps,
                cg_damping=config.cg_damping,
                line_search_steps=config.line_search_steps,
            )
        self._lived = None
        for name, value in done._asdict().items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _adapted(self, lived: Rollouts) -> dict[str, th.Tensor]:
        """The tasks' weights one inner step away, with a gradient in the policy's own."""
        weights = self.policy.weights(len(lived.observations))
        return self.policy.inner_step(weights, lived, self.config.learning_rate, self.config.first_order)

    def _bar_figures(self) -> dict[str, str]:
        """Success of the latest episodes before and after the inner step."""
        shown = {"before": "rollout/success_exploration", "after": "rollout/success_adapted"}
        return {text: f"{np.mean(self._results[name]):.2f}" for text, name in shown.items() if self._results.get(name)}

    # ------------------------------------------------------------ a new task

    def adaptation_settings(self, **settings: Any) -> MamlAdaptationSettings:
        """
        Settings of an adaptation: steps and discount as in the training, unless given.

        :raises SettingsError: for an unknown name, or a value outside its range
        """
        learned = ("learning_rate", "episodes_per_step", "gamma", "gae_lambda")
        return MamlAdaptationSettings.of({name: getattr(self.config, name) for name in learned} | settings)

    def adapt(self, env: GymEnv, task: Any = None, **how: Any) -> Self:
        """
        Learn an unseen task by steps of policy gradient.

        :param env: one environment whose actions are the model's skills
        :param task: the task; None takes the one that the environment has
        :param how: as in :meth:`adapt_tasks`
        :return: the adapted model; its ``adapt`` goes on from there
        """
        vec_env = self._wrap_env(env, self.verbose)
        tasks = [task_of(vec_env) if task is None else task]
        [agent] = self.adapt_tasks(vec_env, tasks, **how)
        return agent

    def adapt_tasks(
        self,
        env: VecEnv,
        tasks: Sequence[Any],
        *,
        seed: int | None = None,
        on_episode: OnEpisode | None = None,
        progress_bar: bool | None = None,
        **settings: Any,
    ) -> list[Self]:
        """
        Learn many tasks at once: ``episodes_per_step`` episodes, a step of policy gradient, and again.

        :param env: as many environments as tasks; ``make_skill_vec_env(env_id, model.skills, n_envs=len(tasks))``
        :param tasks: one per agent; repeat a task for more seeds
        :param seed: of the policy's noise
        :param on_episode: called after every episode with agent, episode (from 1), and a ``FinishedEpisode``
        :param progress_bar: show episodes and success; None does where the model's ``verbose`` is at least 1
        :param settings: those of ``MamlAdaptationSettings``
        :return: models whose policies are the adapted ones, in the tasks' order
        :raises SettingsError: where tasks and environments differ in number, or for a setting that there is not
        :raises SkillMismatchError: for an environment with other skills
        """
        self._check_env(env)
        check_given_tasks(tasks, env)
        chosen = self.adaptation_settings(**settings)
        seed = checked_seed(seed)
        if seed is not None:
            set_random_seed(seed)
            env.seed(10_000 + 1_000 * seed)
        with answering(env):
            env.reset()
        actors = self._make_policy(len(tasks)).to(self.device)
        actors.take(self.policy.weights(len(tasks)))
        lived, bar = 0, self.verbose >= 1 if progress_bar is None else progress_bar
        with shown_episodes(on_episode, bar, tasks, chosen.n_episodes) as tell:
            while lived < chosen.n_episodes:
                number = min(chosen.episodes_per_step, chosen.n_episodes - lived)
                rollouts = self._rollouts(self._episodes(env, actors, tasks, (lived, number), tell), chosen)
                actors.take(actors.inner_step(actors.weights(), rollouts, chosen.learning_rate, True))
                lived += number
        return [self._agent(actors.weights(), at) for at in range(len(tasks))]

    @staticmethod
    def _episodes(
        env: VecEnv, actors: MamlPolicy, tasks: Sequence[Any], which: tuple[int, int], on_episode: OnEpisode | None
    ) -> list[list[SkillEpisode]]:
        """
        Some episodes of each agent.

        :param which: episodes lived before, and how many
        """
        before, number = which
        begun = [0] * len(tasks)
        episodes: list[list[SkillEpisode]] = [[] for _ in tasks]

        def next_job(agent: int) -> Job | None:
            begun[agent] += 1
            return Job(tasks[agent], agent, "adaptation") if begun[agent] <= number else None

        for step, _ in live(env, actors, next_job):
            for finished in step.finished:
                agent = finished.job.task_index
                episodes[agent].append(finished.episode)
                if on_episode is not None:
                    on_episode(agent, before + len(episodes[agent]), finished)
        return episodes

    def _agent(self, weights: Mapping[str, th.Tensor], at: int) -> Self:
        """A model with the weights of one agent."""
        chosen = self.config.as_dict()
        agent = type(self)("MlpPolicy", **chosen, seed=self.seed, device=self.device, _init_setup_model=False)
        agent.skills, agent.n_envs, agent.task_names = self.skills, 1, self.task_names
        agent.observation_space, agent.action_space = self.observation_space, self.action_space
        agent._setup_model()
        agent.policy.take({name: value[[at]] for name, value in weights.items()})
        return agent
