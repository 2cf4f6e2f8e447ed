"""SiMPL: meta-train over skills, then explore, infer the task, and fine-tune (Nam et al., 2022)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simpl_sb3.methods.record import Adapter, MakeEnv, Method, OnEpisode, TrainedModel
from simpl_sb3.settings import Settings

__all__ = ["SIMPL"]


def train(source: Path, settings: Mapping[str, Any], make_env: MakeEnv, *, device: str, **how: Any) -> TrainedModel:
    """A ``SkillPriorPEARL`` over the skills of a file."""
    from simpl_sb3.skills.model import SkillModel

    return meta_policy(SkillModel.load(source, device=device), settings, make_env, device=device, **how)


def meta_policy(
    skills: Any, settings: Mapping[str, Any], make_env: MakeEnv, *, n_envs: int, **how: Any
) -> TrainedModel:
    """A ``SkillPriorPEARL`` over any skills; parameters are those of ``Method.make_model``."""
    from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL

    return SkillPriorPEARL("MlpPolicy", make_env(skills, n_envs), **how, **settings)


class MetaPolicyAdapter:
    """A meta-trained model that is ready to adapt."""

    def __init__(self, model: Any, settings: Mapping[str, Any]) -> None:
        self.model, self.skills = model, model.skills
        self.training_tasks: tuple[str, ...] | None = tuple(model.task_names)
        self.settings: Settings = model.adaptation_settings(**settings)

    def run(
        self, env: Any, tasks: Sequence[Any], seed: int, on_episode: OnEpisode, checkpoints: Any = None
    ) -> Sequence[Any]:
        agents: Sequence[Any] = self.model.adapt_tasks(
            env, tasks, seed=seed, on_episode=on_episode, checkpoints=checkpoints, **self.settings.as_dict()
        )
        return agents


def adapt(source: Path, settings: Mapping[str, Any], make_env: MakeEnv, device: str) -> Adapter:
    """The model of a file, with the discount that its critics learned."""
    from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL

    return MetaPolicyAdapter(SkillPriorPEARL.load(source, device=device), settings)


SIMPL = Method(
    name="simpl",
    label="SiMPL",
    colour="#0072B2",
    adapt=adapt,
    needs="meta-model",
    preset_section="adapt",
    unused=("net_arch", "activation_fn"),
    follows_model=("gamma", "gamma_per_env_step", "handle_timeout_termination", "matmul_precision"),
    train=train,
)
"""The record."""
