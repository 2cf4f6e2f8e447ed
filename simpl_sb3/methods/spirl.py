"""SPiRL: the same skills and their prior, and no meta-training (Pertsch et al., 2020)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simpl_sb3.methods.record import Adapter, MakeEnv, Method, OnEpisode
from simpl_sb3.settings import Settings

__all__ = ["SPIRL"]


class SkillAdapter:
    """Skills from whose prior every agent starts anew."""

    training_tasks: tuple[str, ...] | None = None
    settings: Settings

    def __init__(self, skills: Any, settings: Mapping[str, Any]) -> None:
        from simpl_sb3.algorithms.settings import AdaptationSettings

        self.skills, self.settings = skills, AdaptationSettings.of(settings)

    def run(
        self, env: Any, tasks: Sequence[Any], seed: int, on_episode: OnEpisode, checkpoints: Any = None
    ) -> Sequence[Any]:
        from simpl_sb3.algorithms.adaptation import adapt_tasks

        settings: Any = self.settings
        return adapt_tasks(env, tasks, self.skills, None, settings, seed, on_episode, checkpoints=checkpoints)


def adapt(source: Path, settings: Mapping[str, Any], make_env: MakeEnv, device: str) -> Adapter:
    """The skills of a file."""
    from simpl_sb3.skills.model import SkillModel

    return SkillAdapter(SkillModel.load(source, device=device), settings)


SPIRL = Method(
    name="spirl",
    label="SPiRL",
    colour="#D55E00",
    adapt=adapt,
    unused=(
        "n_exploration_episodes",
        "exploration",
        "exploration_spread",
        "exploration_latent_skills",
        "exploration_skill_prior",
        "explore_until_reward",
        "meta_policy_patience",
        "context_size",
        "context_reward_rows",
        "reuse_exploration",
        "initial_updates",
    ),
)
"""The record."""
