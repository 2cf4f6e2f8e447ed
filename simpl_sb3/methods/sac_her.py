"""
SAC + HER: a goal-conditioned policy over skills that is shown the goal, which every other method has to find.

Stable-Baselines3's SAC with hindsight (Andrychowicz et al., 2017) learns the training tasks' goals; on a test task the
goal is shown again. It is no competitor of methods that find their task out: it says what the skills allow to whoever
knows the goal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpl_sb3.errors import ModelFileError, SettingsError
from simpl_sb3.methods.record import Adapter, MakeEnv, Method, OnEpisode, TrainedModel
from simpl_sb3.methods.sac import SacLearnerSettings
from simpl_sb3.settings import Settings, setting

__all__ = ["SAC_HER", "SacHerAdaptationSettings", "SacHerTrainingSettings"]

STRATEGIES = ("future", "final", "episode")


@dataclass(frozen=True, kw_only=True)
class SacHerTrainingSettings(SacLearnerSettings):
    """
    Of Stable-Baselines3's SAC and HerReplayBuffer, over skills.

    :param buffer_size: skills kept, of all environments together
    :param ent_coef: as there. Note: SB3 has 1; then to go on, and be paid for entropy, is worth more than the goal
    :param learning_starts: random skills of all environments together; the first update waits for an episode, too
    :param train_freq: skills per environment between two rounds of updates
    :param gradient_steps: updates per round; -1 for as many as skills in it. Note: SB3 has 1, for one environment
    :param n_sampled_goal: goals in hindsight per real one
    :param goal_selection_strategy: where in the episode goals in hindsight come from
    """

    ent_coef: float = setting(0.001, above=0.0, at_most=1e6)
    learning_starts: int = setting(1_000, at_least=0, at_most=100_000_000)
    train_freq: int = setting(1, at_least=1, at_most=1_000_000)
    gradient_steps: int = setting(20, at_least=-1, at_most=1_000_000)
    n_sampled_goal: int = setting(4, at_least=1, at_most=1_000)
    goal_selection_strategy: str = setting("future", one_of=STRATEGIES)

    def hindsight(self) -> dict[str, Any]:
        """Of the replay buffer."""
        return {
            "n_sampled_goal": self.n_sampled_goal,
            "goal_selection_strategy": self.goal_selection_strategy,
        }


@dataclass(frozen=True, kw_only=True)
class SacHerAdaptationSettings(Settings):
    """
    How an agent acts on a task whose goal it is shown. What is not here is the meta-training's.

    :param n_episodes: episodes in all
    :param gradient_steps: updates after each episode, from the agent's own episodes; 0 learns nothing more
    :param batch_size: transitions per update
    :param learning_rate: of actor, critics and entropy coefficient
    """

    n_episodes: int = setting(205, at_least=1, at_most=10_000_000)
    gradient_steps: int = setting(40, at_least=0, at_most=1_000_000)
    batch_size: int = setting(256, at_least=1, at_most=1_000_000)
    learning_rate: float = setting(3e-4, above=0.0, at_most=1.0)


def goal_sac(env: Any, chosen: SacHerTrainingSettings, **how: Any) -> Any:
    """A ``GoalSAC`` for a ``GoalVecEnv``; ``how`` replaces arguments of SAC's constructor."""
    from simpl_sb3.algorithms.stock import GoalSAC
    from simpl_sb3.experience.goal_vec_env import SkillHerReplayBuffer

    arguments = {
        **chosen.arguments(),
        **{name: getattr(chosen, name) for name in ("learning_starts", "train_freq", "gradient_steps")},
        "replay_buffer_class": SkillHerReplayBuffer,
        "replay_buffer_kwargs": chosen.hindsight(),
    }
    return GoalSAC("MultiInputPolicy", env, **{**arguments, **how})


