"""
Settings of what learns, each named, documented, defaulted and bounded once.

::

    PolicySettings   networks         LearnerSettings    critics, replay, discount: what every learner has
      |                                 |           |
      |                           AgentSettings     |    an agent of one task: rounds of updates, budget of the skill KL
      |                             |       |       |
      +--- SkillPriorSACSettings ---+       |       |
      +--- AdaptationSettings --------------+       |
      +--- MetaPolicySettings --- MetaTrainingSettings   the last two: ExplorationSettings, too
      +--- MultiTaskSettings             and with it TaskTrainingSettings, of a set of training tasks
      +--- MamlSettings                  with PolicyGradientSettings, and no learner of the above

The defaults are one recipe for any environment; presets say what they change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Self

from simpl_sb3.errors import SettingsError
from simpl_sb3.settings import Settings, setting

__all__ = [
    "ACTIVATIONS",
    "EXPLORATION",
    "INITIAL_MULTIPLIER",
    "AdaptationSettings",
    "AgentSettings",
    "ExplorationSettings",
    "LearnerSettings",
    "MamlAdaptationSettings",
    "MamlSettings",
    "MetaPolicySettings",
    "MetaTrainingSettings",
    "MultiTaskSettings",
    "PolicyGradientSettings",
    "PolicySettings",
    "SkillPriorSACSettings",
    "TaskTrainingSettings",
]

EXPLORATION = ("prior", "aggregate", "posterior", "unvisited")
"""Names of the ways to explore a task, see ``AdaptationSettings.exploration``."""
INFERRING = EXPLORATION[2:]  # ways that turn to q(e | what was seen) with the first reward
TASK_ENCODERS = ("set-transformer", "attention", "deep-set", "product-of-gaussians")
"""Names of the classes in ``task_encoders.TASK_ENCODERS``, which need torch; settings do not."""
ACTIVATIONS = {
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "tanh": "Tanh",
}
"""Activations by name, and their classes in ``torch.nn``."""
INITIAL_MULTIPLIER = 0.05
"""Multiplier of the skill KL at the start of an agent that no meta-policy hands one to (published for SPiRL)."""

LinearRate = tuple[Literal["linear"], float, float] | tuple[Literal["linear"], float, float, float]
"""SB3's ``LinearSchedule`` as data: start, end, and the share of the training at which the end is reached (1)."""


@dataclass(frozen=True, kw_only=True)
class PolicySettings(Settings):
    """
    Networks of actor and critics. In Python they go into ``policy_kwargs``, as in SB3.

    :param net_arch: hidden sizes of actor and critics, features per layer
    :param activation_fn: between the layers: one of ``ACTIVATIONS``, or its class in ``torch.nn``
    """

    net_arch: tuple[int, ...] = setting((128, 128, 128), at_least=1, at_most=16_384)
    activation_fn: str = setting("relu", one_of=tuple(ACTIVATIONS))

    def __post_init__(self) -> None:
        given: Any = self.activation_fn
        names = [name for name, kind in ACTIVATIONS.items() if getattr(given, "__name__", None) == kind]
        if names:
            object.__setattr__(self, "activation_fn", names[0])
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class MetaPolicySettings(PolicySettings):
    """
    Networks of the meta-policy.

    :param task_latent_dim: E, size of the task latent
    :param task_encoder: one of ``TASK_ENCODERS``
    :param encoder_width: features of the task encoder
    """

    task_latent_dim: int = setting(5, at_least=1, at_most=16_384)
    task_encoder: str = setting("deep-set", one_of=TASK_ENCODERS)
    encoder_width: int = setting(128, at_least=1, at_most=16_384)


