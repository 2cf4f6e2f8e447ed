"""
Target task learning (Section 4.3) for one task or for many at once: explore, infer the task, fine-tune.

All agents share one vec env (agent i acts in environment i) and one batched learner, so that thirty agents cost little
more than three. An agent that has lived through its episodes leaves the batch.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch as th
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv
from tqdm import tqdm

from simpl_sb3.algorithms.policies import SkillPriorPolicy
from simpl_sb3.algorithms.settings import INITIAL_MULTIPLIER, AdaptationSettings, SkillPriorSACSettings
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.algorithms.updates import AgentLearner
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.collector import EpisodeCollector, FinishedEpisode, Job
from simpl_sb3.skills.base import Skills

if TYPE_CHECKING:
    from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL

OnEpisode = Callable[[int, int, FinishedEpisode], None]


def adapt_tasks(
    env: VecEnv,
    tasks: Sequence[Any],
    skills: Skills,
    model: "SkillPriorPEARL | None",
    settings: AdaptationSettings,
    seed: int | None = None,
    on_episode: OnEpisode | None = None,
    progress_bar: bool = False,
) -> list[SkillPriorSAC]:
    """
    Learn many tasks at once: with a meta-trained model (SiMPL), or without one from the skills alone (SPiRL).

    :param env: as many environments as tasks; its actions are skills
    :param tasks: one for each agent
    :param skills: what the environment's actions are
    :param model: the meta-trained model, or None
    :param settings: of the adaptation
    :param seed: of exploration, samples and noise
    :param on_episode: called after every episode with agent, episode (from 1), and a ``FinishedEpisode``
    :param progress_bar: show episodes and success
    :return: the adapted agents, in the tasks' order
    """
    if not progress_bar:
        return Adaptation(env, tasks, skills, model, settings, seed, on_episode).run()
    lately: list[bool] = []
    with tqdm(total=len(tasks) * settings.n_episodes, unit="episode") as bar:

        def show(agent: int, episode: int, finished: FinishedEpisode) -> None:
            lately.append(finished.success)
            bar.set_postfix(success=f"{np.mean(lately[-5 * len(tasks) :]):.2f}", refresh=False)
            bar.update()
            if on_episode is not None:
                on_episode(agent, episode, finished)

        return Adaptation(env, tasks, skills, model, settings, seed, show).run()


class Adaptation:
    """
    Many agents, each adapting to its own task in its own environment; parameters are those of :func:`adapt_tasks`.
    """

    def __init__(
        self,
        env: VecEnv,
        tasks: Sequence[Any],
        skills: Skills,
        model: "SkillPriorPEARL | None",
        settings: AdaptationSettings,
        seed: int | None = None,
        on_episode: OnEpisode | None = None,
    ) -> None:
        if isinstance(tasks, str) or len(tasks) != env.num_envs:
            given = f"The text {tasks!r}" if isinstance(tasks, str) else f"{len(tasks)} tasks"
            raise SettingsError(f"{given} for {env.num_envs} environments: expected a sequence of as many tasks.")
        self.env, self.tasks, self.skills, self.settings = env, tuple(tasks), skills, settings
        self.meta = None if model is None else model.policy
        multiplier = INITIAL_MULTIPLIER if model is None else model.learner.budgets["skill_kl"].multiplier()[1].item()
        self.multiplier = multiplier if settings.skill_kl_multiplier is None else settings.skill_kl_multiplier
        self.on_episode = on_episode or (lambda agent, episode, finished: None)
        self.device = skills.observation_mean.device if self.meta is None else self.meta.device
        self.seed = seed
        if seed is not None:
            set_random_seed(seed)
            env.seed(10_000 + 1_000 * seed)  # apart from one another, and from meta-training's
        n_agents = len(tasks)
        self.episodes = np.zeros(n_agents, int)  # begun
        self.finished = np.zeros(n_agents, int)
        self.lived = np.zeros(n_agents, int)  # skills
        self.n_updates = 0
        self.alive = np.arange(n_agents)  # agents that still learn; member m of the policy is agent alive[m]
        sizes = (n_agents, settings.buffer_size, skills.observation_space.shape[0], skills.skill_dim)
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
        for episode in finished:
            agent = episode.job.task_index
            self.finished[agent] += 1
            self.on_episode(agent, int(self.finished[agent]), episode)

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
            self.lived[step.indices] += 1
            self._report(step.finished)

    def _exploration_latent(self, job: Job) -> th.Tensor:
        assert self.meta is not None
        agent, exploration = job.task_index, self.settings.exploration
        if exploration != "posterior" or not self.context.rewarded(agent):
            source = "prior" if exploration == "prior" else "aggregate"
            return self.meta.sample_latent(source, self.settings.exploration_spread).cpu()
        mean, std = self._infer([agent])
        return (mean + std * th.randn_like(std))[0].cpu()

    def _infer(self, agents: Sequence[int]) -> tuple[th.Tensor, th.Tensor]:
        """q(e | everything these agents have seen), each (len(agents), E)."""
        assert self.meta is not None
        settings = self.settings
        means, stds = zip(
            *(
                self.meta.infer(self.context.whole_context(agent, settings.context_size, settings.context_reward_rows))
                for agent in agents
            ),
            strict=True,
        )
        return th.cat(means), th.cat(stds)

    # ------------------------------------------------------------ fine-tune

    def _make_agents(self) -> None:
        """The learner of all agents: copies of the meta-policy, each conditioned on its e*; or new ones."""
        settings, n_agents, meta = self.settings, len(self.tasks), self.meta
        self.policy = SkillPriorPolicy(
            self.env.observation_space,
            self.env.action_space,
            self.skills,
            net_arch=settings.net_arch if meta is None else meta.net_arch,
            activation_fn=settings.activation_fn if meta is None else meta.activation_fn,
            task_latent_dim=0 if meta is None else meta.task_latent_dim,
            n_agents=n_agents,
        ).to(self.device)
        if meta is not None:
            self.policy.copy_meta(meta)
            if settings.n_exploration_episodes:
                self.policy.task_latent.copy_(self._infer(range(n_agents))[0])
        self.learner = AgentLearner(self.policy, settings, settings.skill_kl_target, self.multiplier)

    def _fine_tune(self) -> None:
        settings = self.settings
        if settings.reuse_exploration and self.context.sizes.all():
            self.replay.take_over(self.context)
            for _ in range(settings.initial_updates):
                self._update()
        rounds, train_freq = 0, int(settings.train_freq)  # type: ignore[arg-type]  # never in episodes here
        n_updates = settings.gradient_steps if settings.gradient_steps >= 0 else train_freq
        next_job = self._next_job(settings.n_episodes, "fine-tuning")
        collector = EpisodeCollector(self.env, self._act, next_job, lambda job: th.zeros(0), 0)
        self._retire(np.flatnonzero(~collector.active))
        while collector.active.any():
            step = collector.step()
            self.replay.add(step.indices, step.rows, step.ends)
            self.lived[step.indices] += 1
            self._report(step.finished)
            rounds += 1
            if rounds % train_freq == 0:
                for _ in range(n_updates):
                    self._update()
            self._retire(np.flatnonzero(~collector.active))

    def _act(self, observations: np.ndarray, _: th.Tensor) -> np.ndarray:
        z = np.zeros((len(observations), self.skills.skill_dim), np.float32)
        z[self.alive], _state = self.policy.predict(observations[self.alive], deterministic=False)
        return z

    def _update(self) -> None:
        settings = self.settings
        batch = self.replay.sample(
            self.alive, settings.batch_size, settings.gamma, settings.n_steps, settings.gamma_per_env_step
        )
        self.learner.update_agents(batch)
        self.n_updates += 1

    def _retire(self, done: np.ndarray) -> None:
        """Hand agents over that have lived through their episodes, and shrink the batch to the others."""
        leaving = np.isin(self.alive, done)
        if not leaving.any():
            return
        for member in np.flatnonzero(leaving):
            self.agents[self.alive[member]] = self._hand_over(int(member))
        keep = np.flatnonzero(~leaving)
        self.alive = self.alive[keep]
        if len(keep):
            self.learner.keep_agents(keep)

    def _hand_over(self, member: int) -> SkillPriorSAC:
        """The agent of one member, with its weights, optimisers, multiplier and replay, so that it can learn on."""
        settings, index = self.settings, int(self.alive[member])
        names = [name for name in SkillPriorSACSettings.names() if name in AdaptationSettings.names()]
        chosen = {name: getattr(settings, name) for name in names}
        chosen |= {"net_arch": tuple(self.policy.net_arch), "activation_fn": self.policy.activation_fn}
        agent = SkillPriorSAC(
            "MlpPolicy",
            **chosen | {"task_latent_dim": self.policy.task_latent_dim, "skill_kl_multiplier": self.multiplier},
            seed=self.seed,
            device=self.device,
            _init_setup_model=False,
        )
        agent.skills, agent.n_envs = self.policy.skills, 1
        agent.observation_space, agent.action_space = self.env.observation_space, self.env.action_space
        agent.build()
        agent.learner.copy_agent(self.learner, member)
        agent.replay_buffer.take_ring(self.replay, index)
        agent.task, agent.task_name = self.tasks[index], getattr(self.tasks[index], "name", None)
        agent.num_timesteps, agent._episode_num = int(self.lived[index]), int(self.finished[index])
        agent._n_updates = self.n_updates
        return agent
