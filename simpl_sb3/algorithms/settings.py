"""Settings of what learns, each named, documented and defaulted once."""

from dataclasses import dataclass

from simpl_sb3.errors import SettingsError

__all__ = ["AdaptationSettings"]

EXPLORATION = ("prior", "aggregate", "posterior")


@dataclass(frozen=True)
class AdaptationSettings:
    """
    How an agent adapts to a task (Section 4.3).

    :param n_episodes: episodes in all, the exploring ones included
    :param n_exploration_episodes: episodes with the meta-policy before the task latent is fixed; 0 without one
    :param exploration: "prior": e from N(0, I) (the paper); "aggregate": from a Gaussian around the training tasks'
        latents; "posterior": "aggregate" until something was paid, and from then on q(e | what was seen so far)
    :param exploration_spread: factor on the standard deviation of "aggregate"
    :param exploration_latent_skills: skills after which an exploring episode draws another e; None: never (the paper)
    :param context_size: context rows shown to the task encoder; None for all of them (the paper)
    :param context_reward_rows: with ``context_size``, at most so many paid rows among them
    :param reuse_exploration: start the replay buffer with the exploring episodes. Note: it starts empty in the paper
    :param initial_updates: updates on them before the first fine-tuning episode
    :param updates_per_skill: updates for each skill executed
    :param net_arch: hidden sizes of actor and critics without a meta-policy
    :param learning_rate: of actor and critics
    :param batch_size: transitions per update
    :param buffer_size: skills kept
    :param tau: step of the target critics
    :param gamma: discount per skill. ``adapt`` takes this and the next two from the model, where they are not given
    :param gamma_per_env_step: take ``gamma`` per env step: a skill of k env steps counts gamma^k
    :param handle_timeout_termination: value what would follow a time limit, as if the episode went on (SB3's name);
        False takes the limit for an end, so that what comes late is worth less
    :param n_steps: skills that a transition spans at most. Note: the paper has 1
    :param skill_kl_target: budget of KL(policy || skill prior) in nats
    :param skill_kl_multiplier: its multiplier at the start; None takes the meta-trained one
    :param multiplier_learning_rate: step of dual descent on the logarithm of the multiplier
    :param multipliers_only_grow: never lower the multiplier (the paper)
    :param kl_clip: bound of the KL in the Bellman target, nats
    :raises SettingsError: for values that contradict each other
    """

    n_episodes: int = 205
    n_exploration_episodes: int = 20
    exploration: str = "posterior"
    exploration_spread: float = 1.5
    exploration_latent_skills: int | None = 50
    context_size: int | None = 256
    context_reward_rows: int = 8
    reuse_exploration: bool = True
    initial_updates: int = 200
    updates_per_skill: float = 0.5
    net_arch: tuple[int, ...] = (128, 128, 128)
    learning_rate: float = 5e-4
    batch_size: int = 128
    buffer_size: int = 20_000
    tau: float = 0.01
    gamma: float = 0.99
    gamma_per_env_step: bool = False
    handle_timeout_termination: bool = True
    n_steps: int = 4
    skill_kl_target: float = 1.0
    skill_kl_multiplier: float | None = None
    multiplier_learning_rate: float = 3e-3
    multipliers_only_grow: bool = False
    kl_clip: float = 5.0

    def __post_init__(self) -> None:
        if self.exploration not in EXPLORATION:
            raise SettingsError(f"exploration is {self.exploration!r}: expected one of {', '.join(EXPLORATION)}.")
        if not 0 <= self.n_exploration_episodes <= self.n_episodes or self.n_episodes < 1:
            raise SettingsError(
                f"{self.n_exploration_episodes} exploring episodes of {self.n_episodes}: "
                "expected a number from 0 to all of them."
            )
        for name in ("batch_size", "buffer_size", "n_steps"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: expected at least 1.")
        if self.skill_kl_multiplier is not None and not self.skill_kl_multiplier > 0:
            raise SettingsError(f"skill_kl_multiplier is {self.skill_kl_multiplier}: expected more than 0.")
