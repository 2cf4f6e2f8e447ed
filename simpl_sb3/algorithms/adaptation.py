"""
Target task learning (Section 4.3) for one task or for many at once: explore, infer the task, fine-tune.

All agents share one vec env (agent i acts in environment i) and one batched learner, so that thirty agents cost little
more than three. An agent that has lived through its episodes leaves the batch. With ``explore_until_reward`` one that
was never rewarded while it explored goes on exploring, and begins to fine-tune, by itself, once it was.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch as th
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints
from simpl_sb3.algorithms.exploration import Elimination, Explorer
from simpl_sb3.algorithms.policies import Gaussian, SkillPriorPEARLPolicy, SkillPriorPolicy
from simpl_sb3.algorithms.settings import INFERRING, INITIAL_MULTIPLIER, AdaptationSettings, SkillPriorSACSettings
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.algorithms.tasks import check_given_tasks
from simpl_sb3.algorithms.updates import AgentLearner
from simpl_sb3.bars import EpisodeBar
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.collector import EpisodeCollector, FinishedEpisode, Job, SkillStep
from simpl_sb3.experience.env_states import holds_episodes
from simpl_sb3.experience.workers import answering
from simpl_sb3.settings import checked_seed
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.held_envs import generator_states, generators_of

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
    checkpoints: AdaptationCheckpoints | None = None,
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
    :param checkpoints: where to go on from, and what is written on the way; None for nothing
    :return: the adapted agents, in the tasks' order
    """
    check_given_tasks(tasks, env)
    with shown_episodes(on_episode, progress_bar, tasks, settings.n_episodes) as tell:
        return Adaptation(env, tasks, skills, model, settings, seed, tell, checkpoints).run()


@contextmanager
def shown_episodes(
    on_episode: OnEpisode | None, progress_bar: bool, tasks: Sequence[Any], n_episodes: int
) -> Iterator[OnEpisode | None]:
    """
    What is to be called after every episode, so that a bar shows them, too.

    :param on_episode: what the user wants to be called
    :param progress_bar: whether there is a bar
    :param tasks: of the agents
    :param n_episodes: of each agent
    """
    if not progress_bar:
        yield on_episode
        return
    names = [str(getattr(task, "name", task)) for task in tasks]
    with closing(EpisodeBar(len(tasks) * n_episodes, names)) as bar:

        def show(agent: int, episode: int, finished: FinishedEpisode) -> None:
            bar.update(agent, episode, finished.success)
            if on_episode is not None:
                on_episode(agent, episode, finished)

        yield show


