"""
Target task learning (Section 4.3) for one task or for many at once: explore, infer the task, fine-tune.

All agents share one vec env (agent i acts in environment i) and one batched learner, so that thirty agents cost little
more than three. An agent that has lived through its episodes leaves the batch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.policies import SkillPriorPEARLPolicy, SkillPriorPolicy
from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC, make_optimizers, update_agents
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.collector import EpisodeCollector, FinishedEpisode, Job
from simpl_sb3.skills.base import Skills

OnEpisode = Callable[[int, int, FinishedEpisode], None]


class Adaptation:
    """
    Many agents, each adapting to its own task in its own environment.

    :param env: as many environments as tasks; its actions are skills
    :param tasks: one for each agent
    :param skills: what the environment's actions are
    :param meta_policy: the meta-trained policy; None learns from scratch (SPiRL)
    :param settings: how
    :param seed: of exploration, samples and noise
    :param on_episode: called with agent, episode (from 1), and the episode
    """

    def __init__(
        self,
        env: VecEnv,
        tasks: Sequence[Any],
        skills: Skills,
        meta_policy: SkillPriorPEARLPolicy | None,
        settings: AdaptationSettings,
        seed: int | None = None,
        on_episode: OnEpisode | None = None,
    ) -> None:
        if len(tasks) != env.num_envs:
            raise SettingsError(f"{len(tasks)} tasks for {env.num_envs} environments: expected as many as tasks.")
        self.env, self.tasks, self.skills, self.meta, self.settings = env, tuple(tasks), skills, meta_policy, settings
        self.on_episode = on_episode or (lambda agent, episode, finished: None)
        self.net_arch = meta_policy.net_arch if meta_policy is not None else list(settings.net_arch)
        self.device = skills.observation_mean.device if meta_policy is None else meta_policy.device
        self.seed = seed
        if seed is not None:
            set_random_seed(seed)
            env.seed(10_000 + 1_000 * seed)  # apart from one another, and from meta-training's
        n_agents, observation_dim = len(tasks), env.observation_space.shape[0]  # type: ignore[index]
        self.episodes = np.zeros(n_agents, int)  # begun
        self.finished = np.zeros(n_agents, int)
        self.alive = np.arange(n_agents)  # agents that still learn; member m of the policy is agent alive[m]
        sizes = (n_agents, settings.buffer_size, observation_dim, skills.skill_dim)
        self.context = TaskReplayBuffer(*sizes, seed, self.device)
        self.replay = TaskReplayBuffer(*sizes, seed, self.device, settings.handle_timeout_termination)
        self.agents: list[SkillPriorSAC | None] = [None] * n_agents

    def run(self) -> list[SkillPriorSAC]:
        """Explore, infer, fine-tune; one agent per task, in the tasks' order."""
        self.env.reset()
        n_exploration = 0 if self.meta is None else self.settings.n_exploration_episodes
        if n_exploration:
            self._explore(n_exploration)
        self._make_agents()
        self._fine_tune()
        assert all(agent is not None for agent in self.agents)
        return self.agents  # type: ignore[return-value]

    def _next_job(self, limit: int, kind: str) -> Callable[[int], Job | None]:
        def next_job(agent: int) -> Job | None:
            if self.episodes[agent] >= limit:
                return None
            self.episodes[agent] += 1
            return Job(self.tasks[agent], agent, kind)

        return next_job

    def _report(self, finished: list[FinishedEpisode]) -> None:
        for one in finished:
            self.finished[one.job.task_index] += 1
            self.on_episode(one.job.task_index, int(self.finished[one.job.task_index]), one)

    # ------------------------------------------------------------ explore and infer

    def _explore(self, n_episodes: int) -> None:
        assert self.meta is not None
        self.meta.set_training_mode(False)
        collector = EpisodeCollector(
            self.env,
            self.meta.act,
            self._next_job(n_episodes, "exploration"),
            self._exploration_latent,
            self.meta.task_latent_dim,
            self.settings.exploration_latent_skills,
        )
        while collector.active.any():
            step = collector.step()
            self.context.add(step.indices, step.rows, step.ends)
            self._report(step.finished)

    def _exploration_latent(self, job: Job) -> th.Tensor:
        assert self.meta is not None
        agent, exploration = job.task_index, self.settings.exploration
        if exploration != "posterior" or not self.context.paid(agent):
            source = "prior" if exploration == "prior" else "aggregate"
            return self.meta.sample_latent(source, self.settings.exploration_spread).cpu()
        mean, std = self._infer([agent])
        return (mean + std * th.randn_like(std))[0].cpu()

    @th.no_grad()
    def _infer(self, agents: Sequence[int]) -> tuple[th.Tensor, th.Tensor]:
        """q(e | everything these agents have seen), each (len(agents), E)."""
        assert self.meta is not None
        settings = self.settings
        means, stds = zip(
            *(
                self.meta.encode(self.context.whole_context(agent, settings.context_size, settings.context_reward_rows))
                for agent in agents
            ),
            strict=True,
        )
        return th.cat(means), th.cat(stds)

    # ------------------------------------------------------------ fine-tune

    def _make_agents(self) -> None:
        """The learner of all agents: copies of the meta-policy, each conditioned on its e*; or new ones."""
        settings, n_agents = self.settings, len(self.tasks)
        latent_dim = 0 if self.meta is None else self.meta.task_latent_dim
        self.policy = SkillPriorPolicy(
            self.env.observation_space,
            self.env.action_space,  # type: ignore[arg-type]
            lambda _: 0.0,
            self.skills.settings,
            self.net_arch,
            latent_dim,
            n_agents,
        ).to(self.device)
        self.policy.skills.load_state_dict(self.skills.state_dict())
        multiplier = settings.skill_kl_multiplier
        with th.no_grad():
            if self.meta is not None:
                for name in ("actor", "critics", "critics_target"):
                    ours, metas = getattr(self.policy, name).parameters(), getattr(self.meta, name).parameters()
                    for own, meta in zip(ours, metas, strict=True):
                        own.copy_(meta.repeat_interleave(n_agents, dim=0))
                self.policy.log_multiplier.fill_(float(self.meta.log_skill_multipliers[1]))
                if settings.n_exploration_episodes:
                    self.policy.task_latent.copy_(self._infer(range(n_agents))[0])
            if multiplier is not None:
                self.policy.log_multiplier.fill_(math.log(multiplier))
        self.optimizers = make_optimizers(self.policy, settings.learning_rate, settings.multiplier_learning_rate)

    def _fine_tune(self) -> None:
        settings = self.settings
        if settings.reuse_exploration and self.context.sizes.all():
            self.replay.take_over(self.context)
            for _ in range(settings.initial_updates):
                self._update()
        latents = self.policy.task_latent.cpu().clone()
        next_job = self._next_job(settings.n_episodes, "fine-tuning")
        collector = EpisodeCollector(
            self.env, self._act, next_job, lambda job: latents[job.task_index], self.policy.task_latent_dim
        )
        self._retire(np.flatnonzero(~collector.active))
        due = 0.0
        while collector.active.any():
            step = collector.step()
            self.replay.add(step.indices, step.rows, step.ends)
            self._report(step.finished)
            due += settings.updates_per_skill
            while due >= 1.0:
                self._update()
                due -= 1.0
            self._retire(np.flatnonzero(~collector.active))

    def _act(self, observations: np.ndarray, latents: th.Tensor) -> np.ndarray:
        z = np.zeros((len(observations), self.skills.skill_dim), np.float32)
        e = latents[self.alive].to(self.device) if self.policy.task_latent_dim else None
        z[self.alive] = self.policy.act(observations[self.alive], e)
        return z

    def _update(self) -> None:
        settings = self.settings
        batch = self.replay.sample(
            self.alive, settings.batch_size, settings.gamma, settings.n_steps, settings.gamma_per_env_step
        )
        update_agents(
            self.policy,
            self.optimizers,
            batch,
            skill_kl_target=settings.skill_kl_target,
            kl_clip=settings.kl_clip,
            tau=settings.tau,
            multipliers_only_grow=settings.multipliers_only_grow,
        )

    def _retire(self, done: np.ndarray) -> None:
        """Hand agents over that have lived through their episodes, and shrink the batch to the others."""
        leaving = np.isin(self.alive, done)
        if not leaving.any():
            return
        for member in np.flatnonzero(leaving):
            self.agents[self.alive[member]] = self._extract(int(member))
        keep = np.flatnonzero(~leaving)
        self.alive = self.alive[keep]
        if len(keep):
            self.policy.keep_agents(keep, self.optimizers)

    def _extract(self, member: int) -> SkillPriorSAC:
        settings = self.settings
        agent = SkillPriorSAC(
            "MlpPolicy",
            learning_rate=settings.learning_rate,
            buffer_size=settings.buffer_size,
            batch_size=settings.batch_size,
            tau=settings.tau,
            gamma=settings.gamma,
            gamma_per_env_step=settings.gamma_per_env_step,
            handle_timeout_termination=settings.handle_timeout_termination,
            gradient_steps=max(1, round(settings.updates_per_skill)),
            n_steps=settings.n_steps,
            net_arch=tuple(self.net_arch),
            task_latent_dim=self.policy.task_latent_dim,
            skill_kl_target=settings.skill_kl_target,
            skill_kl_multiplier=float(self.policy.log_multiplier[member].detach().exp()),
            multiplier_learning_rate=settings.multiplier_learning_rate,
            multipliers_only_grow=settings.multipliers_only_grow,
            kl_clip=settings.kl_clip,
            seed=self.seed,
            device=self.device,
            _init_setup_model=False,
        )
        agent.skills, agent.n_envs = self.skills, 1
        agent.observation_space, agent.action_space = self.env.observation_space, self.env.action_space
        agent.build()
        agent.policy.copy_agent(self.policy, member)
        return agent
