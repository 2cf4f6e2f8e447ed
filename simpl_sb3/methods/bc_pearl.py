"""
BC+PEARL: PEARL over primitive actions, held to a policy that was cloned from the demonstrations (Nam et al., 2022).

The cloned policy stands where PEARL has N(0, 1): the KL to it is budgeted, and random exploration follows it.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from simpl_sb3.methods.pearl import PEARL, PearlTrainingSettings, primitive_policy
from simpl_sb3.methods.record import MakeEnv, TrainedModel
from simpl_sb3.settings import Settings, setting

__all__ = ["BC_PEARL", "BcPearlTrainingSettings", "CloningSettings", "clone"]


@dataclass(frozen=True, kw_only=True)
class CloningSettings(Settings):
    """
    How primitive actions are cloned before meta-training begins.

    :param cloning_updates: updates of the cloned policy
    :param cloning_hidden: its hidden sizes
    :param cloning_noise: standard deviation of the noise on demonstrated actions, which are scaled to [-1, 1], and so
        the least that the cloned policy has
    :param cloning_batch_size: demonstrated actions per update
    :param cloning_learning_rate: of the first update; it falls to 0 on a cosine
    """

    cloning_updates: int = setting(5_000, at_least=1, at_most=10_000_000)
    cloning_hidden: tuple[int, ...] = setting((128, 128, 128), at_least=1, at_most=16_384)
    cloning_noise: float = setting(0.2, above=0.0)
    cloning_batch_size: int = setting(512, at_least=1, at_most=1_000_000)
    cloning_learning_rate: float = setting(1e-3, above=0.0)


@dataclass(frozen=True, kw_only=True)
class BcPearlTrainingSettings(PearlTrainingSettings, CloningSettings):
    """
    Those of ``PearlTrainingSettings`` and of ``CloningSettings``.

    :param skill_kl_targets: budgets of KL(policy || cloned policy), nats; None takes (0.5, 2 per action dimension)
    """


def clone(source: Path | str, settings: Mapping[str, Any], *, seed: int, device: str, verbose: int = 0) -> Any:
    """
    Primitive actions with a prior that is cloned from demonstrations.

    :param source: Minari id of a dataset on this machine, or the folder of one
    :param settings: of ``CloningSettings``, by name
    :return: ``ClonedActions``, frozen
    :raises DatasetError: where there is no such dataset
    """
    from simpl_sb3.demonstrations.minari import load_minari, open_minari
    from simpl_sb3.skills.extractor import SkillExtractor
    from simpl_sb3.skills.settings import ClonedActionsSettings

    chosen = CloningSettings.of(settings)
    is_folder = Path(source, "data").is_dir()
    dataset = load_minari(open_minari(str(source), "." if is_folder else None), ClonedActionsSettings.horizon)
    sizes = ClonedActionsSettings(prior_hidden=chosen.cloning_hidden, action_noise=chosen.cloning_noise)
    extractor = SkillExtractor(
        dataset,
        sizes,
        seed=seed,
        device=device,
        verbose=verbose,
        batch_size=chosen.cloning_batch_size,
        learning_rate=chosen.cloning_learning_rate,
    )
    sys.stderr.write(f"Cloning the actions of {dataset.id}: {chosen.cloning_updates} updates.\n")
    return extractor.learn(chosen.cloning_updates)


def split_cloning(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the cloning, and all others, by name."""
    names = {declared.name for declared in fields(CloningSettings)}
    own = {name: value for name, value in settings.items() if name in names}
    return own, {name: value for name, value in settings.items() if name not in names}


def train(
    source: Path | str,
    settings: Mapping[str, Any],
    make_env: MakeEnv,
    *,
    seed: int,
    device: str,
    verbose: int,
    **how: Any,
) -> TrainedModel:
    """A ``SkillPriorPEARL`` over cloned actions."""
    cloning, others = split_cloning(settings)
    actions = clone(source, cloning, seed=seed, device=device, verbose=verbose)
    return primitive_policy(actions, others, make_env, seed=seed, device=device, verbose=verbose, **how)


BC_PEARL = replace(
    PEARL,
    name="bc-pearl",
    label="BC+PEARL",
    colour="#E69F00",
    preset_section="bc_pearl",
    train=train,
    train_needs="demonstrations",
    train_section="bc_pearl_train",
    train_settings=BcPearlTrainingSettings,
)