class Cohort:
    """
    Agents that began to fine-tune at the same time: one batched policy and its learner.

    :param agents: indices of the agents; member m of the policy is ``agents[m]``
    :param policy: of as many agents
    :param learner: of the policy
    """

    def __init__(self, agents: np.ndarray, policy: SkillPriorPolicy, learner: AgentLearner) -> None:
        self.agents, self.policy, self.learner = agents, policy, learner
        self.n_updates = 0

    def update(self, replay: TaskReplayBuffer, settings: AdaptationSettings, n_updates: int) -> None:
        """Some updates, each agent's from its own ring of the replay buffer."""
        how = settings.batch_size, settings.gamma, settings.n_steps, settings.gamma_per_env_step
        for _ in range(n_updates):
            self.learner.update_agents(replay.sample(self.agents, *how))
        self.n_updates += n_updates

    def keep(self, members: np.ndarray) -> None:
        """Drop all members but these (indices (K,))."""
        self.agents = self.agents[members]
        if len(members):
            self.learner.keep_agents(members)


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
        checkpoints: AdaptationCheckpoints | None = None,
    ) -> None:
        check_given_tasks(tasks, env)
        self.env, self.tasks, self.skills, self.settings = env, tuple(tasks), skills, settings
        self.checkpoints = checkpoints
        self.meta = None if model is None else model.policy
        multiplier = INITIAL_MULTIPLIER if model is None else model.learner.budgets["skill_kl"].multiplier()[1].item()
        self.multiplier = multiplier if settings.skill_kl_multiplier is None else settings.skill_kl_multiplier
        self.on_episode = on_episode or (lambda agent, episode, finished: None)
        self.device = skills.observation_mean.device if self.meta is None else self.meta.device
        self.seed = seed = checked_seed(seed)
        n_agents = len(tasks)
        self.episodes = np.zeros(n_agents, int)  # begun
        self.finished = np.zeros(n_agents, int)
        self.lived = np.zeros(n_agents, int)  # skills
        self.exploring = np.zeros(n_agents, bool)
        self.inferring = np.zeros(n_agents, bool)  # explores with what a first reward says
        self.cohorts: list[Cohort] = []
        self.collector: EpisodeCollector | None = None  # of the episodes that are collected now
        self.retiring, self.rounds = (
            False,
            0,
        )  # whether the episodes that all explore are over; skills since either began
        noted = not holds_episodes(env) and (checkpoints is not None or not hasattr(env, "set_active"))
        self.starts: list[str] | None = [""] * n_agents if noted else None  # generators before the newest episodes
        sizes = (n_agents, settings.buffer_size, skills.observation_space.shape[0], skills.skill_dim)
        self.context = TaskReplayBuffer(*sizes, seed, self.device)
        self.replay = TaskReplayBuffer(*sizes, seed, self.device, settings.handle_timeout_termination)
        self.agents: list[SkillPriorSAC | None] = [None] * n_agents
        if self.meta is not None:
            self.meta.set_training_mode(False)
            source = "prior" if settings.exploration == "prior" else "aggregate"
            self.explorer = Explorer(self.meta, settings, source, self._elimination(self.meta))

    @property
    def elimination(self) -> Elimination | None:
        """What exploring by elimination has ruled out; None where it does not explore that way."""
        return None if self.meta is None else self.explorer.elimination

    def _elimination(self, meta: SkillPriorPEARLPolicy) -> Elimination | None:
        """Where the settings ask for it, and the meta-policy knows of rewards."""
        if self.settings.exploration != "unvisited" or not self.settings.n_exploration_episodes:
            return None
        return Elimination(meta, len(self.tasks)) if meta.imagined.known else None

    def run(self) -> list[SkillPriorSAC]:
        """Explore, infer, fine-tune; one agent per task, in the tasks' order."""
        if self.seed is not None:
            set_random_seed(self.seed)
            self.env.seed(10_000 + 1_000 * self.seed)  # apart from one another, and from meta-training's
        with answering(self.env):
            self.env.reset()
        if self.checkpoints is not None:
            self.checkpoints.take_up(self)
        for collector in self.steps():
            collector.step()
        assert all(agent is not None for agent in self.agents)
        return self.agents  # type: ignore[return-value]

    def steps(self) -> Iterator[EpisodeCollector]:
        """
        Everything but the skills themselves: gives the collector whenever it is to make a step, and updates after it.
        """
        n_exploration = self._n_exploration
        if not self.retiring:
            if n_exploration:
                if self.collector is None:
                    self.exploring[:] = True
                yield from self._collect()
                self._forget_waiting()
            going_on = self.exploring & (n_exploration < self.settings.n_episodes) & self.settings.explore_until_reward
            self._begin(np.array([i for i, on in enumerate(going_on) if not on or self.context.rewarded(i)], int))
            self.retiring = True
        yield from self._collect()

    @property
    def _n_exploration(self) -> int:
        """Episodes that all agents explore."""
        return 0 if self.meta is None else self.settings.n_exploration_episodes

    # ------------------------------------------------------------ episodes

    def _collect(self) -> Iterator[EpisodeCollector]:
        """Until every agent has lived through its episodes: each explores, or fine-tunes; then it may retire."""
        settings = self.settings
        train_freq = int(settings.train_freq)  # type: ignore[arg-type]  # never in episodes here
        n_updates = settings.gradient_steps if settings.gradient_steps >= 0 else train_freq
        if self.collector is None:
            self.rounds, self.collector = 0, self.new_collector()
        while True:
            if self.retiring:
                self._retire(np.flatnonzero(~self.collector.active))
            if not self.collector.active.any():
                self.collector = None
                return
            if self.checkpoints is not None:
                self.checkpoints.write_if_due(self)
            yield self.collector
            self.rounds += 1
            if self.rounds % train_freq == 0:
                for cohort in self.cohorts:
                    cohort.update(self.replay, settings, n_updates)

    def new_collector(self, begin: bool = True) -> EpisodeCollector:
        """What lives through episodes in all environments; ``begin`` as there."""
        size = 0 if self.meta is None else self.explorer.size
        return EpisodeCollector(
            self.env, self._act, self._next_job, self._guess_for, size, self._guess_is_over, self._store, begin
        )

    def _next_job(self, agent: int) -> Job | None:
        if self.starts is not None:
            self.starts[agent] = str(generator_states(self.env.get_attr("np_random", [agent]))[0])
        if self.episodes[agent] >= (self.settings.n_episodes if self.retiring else self._n_exploration):
            return None
        self.episodes[agent] += 1
        return Job(self.tasks[agent], agent, "exploration" if self.exploring[agent] else "fine-tuning")

    def _forget_waiting(self) -> None:
        """An environment that was stepped while it waited for others, or was not, goes on with the same episodes."""
        for i, start in enumerate(self.starts or ()):
            self.env.set_attr("np_random", generators_of(np.array([start]))[0], indices=[i])

    def begin_again(self, agents: np.ndarray) -> None:
        """Give up the episodes that these agents are in, and begin them anew; their rows stay."""
        assert self.collector is not None
        for buffer in (self.context, self.replay):
            ends = buffer.newest_ends
            ends[agents] = True
            buffer.newest_ends = ends
        self.collector.begin_again(agents)

    def _act(self, observations: np.ndarray, guesses: th.Tensor) -> np.ndarray:
        z = np.zeros((len(observations), self.skills.skill_dim), np.float32)
        if self.exploring.any():
            z[self.exploring] = self.explorer.act(observations[self.exploring], guesses[self.exploring])
        for cohort in self.cohorts:
            z[cohort.agents], _state = cohort.policy.predict(observations[cohort.agents], deterministic=False)
        return z

    def _store(self, step: SkillStep) -> None:
        """Keep rows; whoever explored beyond its episodes and was rewarded begins to fine-tune."""
        for buffer, mine in (
            (self.context, self.exploring[step.indices]),
            (self.replay, ~self.exploring[step.indices]),
        ):
            if mine.any():
                rows = {name: column[mine] for name, column in step.rows.items()}
                buffer.add(step.indices[mine], rows, step.ends[mine])
        self._rule_out(step.indices[(self.exploring & ~self.inferring)[step.indices]])
        self.lived[step.indices] += 1
        for episode in step.finished:
            agent = episode.job.task_index
            self.finished[agent] += 1
            if self.checkpoints is not None:
                self.checkpoints.note(agent, episode)
            self.on_episode(agent, int(self.finished[agent]), episode)
        ended = step.indices[step.ends]
        late = ended[self.exploring[ended] & (self.finished[ended] > self.settings.n_exploration_episodes)]
        self._begin(np.array([agent for agent in late if self.context.rewarded(agent)], int))

    # ------------------------------------------------------------ explore and infer

    def _guess_for(self, job: Job) -> th.Tensor:
        if job.kind != "exploration":
            return th.zeros(0 if self.meta is None else self.explorer.size)
        if self.settings.exploration in INFERRING and self.context.rewarded(job.task_index):
            self.inferring[job.task_index] = True
            return self.explorer.guess_from(self._infer([job.task_index]), job.task_index)
        return self.explorer.guess(job.task_index)

    def _guess_is_over(self, agent: int, age: int) -> bool:
        return self.explorer.is_over(agent, age)

    def _rule_out(self, agents: np.ndarray) -> None:
        """What these agents saw last: without a reward, or they infer from the next guess on."""
        elimination = self.elimination
        if elimination is not None and len(agents):
            elimination.rule_out(agents, self.context.newest(agents))

    def _infer(self, agents: Sequence[int] | np.ndarray) -> Gaussian:
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

    def _begin(self, agents: np.ndarray) -> None:
        """A cohort of these agents: copies of the meta-policy, each conditioned on its e*; or new ones."""
        if not len(agents):
            return
        settings, cohort = self.settings, self.new_cohort(agents)
        if self.meta is not None:
            cohort.policy.copy_meta(self.meta)
            if settings.n_exploration_episodes:
                cohort.policy.task_latent.copy_(self._infer(agents)[0])
        self.cohorts.append(cohort)
        if settings.reuse_exploration and self.context.sizes[agents].all():
            for agent in agents:
                self.replay.copy_ring(agent, self.context, agent)
            cohort.update(self.replay, settings, settings.initial_updates)
        self.exploring[agents] = False

    def new_cohort(self, agents: np.ndarray) -> Cohort:
        """A cohort of these agents (indices (K,)), with networks that have learned nothing."""
        settings, meta = self.settings, self.meta
        policy = SkillPriorPolicy(
            self.env.observation_space,
            self.env.action_space,
            self.skills,
            net_arch=settings.net_arch if meta is None else meta.net_arch,
            activation_fn=settings.activation_fn if meta is None else meta.activation_fn,
            task_latent_dim=0 if meta is None else meta.task_latent_dim,
            n_agents=len(agents),
        ).to(self.device)
        return Cohort(agents, policy, AgentLearner(policy, settings, settings.skill_kl_target, self.multiplier))

    def _retire(self, done: np.ndarray) -> None:
        """Hand agents over that have lived through their episodes, and shrink their cohorts to the others."""
        self._begin(done[self.exploring[done]])  # never rewarded
        for cohort in self.cohorts:
            leaving = np.isin(cohort.agents, done)
            for member in np.flatnonzero(leaving):
                self.agents[cohort.agents[member]] = self._hand_over(cohort, int(member))
            if leaving.any():
                cohort.keep(np.flatnonzero(~leaving))
        self.cohorts = [cohort for cohort in self.cohorts if len(cohort.agents)]

    def _hand_over(self, cohort: Cohort, member: int) -> SkillPriorSAC:
        """The agent of one member, with its weights, optimisers, multiplier and replay, so that it can learn on."""
        settings, index, policy = self.settings, int(cohort.agents[member]), cohort.policy
        names = [name for name in SkillPriorSACSettings.names() if name in AdaptationSettings.names()]
        chosen = {name: getattr(settings, name) for name in names}
        chosen |= {"net_arch": tuple(policy.net_arch), "activation_fn": policy.activation_fn}
        agent = SkillPriorSAC(
            "MlpPolicy",
            **chosen | {"task_latent_dim": policy.task_latent_dim, "skill_kl_multiplier": self.multiplier},
            seed=self.seed,
            device=self.device,
            _init_setup_model=False,
        )
        agent.skills, agent.n_envs = policy.skills, 1
        self.give_task(agent, index)
        agent.build()
        agent.learner.copy_agent(cohort.learner, member)
        agent.replay_buffer.copy_ring(0, self.replay, index)
        agent.num_timesteps, agent._episode_num = int(self.lived[index]), int(self.finished[index])
        agent._n_updates = cohort.n_updates
        return agent

    def give_task(self, agent: SkillPriorSAC, index: int) -> None:
        """Tell an agent its task, and the spaces that it acts in."""
        agent.observation_space, agent.action_space = self.env.observation_space, self.env.action_space
        agent.task, agent.task_name = self.tasks[index], getattr(self.tasks[index], "name", None)
