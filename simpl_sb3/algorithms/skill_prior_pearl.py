"""
``SkillPriorPEARL``: SiMPL's meta-training (Section 4.2).

One meta-iteration lives through one episode per training task with a task latent e that knows nothing of it, and one
with e from the posterior q(e | context); then it updates, each update on two groups of tasks::

    prior-sized context (a few rows)    e tells little: the policy must stay close to the skill prior
    posterior-sized context (many rows) e tells the task: the policy may leave the prior further

Each group has its own KL budgets, of the policy to the skill prior and of q(e | context) to N(0, I), and dual descent
finds the multipliers that keep them. The task encoder learns from the critics' loss alone.
"""

from collections import defaultdict, deque
from typing import Any, ClassVar, Self

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, RolloutReturn, TrainFreq
from stable_baselines3.common.utils import polyak_update
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3 import functional
from simpl_sb3.algorithms.meta_algorithm import MetaSkillAlgorithm
from simpl_sb3.algorithms.policies import Gaussian, SkillPriorPEARLPolicy
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.buffer import SkillEpisode, TaskBatch, TaskReplayBuffer
from simpl_sb3.experience.collector import EpisodeCollector, FinishedEpisode, Job


class SkillPriorPEARL(MetaSkillAlgorithm):
    """
    Skill-based meta-reinforcement learning (SiMPL, ICLR 2022, Section 4.2): PEARL over skills, with the KL to a skill
    prior in place of entropy.

    The defaults are the preset ``maze-fast``; ``**preset("maze-paper").meta_train`` gives the published ones.

    Pairs of settings are (prior-sized, posterior-sized). KL budgets are in nats.

    :param policy: "MlpPolicy" or a subclass of ``SkillPriorPEARLPolicy``
    :param env: ``SkillActionWrapper`` over an environment with ``train_tasks`` and ``set_task``; many at once with
        ``make_skill_vec_env(env_id, skills, n_envs)``
    :param learning_rate: of actor, critics and task encoder
    :param buffer_size: skills kept per task for the updates
    :param context_buffer_size: skills kept per task for contexts; exploration episodes only
    :param batch_size: transitions per task and update
    :param tau: step of the target critics towards the critics
    :param gamma: discount per skill
    :param gamma_per_env_step: take ``gamma`` per env step: a skill of k env steps counts gamma^k
    :param handle_timeout_termination: value what would follow a time limit, as if the episode went on (SB3's name);
        False takes the limit for an end, so that what comes late is worth less
    :param gradient_steps: updates per meta-iteration; -1 for the published 256 * skills lived / (tasks * batch_size)
    :param n_steps: skills that a transition spans at most. Note: the paper has 1. The KL is paid at the span's end only
    :param hindsight: store an episode also for each other training task that would have paid, cut where that task ends.
        Note: not in the paper; needs tasks with ``rewards``, and uses the training tasks' reward functions only
    :param exploration: source of an exploring episode's latent: "prior" is N(0, I) (the paper), "aggregate" a Gaussian
        fitted to the training tasks' latents. Note: most of N(0, I) is like no task, explores hardly beyond the prior
    :param exploration_spread: factor on the standard deviation of "aggregate"
    :param exploration_latent_skills: skills after which an exploring episode draws another; None keeps one (the paper)
    :param task_latent_dim: E
    :param task_encoder: one of ``TASK_ENCODERS``
    :param encoder_width: features of the task encoder
    :param net_arch: hidden sizes of actor and critics
    :param context_sizes: rows of a context
    :param context_reward_rows: 0 draws contexts uniformly (the paper); otherwise a posterior-sized context is a stretch
        of random length with at most so many paid rows, so that rare successes are seen
    :param tasks_per_update: tasks of each group
    :param skill_kl_targets: budgets of KL(policy || skill prior)
    :param skill_kl_multipliers: their multipliers at the start
    :param latent_kl_targets: budgets of KL(q(e | c) || N(0, I))
    :param latent_kl_multipliers: their multipliers at the start; the posterior-sized group has one per task
    :param multiplier_learning_rate: step of dual descent on the logarithm of the multipliers
    :param multipliers_only_grow: never lower a multiplier (the paper)
    :param kl_clip: bound of the KL in the Bellman target
    :raises EnvironmentSpecError: for an environment without skills or without training tasks
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": SkillPriorPEARLPolicy}
    policy: SkillPriorPEARLPolicy

    def __init__(
        self,
        policy: str | type[SkillPriorPEARLPolicy] = "MlpPolicy",
        env: GymEnv | str | None = None,
        learning_rate: float = 1e-3,
        buffer_size: int = 20_000,
        context_buffer_size: int = 20_000,
        batch_size: int = 128,
        tau: float = 0.01,
        gamma: float = 0.99,
        gamma_per_env_step: bool = False,
        handle_timeout_termination: bool = True,
        gradient_steps: int = 300,
        n_steps: int = 6,
        hindsight: bool = True,
        exploration: str = "aggregate",
        exploration_spread: float = 1.5,
        exploration_latent_skills: int | None = 50,
        task_latent_dim: int = 5,
        task_encoder: str = "deep-set",
        encoder_width: int = 128,
        net_arch: tuple[int, ...] = (128, 128, 128),
        context_sizes: tuple[int, int] = (4, 256),
        context_reward_rows: int = 8,
        tasks_per_update: tuple[int, int] = (2, 14),
        skill_kl_targets: tuple[float, float] = (0.5, 1.0),
        skill_kl_multipliers: tuple[float, float] = (0.03, 0.03),
        latent_kl_targets: tuple[float, float] = (1.0, 10.0),
        latent_kl_multipliers: tuple[float, float] = (1e-5, 3e-6),
        multiplier_learning_rate: float = 3e-3,
        multipliers_only_grow: bool = False,
        kl_clip: float = 5.0,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate,
            buffer_size=buffer_size,
            learning_starts=0,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=1,
            gradient_steps=gradient_steps,
            n_steps=n_steps,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            seed=seed,
            device=device,
            sde_support=False,
            support_multi_env=True,
        )
        self.context_buffer_size, self.hindsight = context_buffer_size, hindsight
        self.gamma_per_env_step, self.kl_clip = gamma_per_env_step, kl_clip
        self.handle_timeout_termination = handle_timeout_termination
        self.exploration, self.exploration_spread = exploration, exploration_spread
        self.exploration_latent_skills = exploration_latent_skills
        self.task_latent_dim, self.task_encoder, self.encoder_width = task_latent_dim, task_encoder, encoder_width
        self.net_arch, self.context_sizes = tuple(net_arch), tuple(context_sizes)
        self.context_reward_rows, self.tasks_per_update = context_reward_rows, tuple(tasks_per_update)
        self.skill_kl_targets, self.skill_kl_multipliers = tuple(skill_kl_targets), tuple(skill_kl_multipliers)
        self.latent_kl_targets, self.latent_kl_multipliers = tuple(latent_kl_targets), tuple(latent_kl_multipliers)
        self.multiplier_learning_rate, self.multipliers_only_grow = multiplier_learning_rate, multipliers_only_grow
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self._convert_train_freq()
        self.set_random_seed(self.seed)
        if self.env is not None:
            self.skills = self._find_skills()
            self.train_tasks = self._find_tasks(self.env)
            self.task_names = tuple(task.name for task in self.train_tasks)
        self._check_settings()
        self.rng = np.random.default_rng(self.seed)
        dims = self.skills.observation_space.shape[0], self.skills.skill_dim
        n_tasks, seeds = len(self.task_names), self.rng.integers(2**31, size=2).tolist()
        self.context_buffer = TaskReplayBuffer(n_tasks, self.context_buffer_size, *dims, seeds[0], self.device)
        self.replay_buffer = TaskReplayBuffer(
            n_tasks, self.buffer_size, *dims, seeds[1], self.device, self.handle_timeout_termination
        )
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            skill_settings=self.skills.settings,
            net_arch=self.net_arch,
            task_latent_dim=self.task_latent_dim,
            n_tasks=n_tasks,
            task_encoder=self.task_encoder,
            encoder_width=self.encoder_width,
        ).to(self.device)
        policy = self.policy
        policy.skills.load_state_dict(self.skills.state_dict())
        multipliers = [policy.log_skill_multipliers, policy.log_latent_multipliers]
        with th.no_grad():
            policy.log_skill_multipliers.copy_(th.tensor(self.skill_kl_multipliers).log())
            policy.log_latent_multipliers.fill_(np.log(self.latent_kl_multipliers[1]))
            policy.log_latent_multipliers[0] = np.log(self.latent_kl_multipliers[0])
        rate = self.lr_schedule(1)
        values = [*policy.critics.parameters(), *policy.task_encoder.parameters()]
        self.optimizers = {
            "actor": th.optim.Adam(policy.actor.parameters(), lr=rate, fused=True),
            "critic": th.optim.Adam(values, lr=rate, fused=True),
            "multipliers": th.optim.Adam(multipliers, lr=self.multiplier_learning_rate),
        }

    # ------------------------------------------------------------ learning: collect, then update

    def learn(
        self,
        total_timesteps: int = 250_000,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "SkillPriorPEARL",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """
        Meta-train; as in SB3, but for the clock.

        :param total_timesteps: skills (not env steps) to live through
        :param log_interval: meta-iterations between two prints of the metrics
        """
        if self.env is None:
            raise SettingsError("This model has no environment: give one to load(path, env=...), or call set_env.")
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        train_freq: TrainFreq,
        replay_buffer: Any,
        action_noise: Any = None,
        learning_starts: int = 0,
        log_interval: int | None = None,
    ) -> RolloutReturn:
        """One meta-iteration: for each training task one episode that explores, and one with e from its posterior."""
        self.policy.set_training_mode(False)
        callback.on_rollout_start()
        jobs = deque(self._jobs())
        collector = EpisodeCollector(
            env,
            self.policy.act,
            lambda _: jobs.popleft() if jobs else None,
            self._latent_for,
            self.task_latent_dim,
            self.exploration_latent_skills,
        )
        n_skills = n_episodes = 0
        while collector.active.any():
            step = collector.step()
            n_skills += len(step.indices)
            self.num_timesteps += len(step.indices)
            infos, dones = step.infos, step.dones  # SB3's callbacks read them among the locals
            callback.update_locals(locals())
            if not callback.on_step():
                return RolloutReturn(n_skills, n_episodes, continue_training=False)
            self._update_info_buffer(step.infos, step.dones)
            self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
            for finished in step.finished:
                self._store(finished)
            n_episodes += len(step.finished)
        self._last_obs = collector.observations
        self._episode_num += n_episodes
        self.num_meta_iterations += 1
        if log_interval is not None and self.num_meta_iterations % log_interval == 0:
            self._dump_logs()
        callback.on_rollout_end()
        n_tasks = sum(self.tasks_per_update)
        n_updates = max(1, 256 * n_skills // (n_tasks * self.batch_size))
        # SB3 takes the first number for gradient_steps=-1
        return RolloutReturn(n_updates, n_episodes, continue_training=True)

    def _jobs(self) -> list[Job]:
        tasks = list(enumerate(self.train_tasks))
        explore = [Job(task, i, "exploration") for i, task in tasks]
        return explore + [Job(task, i, "posterior") for i, task in tasks if self.context_buffer.sizes[i] > 0]

    def _latent_for(self, job: Job) -> th.Tensor:
        if job.kind == "exploration":
            return self.policy.sample_latent(self.exploration, self.exploration_spread).cpu()
        context = self.context_buffer.sample_context([job.task_index], self.context_sizes[1], self.context_reward_rows)
        mean, std = self.infer_task_latent(context)
        return (mean + std * th.randn_like(std))[0].cpu()

    def _store(self, finished: FinishedEpisode) -> None:
        """Keep an episode for its task, and with hindsight for every task that would have paid for it."""
        job = finished.job
        self.num_env_steps += finished.episode.env_steps
        self._results[f"rollout/success_{job.kind}"].append(finished.success)
        self._results[f"rollout/return_{job.kind}"].append(finished.episode.total_reward)
        if job.kind == "posterior":
            self._results[f"task/{job.task.name}/success"].append(finished.success)
        kept: list[tuple[int, SkillEpisode]] = [(job.task_index, finished.episode)]
        if self.hindsight:
            others = (
                (i, finished.episode.relabelled(task)) for i, task in enumerate(self.train_tasks) if i != job.task_index
            )
            kept += [(i, episode) for i, episode in others if episode is not None]
        for index, episode in kept:
            self.replay_buffer.add_episode(index, episode)
            if job.kind == "exploration":
                self.context_buffer.add_episode(index, episode)

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Critics and task encoder, actor, multipliers, target critics; ``gradient_steps`` times."""
        self.policy.set_training_mode(True)
        self._update_learning_rate([self.optimizers["actor"], self.optimizers["critic"]])
        losses: dict[str, list[float]] = defaultdict(list)
        for _ in range(gradient_steps):
            tasks = self._draw_tasks()
            batch = self._draw_batch(tasks, batch_size)
            e_mean, e_std = self._encode(tasks)
            noise = th.randn(len(tasks), batch_size, self.task_latent_dim, device=self.device)  # another e for each row
            e = (e_mean.unsqueeze(1) + e_std.unsqueeze(1) * noise).view(1, -1, self.task_latent_dim)
            latent_kl = functional.standard_gaussian_kl(e_mean, e_std)  # (T,)
            multipliers = self._per_task(self.policy.log_skill_multipliers.detach().exp())  # (T,)
            skill_multiplier = multipliers.repeat_interleave(batch_size)

            critic_loss = self.policy.critic_loss(batch, e, skill_multiplier, self.kl_clip)
            latent_loss = (self._latent_multipliers(tasks).detach() * latent_kl).mean()
            self._step("critic", critic_loss + latent_loss)

            actor_loss, skill_kl = self.policy.actor_loss(batch.observations, e.detach(), skill_multiplier)
            self._step("actor", actor_loss)

            group_kl = self._group_means(skill_kl.view(len(tasks), -1).mean(dim=1))
            self._update_multipliers(tasks, group_kl, latent_kl)
            polyak_update(self.policy.critics.parameters(), self.policy.critics_target.parameters(), self.tau)

            losses["critic_loss"].append(critic_loss.item())
            losses["actor_loss"].append(actor_loss.item())
            for name, pair in (("skill_kl", group_kl), ("latent_kl", self._group_means(latent_kl.detach()))):
                losses[f"{name}_prior_sized"].append(pair[0].item())
                losses[f"{name}_posterior_sized"].append(pair[1].item())
        self._n_updates += gradient_steps
        self._remember_latents()
        self._record(losses)

    def _remember_latents(self) -> None:
        """Note where the training tasks' latents lie, for ``exploration="aggregate"``."""
        ready = np.flatnonzero(self.context_buffer.sizes > 0)
        context = self.context_buffer.sample_context(ready, self.context_sizes[1], self.context_reward_rows)
        self.policy.remember_latents(*self.infer_task_latent(context))

    def _draw_tasks(self) -> np.ndarray:
        """Tasks of one update, the prior-sized group first, (T,)."""
        ready = np.flatnonzero(np.minimum(self.replay_buffer.sizes, self.context_buffer.sizes) > 0)
        return np.concatenate([self.rng.choice(ready, n, replace=n > len(ready)) for n in self.tasks_per_update])

    def _draw_batch(self, tasks: np.ndarray, batch_size: int) -> TaskBatch:
        """Transitions of these tasks, laid one after the other as the one member's batch, (1, T * B, ...)."""
        batch = self.replay_buffer.sample(tasks, batch_size, self.gamma, self.n_steps, self.gamma_per_env_step)
        return batch.as_one()

    def _encode(self, tasks: np.ndarray) -> Gaussian:
        """q(e | context) for each task, from a context of its group's size."""
        n_prior = self.tasks_per_update[0]
        few = self.context_buffer.sample_context(tasks[:n_prior], self.context_sizes[0])
        many = self.context_buffer.sample_context(tasks[n_prior:], self.context_sizes[1], self.context_reward_rows)
        (few_mean, few_std), (many_mean, many_std) = self.policy.encode(few), self.policy.encode(many)
        return th.cat([few_mean, many_mean]), th.cat([few_std, many_std])

    def _per_task(self, pair: th.Tensor) -> th.Tensor:
        """(2,) -> (T,): each group's value for each of its tasks."""
        return pair.repeat_interleave(th.tensor(self.tasks_per_update, device=self.device))

    def _group_means(self, values: th.Tensor) -> th.Tensor:
        """(T,) -> (2,): mean over each group."""
        return th.stack([part.mean() for part in values.split(list(self.tasks_per_update))])

    def _latent_multipliers(self, tasks: np.ndarray) -> th.Tensor:
        """(T,): one multiplier for all prior-sized contexts, one per task for the posterior-sized."""
        n_prior = self.tasks_per_update[0]
        at = np.concatenate([np.zeros(n_prior, np.int64), 1 + tasks[n_prior:]])
        return self.policy.log_latent_multipliers[th.as_tensor(at, device=self.device)].exp()

    def _update_multipliers(self, tasks: np.ndarray, group_kl: th.Tensor, latent_kl: th.Tensor) -> None:
        """Dual descent: a multiplier grows while its KL exceeds its budget."""
        skill_targets = th.tensor(self.skill_kl_targets, device=self.device)
        latent_targets = self._per_task(th.tensor(self.latent_kl_targets, device=self.device))
        loss = functional.multiplier_loss(self.policy.log_skill_multipliers.exp(), group_kl, skill_targets)
        loss = loss + functional.multiplier_loss(self._latent_multipliers(tasks), latent_kl, latent_targets)
        optimizer = self.optimizers["multipliers"]
        optimizer.zero_grad()
        loss.backward()
        if self.multipliers_only_grow:
            for parameter in (self.policy.log_skill_multipliers, self.policy.log_latent_multipliers):
                assert parameter.grad is not None
                parameter.grad.clamp_(max=0.0)
        optimizer.step()

    def _step(self, name: str, loss: th.Tensor) -> None:
        self.optimizers[name].zero_grad()
        loss.backward()
        self.optimizers[name].step()

    # ------------------------------------------------------------ metrics

    def _record(self, losses: dict[str, list[float]]) -> None:
        for name, values in losses.items():
            self.logger.record(f"train/{name}", float(np.mean(values)))
        multipliers = self.policy.log_skill_multipliers.detach().exp()
        self.logger.record("train/skill_multiplier_prior_sized", multipliers[0].item())
        self.logger.record("train/skill_multiplier_posterior_sized", multipliers[1].item())
        latent = self.policy.log_latent_multipliers.detach().exp()
        self.logger.record("train/latent_multiplier_prior_sized", latent[0].item())
        self.logger.record("train/latent_multiplier_posterior_sized", latent[1:].mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