@dataclass(frozen=True, kw_only=True)
class LearnerSettings(Settings):
    """
    What every learner over skills has: its steps, its replay, its discount.

    :param learning_rate: of actor, critics and task encoder; ("linear", start, end) or SB3's ``LinearSchedule`` falls
        over ``learn``, ("linear", start, end, .5) over its first half
    :param buffer_size: skills kept, per task or environment
    :param batch_size: transitions per update, and per task in meta-training
    :param tau: step of the target critics towards the critics, share per update
    :param gamma: discount per skill
    :param gamma_per_env_step: take ``gamma`` per env step: a skill of k env steps counts gamma^k
    :param handle_timeout_termination: value what would follow a time limit, as if the episode went on (SB3's name, and
        its default); False counts the time limit as a termination, so that what is not done in time is not done
    :param n_steps: skills that a transition spans at most. Note: the paper has 1. The KL counts at the span's end only
    :param multiplier_learning_rate: step of dual descent on the logarithm of the multipliers
    :param multipliers_only_grow: never lower a multiplier (the paper)
    :param kl_clip: bound of the KL in the Bellman target, nats
    :param matmul_precision: of float32 matrix products in updates (torch's names): "medium" takes bfloat16 where the
        CPU has it. Acting and inferring are always in float32
    """

    learning_rate: float | LinearRate = setting(1e-3, at_least=0.0)
    buffer_size: int = setting(20_000, at_least=1, at_most=100_000_000)
    batch_size: int = setting(128, at_least=1, at_most=1_000_000)
    tau: float = setting(0.01, above=0.0, at_most=1.0)
    gamma: float = setting(0.99, at_least=0.0, at_most=1.0)
    gamma_per_env_step: bool = False
    handle_timeout_termination: bool = False
    n_steps: int = setting(4, at_least=1, at_most=10_000)
    multiplier_learning_rate: float = setting(3e-3, at_least=0.0)
    multipliers_only_grow: bool = False
    kl_clip: float = setting(10.0, at_least=0.0, may_be_infinite=True)
    matmul_precision: str = setting("medium", one_of=("highest", "high", "medium"))

    def __post_init__(self) -> None:
        given: Any = self.learning_rate
        while type(given).__name__ == "FloatSchedule":  # SB3's wrapper of other schedules
            given = given.value_schedule
        if type(given).__name__ == "LinearSchedule":
            rate = ("linear", given.start, given.end, given.end_fraction)
            object.__setattr__(self, "learning_rate", rate[:3] if given.end_fraction == 1.0 else rate)
        elif type(given).__name__ == "ConstantSchedule":
            object.__setattr__(self, "learning_rate", given.val)
        elif callable(given):
            raise SettingsError(
                f"learning_rate is {given!r}, and code cannot be saved with a model: expected a number, "
                '("linear", start, end), or stable_baselines3.common.utils.LinearSchedule(start, end, end_fraction).'
            )
        super().__post_init__()

    def check(self) -> None:
        rate = self.learning_rate
        if not (rate if isinstance(rate, float) else rate[1]) > 0.0:
            raise SettingsError(f"learning_rate is {rate!r}: expected a rate above 0, at least at the start.")
        if isinstance(rate, tuple) and len(rate) == 4 and not 0.0 < rate[3] <= 1.0:
            raise SettingsError(
                f"learning_rate is {rate!r}: expected a share of the training above 0 and at most 1 as its last number."
            )


@dataclass(frozen=True, kw_only=True)
class ExplorationSettings(Settings):
    """
    How a task is explored of which nothing is known yet.

    :param exploration_spread: factor on the standard deviation of ``exploration="aggregate"``
    :param exploration_latent_skills: skills after which an exploring episode guesses again; None: never (the paper)
    :param exploration_skill_prior: share of the exploring episodes in which the bare skill prior acts, without a guess,
        while nothing was rewarded; where it is above 0, at least half of those beyond ``n_exploration_episodes``. Note:
        0 in the paper. A meta-policy alone comes to explore where it has been rewarded, and seldom elsewhere
    """

    exploration_spread: float = setting(1.5, at_least=0.0)
    exploration_latent_skills: int | None = setting(50, at_least=1)
    exploration_skill_prior: float = setting(0.25, at_least=0.0, at_most=1.0)


@dataclass(frozen=True, kw_only=True)
class AgentSettings(LearnerSettings):
    """
    An agent of one task. Its learning rate is half that of meta-training, whose batch holds many tasks.

    :param train_freq: skills per environment between two rounds of updates; (n, "episode") counts episodes instead
    :param gradient_steps: updates per round; -1 for as many as skills lived in it
    :param skill_kl_target: budget of KL(policy || skill prior), nats
    :param skill_kl_multiplier: its multiplier at the start; None takes the meta-trained one, or without a meta-policy
        ``INITIAL_MULTIPLIER``
    """

    learning_rate: float | LinearRate = setting(5e-4, at_least=0.0)
    train_freq: int | tuple[int, Literal["step", "episode"]] = setting(1, at_least=1)
    gradient_steps: int = setting(1, at_least=-1, at_most=1_000_000)
    skill_kl_target: float = setting(5.0, at_least=0.0)
    skill_kl_multiplier: float | None = setting(None, above=0.0)


@dataclass(frozen=True, kw_only=True)
class SkillPriorSACSettings(AgentSettings, PolicySettings):
    """
    Everything that ``SkillPriorSAC`` learns with.

    :param task_latent_dim: E of the meta-policy that this agent comes from; 0 for none
    """

    task_latent_dim: int = setting(0, at_least=0, at_most=16_384)


