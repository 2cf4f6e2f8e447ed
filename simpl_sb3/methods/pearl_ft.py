"""
PEARL-ft: PEARL's meta-policy, conditioned on what its exploring episodes say of the task, and then fine-tuned.

Meta-training is PEARL's, to the file: a model of either method serves both, and a grid trains it once.
"""

from dataclasses import dataclass, replace

from simpl_sb3.methods.pearl import PEARL, PearlAdaptationSettings
from simpl_sb3.settings import setting

__all__ = ["PEARL_FT", "PearlFtAdaptationSettings"]


@dataclass(frozen=True, kw_only=True)
class PearlFtAdaptationSettings(PearlAdaptationSettings):
    """
    Those of ``PearlAdaptationSettings``, with learning.

    :param gradient_steps: updates per round
    :param n_steps: env steps that a transition spans at most, as in PEARL's meta-training
    :param buffer_size: env steps kept
    """

    gradient_steps: int = setting(1, at_least=-1, at_most=1_000_000)
    n_steps: int = setting(20, at_least=1, at_most=10_000)
    buffer_size: int = setting(200_000, at_least=1, at_most=100_000_000)


PEARL_FT = replace(
    PEARL,
    name="pearl-ft",
    label="PEARL-ft",
    colour="#56B4E9",
    preset_section="pearl_ft",
    settings=PearlFtAdaptationSettings,
)
