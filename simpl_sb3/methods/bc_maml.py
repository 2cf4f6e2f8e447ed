"""
BC+MAML: a policy over primitive actions that is cloned from the demonstrations, then meta-trained by MAML.

The paper's baseline (Nam et al., 2022): a policy-gradient step inside, TRPO outside (Finn et al., 2017). A new task is
adapted to by policy-gradient steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpl_sb3.algorithms.settings import MamlSettings
from simpl_sb3.methods.bc_pearl import CloningSettings, clone, split_cloning
from simpl_sb3.methods.record import Adapter, MakeEnv, Method, OnEpisode, TrainedModel
from simpl_sb3.methods.simpl import MetaPolicyAdapter

__all__ = ["BC_MAML", "BcMamlTrainingSettings"]

DRAWN = 3.0
"""Half width of the space in which actions are drawn, in units of [-1, 1]; what lies beyond 1 is clipped when it acts,
so that likelihoods are those of what was drawn."""


@dataclass(frozen=True, kw_only=True)
class BcMamlTrainingSettings(MamlSettings, CloningSettings):
    """Those of ``MamlSettings`` and of ``CloningSettings``."""


def train(
    source: Path | str,
    settings: Mapping[str, Any],
    make_env: MakeEnv,
    *,
    n_envs: int,
    seed: int,
    device: str,
    verbose: int,
) -> TrainedModel:
    """A ``SkillPriorMAML`` over cloned actions."""
    from simpl_sb3.algorithms.skill_prior_maml import SkillPriorMAML

    cloning, others = split_cloning(settings)
    actions = clone(source, cloning, seed=seed, device=device, verbose=verbose)
    actions.action_bound = DRAWN
    return SkillPriorMAML("MlpPolicy", make_env(actions, n_envs), seed=seed, device=device, verbose=verbose, **others)


class StepsAdapter(MetaPolicyAdapter):
    """A model that is ready for steps of policy gradient. After a kill it starts again."""

    def run(self, env: Any, tasks: Sequence[Any], seed: int, on_episode: OnEpisode) -> Sequence[Any]:  # type: ignore[override]
        agents: Sequence[Any] = self.model.adapt_tasks(
            env, tasks, seed=seed, on_episode=on_episode, **self.settings.as_dict()
        )
        return agents


def adapt(source: Path, settings: Mapping[str, Any], make_env: MakeEnv, device: str) -> Adapter:
    """The model of a file."""
    from simpl_sb3.algorithms.skill_prior_maml import SkillPriorMAML

    model = SkillPriorMAML.load(source, device=device)
    model.skills.action_bound = DRAWN
    return StepsAdapter(model, settings)


BC_MAML = Method(
    name="bc-maml",
    label="BC+MAML",
    colour="#882255",
    adapt=adapt,
    needs="meta-model",
    preset_section="bc_maml",
    settings="simpl_sb3.algorithms.settings:MamlAdaptationSettings",
    follows_model=("learning_rate", "episodes_per_step", "gamma", "gae_lambda"),
    train=train,
    train_needs="demonstrations",
    train_section="bc_maml_train",
    train_settings=BcMamlTrainingSettings,
)