def train(
    source: Path, settings: Mapping[str, Any], make_env: MakeEnv, *, n_envs: int, device: str, **how: Any
) -> TrainedModel:
    """A ``GoalSAC`` over the skills of a file."""
    from simpl_sb3.algorithms.tasks import find_tasks
    from simpl_sb3.experience.goal_vec_env import GoalVecEnv
    from simpl_sb3.skills.model import SkillModel

    chosen = SacHerTrainingSettings.of(settings)
    skills = SkillModel.load(source, device=device)
    env = make_env(skills, n_envs)
    tasks = find_tasks(env)
    model: Any = goal_sac(GoalVecEnv(env, tasks, make_env.goals), chosen, device=device, **how)
    return model.describe(skills, chosen.as_dict(), tuple(task.name for task in tasks))


class GoalAdapter:
    """A meta-trained model, and the goals of the domain."""

    def __init__(self, source: Path, settings: Mapping[str, Any], make_env: MakeEnv, device: str) -> None:
        from stable_baselines3.sac.policies import MultiInputPolicy

        from simpl_sb3.algorithms.stock import GoalSAC, read_stock, restored_policy
        from simpl_sb3.experience.goal_vec_env import GoalScale, goal_space
        from simpl_sb3.skills.fit import skill_action_space

        self.chosen = SacHerAdaptationSettings.of(settings)
        self.settings: Settings = self.chosen
        self.file, self.device = read_stock(source, GoalSAC, device), device
        self.skills: Any = self.file.skills
        self.goals = make_env.goals
        self.training_tasks: tuple[str, ...] | None = self.file.task_names
        self.training = trained_settings(self.file, SacHerTrainingSettings)
        spaces = goal_space(self.skills, GoalScale(self.goals, self.skills)), skill_action_space(self.skills)
        restored_policy(self.file, MultiInputPolicy, *spaces, net_arch=list(self.training.net_arch))

    def run(
        self, env: Any, tasks: Sequence[Any], seed: int, on_episode: OnEpisode, checkpoints: Any = None
    ) -> Sequence[Any]:
        from simpl_sb3.algorithms.stock_agents import GoalAgent, learn_tasks
        from simpl_sb3.experience.goal_vec_env import GoalScale, GoalVecEnv

        chosen = self.chosen
        how = {"batch_size": chosen.batch_size, "learning_rate": chosen.learning_rate, "device": self.device}
        how |= {"learning_starts": 0, "train_freq": (1, "episode"), "gradient_steps": chosen.gradient_steps}

        def learner(own: Any, agent_seed: int) -> Any:
            model = goal_sac(own, self.training, seed=agent_seed, **how)
            model.describe(self.skills, self.training.as_dict(), self.file.task_names)
            model.take_weights(self.file.tensors)
            return model

        def make(one: Any, task: Any, note: Any) -> GoalVecEnv:
            return GoalVecEnv(one, [task], self.goals, drawn=False, on_episode=note)

        models = learn_tasks(env, tasks, seed, on_episode, chosen.n_episodes, make, learner, checkpoints)
        scale = GoalScale(self.goals, self.skills)
        return [GoalAgent(model, self.skills, scale, task) for model, task in zip(models, tasks, strict=True)]


def trained_settings(file: Any, kind: Any) -> Any:
    """
    The settings in a model file.

    :param file: a ``StockFile``
    :param kind: class of the settings
    :raises ModelFileError: for settings that there are not
    """
    try:
        return kind.of(file.settings)
    except SettingsError as error:
        raise ModelFileError(f"{file.path}: {error}") from None


def adapt(source: Path, settings: Mapping[str, Any], make_env: MakeEnv, device: str) -> Adapter:
    """The model of a file."""
    return GoalAdapter(source, settings, make_env, device)


SAC_HER = Method(
    name="sac-her",
    label="SAC + HER (goal shown)",
    colour="#56B4E9",
    adapt=adapt,
    needs="meta-model",
    preset_section="sac_her",
    settings=SacHerAdaptationSettings,
    train=train,
    train_section="sac_her_train",
    train_settings=SacHerTrainingSettings,
    shows_goal=True,
)
