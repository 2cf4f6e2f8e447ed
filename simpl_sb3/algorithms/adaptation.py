"""
Target task learning (Section 4.3) for one task or for many at once: explore, infer the task, fine-tune.

All agents share one vec env (agent i acts in environment i) and one batched learner, so that thirty agents cost little
more than three. An agent that has lived through its episodes leaves the batch. With ``explore_until_reward`` one that
was never rewarded while it explored goes on exploring, and begins to fine-tune, by itself, once it was. One whom what
it infers leads nowhere gives the meta-policy up (``meta_policy_patience``), and goes on from the skill prior.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch as th
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints
from simpl_sb3.algorithms.cohort import Cohort
from simpl_sb3.algorithms.exploration import Elimination, Explorer
from simpl_sb3.algorithms.policies import Gaussian, SkillPriorPEARLPolicy
from simpl_sb3.algorithms.settings import INFERRING, INITIAL_MULTIPLIER, AdaptationSettings, SkillPriorSACSettings
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.algorithms.tasks import check_given_tasks
from simpl_sb3.bars import EpisodeBar
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.collector import EXPLORATION, EpisodeCollector, FinishedEpisode, Job, SkillStep
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
        self.rewarded = np.zeros(n_agents, bool)  # was once rewarded above 0
        self.failed = np.zeros(n_agents, int)  # episodes since, all without a reward; -1: not counted any more
        self.n_updates = np.zeros(n_agents, int)
        self.cohort: Cohort | None = None
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
            ready = [i for i, on in enumerate(going_on) if not on or self.context.rewarded(i)]
            self._begin(np.array([i for i in ready if self.exploring[i] or not n_exploration], int))
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
                self._update(self.cohort, n_updates)

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
        if not self.exploring[agent]:
            return Job(self.tasks[agent], agent, "fine-tuning")
        kind = EXPLORATION if self._informed(agent) else self.explorer.kind(late=self.retiring)
        return Job(self.tasks[agent], agent, kind)

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
        if (cohort := self.cohort) is not None:
            z[cohort.agents], _state = cohort.policy.predict(observations[cohort.agents], deterministic=False)
        return z

    def _store(self, step: SkillStep) -> None:
        """Keep rows; whoever explored beyond its episodes and was rewarded begins to fine-tune, and who has failed."""
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
            self._count_failures(agent, episode)
        if (patience := self.settings.meta_policy_patience) is not None:
            failed = (self.failed >= patience) & (self.episodes < self.settings.n_episodes)
            self._begin(np.flatnonzero(failed), anew=True)
        ended = step.indices[step.ends]
        late = ended[self.exploring[ended] & (self.finished[ended] > self.settings.n_exploration_episodes)]
        self._begin(np.array([agent for agent in late if self.context.rewarded(agent)], int))

    # ------------------------------------------------------------ explore and infer

    def _guess_for(self, job: Job) -> th.Tensor:
        if not job.explores:
            return th.zeros(0 if self.meta is None else self.explorer.size)
        if self._informed(job.task_index):
            self.inferring[job.task_index] = True
            return self.explorer.guess_from(self._infer([job.task_index]), job.task_index)
        return self.explorer.guess(job.task_index, job.kind)

    def _informed(self, agent: int) -> bool:
        """Whether an exploring agent acts with what it infers."""
        return self.settings.exploration in INFERRING and self.context.rewarded(agent)

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

    def _count_failures(self, agent: int, finished: FinishedEpisode) -> None:
        """Note what an episode says of the meta-policy: whether what an agent infers leads to rewards at all."""
        rewarded = bool((finished.episode.rewards > 0.0).any())
        if self.rewarded[agent] and self.failed[agent] >= 0 and (not finished.job.explores or self.inferring[agent]):
            self.failed[agent] = -1 if rewarded or self.meta is None else self.failed[agent] + 1
        self.rewarded[agent] |= rewarded

    def _begin(self, agents: np.ndarray, anew: bool = False) -> None:
        """
        Let agents fine-tune: copies of the meta-policy, each conditioned on its e*; or new ones.

        :param agents: indices, (K,)
        :param anew: give the meta-policy up
        """
        if not len(agents):
            return
        settings, cohort = self.settings, self.new_cohort(agents, anew)
        if self.meta is not None and not anew:
            cohort.policy.copy_meta(self.meta)
            if settings.n_exploration_episodes:
                cohort.policy.task_latent.copy_(self._infer(agents)[0])
        if self.cohort is not None:
            self.cohort = self.cohort.without(agents)
        self.n_updates[agents] = 0
        if settings.reuse_exploration:
            for agent in agents[self.exploring[agents]]:
                self.replay.copy_ring(agent, self.context, agent)
            if self.replay.sizes[agents].all():
                self._update(cohort, settings.initial_updates)
        self.cohort = cohort if self.cohort is None else self.cohort.joined_by(cohort)
        self.exploring[agents] = False
        if anew:
            self.failed[agents] = -1

    def new_cohort(self, agents: np.ndarray, anew: bool = False) -> Cohort:
        """A cohort of these agents (indices (K,)), with networks that have learned nothing; ``anew`` as there."""
        spaces = self.env.observation_space, self.env.action_space
        multiplier = INITIAL_MULTIPLIER if anew else self.multiplier
        return Cohort(agents, spaces, self.skills, self.meta, self.settings, multiplier)

    def _update(self, cohort: Cohort | None, n_updates: int) -> None:
        """Some updates of a cohort, where there is one."""
        if cohort is not None:
            cohort.update(self.replay, self.settings, n_updates)
            self.n_updates[cohort.agents] += n_updates

    def _retire(self, done: np.ndarray) -> None:
        """Hand over agents that have lived through their episodes; the others stay."""
        self._begin(done[self.exploring[done]])  # never rewarded
        if self.cohort is not None:
            for member in np.flatnonzero(np.isin(self.cohort.agents, done)):
                self.agents[self.cohort.agents[member]] = self._hand_over(self.cohort, int(member))
            self.cohort = self.cohort.without(done)

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
        agent._n_updates = int(self.n_updates[index])
        return agent

    def give_task(self, agent: SkillPriorSAC, index: int) -> None:
        """Tell an agent its task, and the spaces that it acts in."""
        agent.observation_space, agent.action_space = self.env.observation_space, self.env.action_space
        agent.task, agent.task_name = self.tasks[index], getattr(self.tasks[index], "name", None)
