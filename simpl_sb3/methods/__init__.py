"""
Methods: how agents come to master tasks. Each is one file of this folder and one line of ``METHODS``.

Importing this loads neither torch nor an algorithm: a method's file imports what it needs inside its functions.
Your own method is such a file too; name it by its path or by ``module:NAME``.
"""

from simpl_sb3.methods.bc_maml import BC_MAML
from simpl_sb3.methods.bc_pearl import BC_PEARL
from simpl_sb3.methods.mtrl import MTRL
from simpl_sb3.methods.pearl import PEARL
from simpl_sb3.methods.pearl_ft import PEARL_FT
from simpl_sb3.methods.record import ARTEFACTS, Adapter, Method, TrainedModel
from simpl_sb3.methods.rl2 import RL2
from simpl_sb3.methods.sac import SAC
from simpl_sb3.methods.sac_her import SAC_HER
from simpl_sb3.methods.simpl import SIMPL
from simpl_sb3.methods.spirl import SPIRL
from simpl_sb3.references import find_record

__all__ = ["ARTEFACTS", "METHODS", "Adapter", "Method", "TrainedModel", "find_method", "trained_as"]

METHODS: dict[str, Method] = {
    SIMPL.name: SIMPL,
    SPIRL.name: SPIRL,
    PEARL.name: PEARL,
    PEARL_FT.name: PEARL_FT,
    BC_PEARL.name: BC_PEARL,
    MTRL.name: MTRL,
    BC_MAML.name: BC_MAML,
    SAC.name: SAC,
    SAC_HER.name: SAC_HER,
    RL2.name: RL2,
}
"""All methods by name, in the order in which figures and tables list them."""


def find_method(text: str) -> Method:
    """
    :param text: one of ``METHODS``, or a Python file or ``module:NAME`` with a :class:`Method` of your own
    :raises SettingsError: where there is none, with the names that there are
    """
    return find_record(text, Method, METHODS, "method")


def trained_as(text: str) -> str:
    """
    :param text: a method, as :func:`find_method` takes it
    :return: the first of ``METHODS`` whose meta-training is the same, so that one model serves all of them; or else
        ``text``
    """
    training = find_method(text).training
    return next((name for name, other in METHODS.items() if other.train and other.training == training), text)
