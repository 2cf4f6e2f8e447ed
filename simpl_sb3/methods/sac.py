"""SAC: Stable-Baselines3's own over the environment's own actions, each task from nothing (Haarnoja et al., 2018)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simpl_sb3.errors import SettingsError
from simpl_sb3.methods.record import Adapter, MakeEnv, Method, OnEpisode
from simpl_sb3.settings import Settings, setting

__all__ = ["SAC", "SacLearnerSettings", "SacSettings"]


@dataclass(frozen=True, kw_only=True)
class SacLearnerSettings(Settings):
    """
    Of Stable-Baselines3's SAC, by its own names and defaults.

    :param learning_rate: of actor, critics and entropy coefficient
    :param buffer_size: transitions kept
    :param batch_size: transitions per update
    :param tau: step of the target critics towards the critics, share per update
    :param gamma: discount per action: per env step of primitive actions, per skill of skills
    :param ent_coef: coefficient of the entropy; where it is learned, at the start
    :param learn_ent_coef: learn it (SB3's "auto")
    :param net_arch: hidden sizes of actor and critics, features per layer
    """

    learning_rate: float = setting(3e-4, above=0.0, at_most=1.0)
    buffer_size: int = setting(1_000_000, at_least=1, at_most=100_000_000)
    batch_size: int = setting(256, at_least=1, at_most=1_000_000)
    tau: float = setting(0.005, above=0.0, at_most=1.0)
    gamma: float = setting(0.99, at_least=0.0, at_most=1.0)
    ent_coef: float = setting(1.0, above=0.0, at_most=1e6)
    learn_ent_coef: bool = True
    net_arch: tuple[int, ...] = setting((256, 256), at_least=1, at_most=16_384)

    def arguments(self) -> dict[str, Any]:
        """Of the constructor of Stable-Baselines3's SAC."""
        own = {name: getattr(self, name) for name in ("learning_rate", "buffer_size", "batch_size", "tau", "gamma")}
        return own | {
            "ent_coef": f"auto_{self.ent_coef}" if self.learn_ent_coef else self.ent_coef,
            "policy_kwargs": {"net_arch": list(self.net_arch)},
        }


@dataclass(frozen=True, kw_only=True)
class SacSettings(SacLearnerSettings):
    """
    How an agent learns its task, with Stable-Baselines3's defaults.

    :param n_episodes: episodes in all
    :param learning_starts: env steps with random actions, before the first update
    :param train_freq: env steps between two rounds of updates
    :param gradient_steps: updates per round; -1 for as many as env steps in it
    """

    n_episodes: int = setting(205, at_least=1, at_most=10_000_000)
    learning_starts: int = setting(100, at_least=0, at_most=100_000_000)
    train_freq: int = setting(1, at_least=1, at_most=1_000_000)
    gradient_steps: int = setting(1, at_least=-1, at_most=1_000_000)


class SacAdapter:
    """Primitive actions with which every agent starts anew."""

    training_tasks: tuple[str, ...] | None = None

    def __init__(self, settings: Mapping[str, Any], make_env: MakeEnv, device: str) -> None:
        from simpl_sb3.skills.primitive import PrimitiveActions

        self.skills: Any = PrimitiveActions(make_env.observation_space, make_env.action_space)
        self.chosen, self.device = SacSettings.of(settings), device
        self.settings: Settings = self.chosen

    def run(
        self, env: Any, tasks: Sequence[Any], seed: int, on_episode: OnEpisode, checkpoints: Any = None
    ) -> Sequence[Any]:
        from stable_baselines3 import SAC as StockSAC

        from simpl_sb3.algorithms.stock_agents import learn_tasks
        from simpl_sb3.experience.task_vec_env import TaskVecEnv

        chosen = self.chosen
        more = {name: getattr(chosen, name) for name in ("learning_starts", "train_freq", "gradient_steps")}

        def learner(own: Any, agent_seed: int) -> Any:
            model = StockSAC("MlpPolicy", own, seed=agent_seed, device=self.device, **chosen.arguments(), **more)
            model.skills = self.skills  # type: ignore[attr-defined]  # what its actions are
            return model

        def make(one: Any, task: Any, note: Any) -> TaskVecEnv:
            return TaskVecEnv(one, [task], drawn=False, on_episode=note)

        return learn_tasks(env, tasks, seed, on_episode, chosen.n_episodes, make, learner, checkpoints)


def adapt(source: None, settings: Mapping[str, Any], make_env: MakeEnv, device: str) -> Adapter:
    """Nothing but the environment's spaces."""
    if source is not None:
        raise SettingsError(f"SAC starts from nothing: expected no --from, not {source}.")
    return SacAdapter(settings, make_env, device)


SAC = Method(
    name="sac",
    label="SAC",
    colour="#6B6B6B",
    adapt=adapt,
    needs="nothing",
    settings=SacSettings,
)
