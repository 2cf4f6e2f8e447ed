"""
RL² over skills: a recurrent policy that is shown its latest skill, reward and end, and finds its task out by memory.

sb3-contrib's RecurrentPPO learns trials of several episodes of one training task (Duan et al., 2016; Wang et al.,
2016); on a test task one trial is lived, and no gradient is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpl_sb3.methods.record import Adapter, MakeEnv, Method, OnEpisode, TrainedModel
from simpl_sb3.methods.sac_her import trained_settings
from simpl_sb3.settings import Settings, setting

__all__ = ["RL2", "Rl2AdaptationSettings", "Rl2TrainingSettings"]


@dataclass(frozen=True, kw_only=True)
class Rl2TrainingSettings(Settings):
    """
    Of sb3-contrib's RecurrentPPO over skills, and of the trials.

    :param episodes_per_trial: episodes of one task over which the memory is kept
    :param learning_rate: of all networks
    :param n_steps: skills per environment between two rounds of updates
    :param batch_size: skills per update; sequences are cut at its ends
    :param n_epochs: passes over what was lived, per round
    :param gamma: discount per skill, also from one episode of a trial to the next
    :param gae_lambda: decay of the advantage estimate, share per skill
    :param clip_range: of the policy's ratio
    :param ent_coef: coefficient of the entropy
    :param vf_coef: coefficient of the value loss
    :param max_grad_norm: at which gradients are clipped
    :param lstm_hidden_size: memory of actor and critic each, numbers
    :param net_arch: hidden sizes after the memory, features per layer
    :param log_std_init: logarithm of the policy's standard deviation at the start; 0 is that of skills themselves
    """

    episodes_per_trial: int = setting(4, at_least=1, at_most=10_000)
    learning_rate: float = setting(3e-4, above=0.0, at_most=1.0)
    n_steps: int = setting(200, at_least=2, at_most=1_000_000)
    batch_size: int = setting(2_000, at_least=2, at_most=10_000_000)
    n_epochs: int = setting(4, at_least=1, at_most=10_000)
    gamma: float = setting(0.99, at_least=0.0, at_most=1.0)
    gae_lambda: float = setting(0.95, at_least=0.0, at_most=1.0)
    clip_range: float = setting(0.2, above=0.0, at_most=10.0)
    ent_coef: float = setting(0.0, at_least=0.0)
    vf_coef: float = setting(0.5, at_least=0.0)
    max_grad_norm: float = setting(0.5, above=0.0)
    lstm_hidden_size: int = setting(128, at_least=1, at_most=16_384)
    net_arch: tuple[int, ...] = setting((64,), at_least=1, at_most=16_384)
    log_std_init: float = setting(0.0, at_least=-20.0, at_most=2.0)

    def arguments(self) -> dict[str, Any]:
        """Of the constructor of RecurrentPPO."""
        of_policy = ("lstm_hidden_size", "net_arch", "log_std_init")
        own = {name: value for name, value in self.as_dict().items() if name not in (*of_policy, "episodes_per_trial")}
        return {**own, "policy_kwargs": self.policy_arguments()}

    def policy_arguments(self) -> dict[str, Any]:
        """Of its policy."""
        sizes = {"lstm_hidden_size": self.lstm_hidden_size, "log_std_init": self.log_std_init}
        return {**sizes, "net_arch": list(self.net_arch)}


@dataclass(frozen=True, kw_only=True)
class Rl2AdaptationSettings(Settings):
    """
    The trial on a test task. Nothing is learned but what the memory keeps.

    :param n_episodes: episodes of the trial; more than in meta-training's trials are foreign to the memory
    """

    n_episodes: int = setting(205, at_least=1, at_most=10_000_000)


def train(
    source: Path, settings: Mapping[str, Any], make_env: MakeEnv, *, n_envs: int, device: str, **how: Any
) -> TrainedModel:
    """A ``TrialPPO`` over the skills of a file."""
    from simpl_sb3.algorithms.stock import TrialPPO
    from simpl_sb3.algorithms.tasks import find_tasks
    from simpl_sb3.experience.trial_vec_env import TrialVecEnv
    from simpl_sb3.skills.model import SkillModel

    chosen = Rl2TrainingSettings.of(settings)
    skills = SkillModel.load(source, device=device)
    env = make_env(skills, n_envs)
    tasks = find_tasks(env)
    trials = TrialVecEnv(env, tasks, episodes_per_trial=chosen.episodes_per_trial)
    model = TrialPPO("MlpLstmPolicy", trials, device=device, **chosen.arguments(), **how)
    return model.describe(skills, chosen.as_dict(), tuple(task.name for task in tasks))


class TrialAdapter:
    """A meta-trained policy with memory."""

    def __init__(self, source: Path, settings: Mapping[str, Any], device: str) -> None:
        from sb3_contrib.ppo_recurrent.policies import MlpLstmPolicy

        from simpl_sb3.algorithms.stock import TrialPPO, read_stock, restored_policy
        from simpl_sb3.experience.trial_vec_env import trial_space
        from simpl_sb3.skills.fit import skill_action_space

        self.chosen = Rl2AdaptationSettings.of(settings)
        self.settings: Settings = self.chosen
        file = read_stock(source, TrialPPO, device)
        self.skills: Any = file.skills
        self.training_tasks: tuple[str, ...] | None = file.task_names
        spaces = trial_space(self.skills), skill_action_space(self.skills)
        training = trained_settings(file, Rl2TrainingSettings)
        self.policy = restored_policy(file, MlpLstmPolicy, *spaces, **training.policy_arguments())

    def run(self, env: Any, tasks: Sequence[Any], seed: int, on_episode: OnEpisode) -> Sequence[Any]:
        from simpl_sb3.algorithms.stock_agents import live_trials

        return live_trials(env, tasks, self.policy, self.skills, self.chosen.n_episodes, seed, on_episode)


def adapt(source: Path, settings: Mapping[str, Any], make_env: MakeEnv, device: str) -> Adapter:
    """The policy of a file."""
    return TrialAdapter(source, settings, device)


RL2 = Method(
    name="rl2",
    label="RL²",
    colour="#CC79A7",
    adapt=adapt,
    needs="meta-model",
    settings=Rl2AdaptationSettings,
    train=train,
    train_section="rl2_train",
    train_settings=Rl2TrainingSettings,
)