@dataclass(frozen=True, kw_only=True)
class AdaptationSettings(AgentSettings, PolicySettings, ExplorationSettings):
    """
    How an agent adapts to a task (Section 4.3). Networks are those of the meta-policy where there is one.

    :param n_episodes: episodes in all, the exploring ones included
    :param n_exploration_episodes: episodes with the meta-policy before the task latent is fixed; none without one
    :param exploration: "prior": e from N(0, I) (the paper); "aggregate": from a Gaussian around the training tasks'
        latents; "posterior": "aggregate" until something was rewarded, and from then on q(e | what was seen so far);
        "unvisited": the same, but until then from the tasks that reward a state which meta-training visited and this
        agent has not (as "posterior" where meta-training saw no reward, or was saved by an earlier version)
    :param explore_until_reward: go on exploring, beyond ``n_exploration_episodes``, while nothing was rewarded, and
        infer and fine-tune after that; False fine-tunes at once, as the paper does
    :param meta_policy_patience: episodes after the first reward, all of them without one, until an agent gives the
        meta-policy up, which knows no way to where the reward is: it begins anew from the skill prior, as SPiRL does,
        with all that it has lived through in its replay buffer. None: never (the paper). Where no reward is above 0
        (each step costs something) it never does
    :param context_size: context rows shown to the task encoder; None for all of them (the paper)
    :param context_reward_rows: with ``context_size``, at most so many rewarded rows among them
    :param reuse_exploration: start the replay buffer with the exploring episodes. Note: it starts empty in the paper
    :param initial_updates: updates on them before the first fine-tuning episode
    :raises SettingsError: for values that contradict each other
    """

    n_episodes: int = setting(205, at_least=1, at_most=10_000_000)
    n_exploration_episodes: int = setting(20, at_least=0)
    exploration: str = setting("unvisited", one_of=EXPLORATION)
    explore_until_reward: bool = True
    meta_policy_patience: int | None = setting(8, at_least=1)
    context_size: int | None = setting(256, at_least=1)
    context_reward_rows: int = setting(32, at_least=0)
    reuse_exploration: bool = True
    initial_updates: int = setting(200, at_least=0, at_most=10_000_000)

    def check(self) -> None:
        super().check()
        if self.n_exploration_episodes > self.n_episodes:
            raise SettingsError(
                f"{self.n_exploration_episodes} exploring episodes of {self.n_episodes}: "
                "expected a number from 0 to all of them."
            )
        if isinstance(self.train_freq, tuple):
            raise SettingsError(f"train_freq is {self.train_freq}: adaptation expects a number of skills.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """
        Settings by name; ``updates_per_skill`` (an earlier name, such as 0.5) becomes ``train_freq`` and
        ``gradient_steps`` (2 and 1).

        :raises SettingsError: for a name that there is not, with those that there are
        """
        values = dict(values)
        share = values.pop("updates_per_skill", None)
        if share is not None:
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 <= share <= 1e4:
                raise SettingsError(f"updates_per_skill is {share!r}: expected a number from 0 to 10000.")
            exact = Fraction(share).limit_denominator(1000)
            values |= {"train_freq": exact.denominator, "gradient_steps": exact.numerator}
        return super().of(values)


@dataclass(frozen=True, kw_only=True)
class TaskTrainingSettings(LearnerSettings):
    """
    What whoever learns on a set of training tasks has.

    :param gradient_steps: updates per meta-iteration; -1 for the published 256 * skills lived / (tasks * batch_size)
    :param hindsight: store an episode also for each other training task that would have rewarded it, cut where that
        task ends; None does so where the tasks have ``rewards``. Note: not in the paper; it uses the training tasks'
        reward functions only (Packer et al., 2021; Wan et al., 2022)
    """

    gradient_steps: int = setting(300, at_least=-1, at_most=10_000_000)
    hindsight: bool | None = None


@dataclass(frozen=True, kw_only=True)
class MultiTaskSettings(TaskTrainingSettings, PolicySettings):
    """
    Everything that ``SkillPriorMTRL`` learns with.

    :param gradient_steps: updates per iteration, each of all tasks' policies and of the shared one; -1 for 256 * skills
        lived / (tasks * batch_size)
    :param skill_kl_target: budget of KL(policy of a task || shared policy), nats
    :param skill_kl_multiplier: its multiplier at the start, of each task
    """

    gradient_steps: int = setting(100, at_least=-1, at_most=10_000_000)
    skill_kl_target: float = setting(5.0, at_least=0.0)
    skill_kl_multiplier: float = setting(INITIAL_MULTIPLIER, above=0.0)


@dataclass(frozen=True, kw_only=True)
class PolicyGradientSettings(Settings):
    """
    Steps of policy gradient on one task.

    :param learning_rate: step on the gradient of the return, whose advantages are standardised
    :param episodes_per_step: episodes of a task for each step
    :param gamma: discount per skill
    :param gae_lambda: 1 for returns less the baseline, 0 for one-step errors
    """

    learning_rate: float = setting(0.1, above=0.0)
    episodes_per_step: int = setting(2, at_least=1, at_most=100_000)
    gamma: float = setting(0.99, at_least=0.0, at_most=1.0)
    gae_lambda: float = setting(1.0, at_least=0.0, at_most=1.0)


@dataclass(frozen=True, kw_only=True)
class MamlSettings(PolicyGradientSettings, PolicySettings):
    """
    Everything that ``SkillPriorMAML`` learns with.

    :param first_order: take a task's inner gradient for a constant in the outer step. Note: not in the paper; the
        second order costs about twice as much
    :param max_kl: trust region of the outer step: KL of the tasks' adapted policies to what they were, nats
    :param batch_size: skills of each task on which that KL and its curvature are measured
    :param cg_steps: of the conjugate gradient
    :param cg_damping: added to the diagonal of the KL's curvature
    :param line_search_steps: steps that are tried, each shorter
    """

    first_order: bool = True
    max_kl: float = setting(0.01, above=0.0)
    batch_size: int = setting(1_000, at_least=1, at_most=1_000_000)
    cg_steps: int = setting(10, at_least=1, at_most=1_000)
    cg_damping: float = setting(0.1, at_least=0.0)
    line_search_steps: int = setting(10, at_least=1, at_most=1_000)


@dataclass(frozen=True, kw_only=True)
class MamlAdaptationSettings(PolicyGradientSettings):
    """
    How an agent of ``SkillPriorMAML`` adapts to a task.

    :param n_episodes: episodes in all
    """

    n_episodes: int = setting(205, at_least=1, at_most=10_000_000)


@dataclass(frozen=True, kw_only=True)
class MetaTrainingSettings(TaskTrainingSettings, MetaPolicySettings, ExplorationSettings):
    """
    Everything that ``SkillPriorPEARL`` learns with (Section 4.2). Pairs are (prior-sized, posterior-sized).

    :param imagined_task_share: share of the posterior-sized group's tasks that are imagined, once something was
        rewarded: each rewards one visited state as training tasks reward theirs, and nothing else; its context shows
        that reward among rows without one. Hindsight as of Andrychowicz et al. (2017), with a task to infer in place of
        a goal to read. Note: not in the paper
    :param context_buffer_size: skills kept per task for contexts; exploration episodes only
    :param exploration: source of an exploring episode's latent: "prior" is N(0, I) (the paper), "aggregate" a Gaussian
        fitted to the training tasks' latents. Note: most of N(0, I) is like no task, and explores little
    :param context_sizes: rows of a context
    :param context_reward_rows: 0 draws contexts uniformly (the paper); otherwise a posterior-sized context is a stretch
        of random length with at most so many rewarded rows, so that rare successes are seen
    :param tasks_per_update: tasks of each group
    :param skill_kl_targets: budgets of KL(policy || skill prior), nats
    :param skill_kl_multipliers: their multipliers at the start
    :param latent_kl_targets: budgets of KL(q(e | c) || N(0, I)), nats
    :param latent_kl_multipliers: their multipliers at the start; the posterior-sized group has one per task
    """

    imagined_task_share: float = setting(0.0, at_least=0.0, at_most=0.9)
    context_buffer_size: int = setting(20_000, at_least=1, at_most=100_000_000)
    exploration: str = setting("aggregate", one_of=EXPLORATION[:2])
    context_sizes: tuple[int, int] = setting((4, 256), at_least=1, at_most=1_000_000)
    context_reward_rows: int = setting(32, at_least=0)
    tasks_per_update: tuple[int, int] = setting((2, 14), at_least=1, at_most=100_000)
    skill_kl_targets: tuple[float, float] = setting((0.5, 5.0), at_least=0.0)
    skill_kl_multipliers: tuple[float, float] = setting((0.03, 0.03), above=0.0)
    latent_kl_targets: tuple[float, float] = setting((1.0, 10.0), at_least=0.0)
    latent_kl_multipliers: tuple[float, float] = setting((1e-5, 3e-6), above=0.0)
