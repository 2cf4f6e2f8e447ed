"""
A domain is one record in one file: an environment, its tasks, its demonstrator, its measure, its pictures.

A domain of your own is a Python file that defines ``DOMAIN``::

    from simpl_sb3.domains import Domain

    DOMAIN = Domain(name="reach", env_id="Reach-v0", task_sets={"train": (...), "test": (...)})

Give it to the command line as ``--domain my_pkg.my_domain`` or ``--domain my_domain.py``. Of an environment id alone
(``--domain Reach-v0`` or ``my_pkg:Reach-v0``) a record is made from the environment's ``train_tasks`` and
``test_tasks``. This module needs neither torch nor a simulator.
"""

from simpl_sb3.domains.finding import DEFAULT_DOMAIN, built_in_domains, find_domain, refuse_unconverted
from simpl_sb3.domains.preset import Preset
from simpl_sb3.domains.record import Converter, Demonstrator, Domain, Goals, Traces
from simpl_sb3.results.facts import RETURN, SUCCESS, Measure, PublishedCurve, Walls

__all__ = [
    "DEFAULT_DOMAIN",
    "RETURN",
    "SUCCESS",
    "Converter",
    "Demonstrator",
    "Domain",
    "Goals",
    "Measure",
    "Preset",
    "PublishedCurve",
    "Traces",
    "Walls",
    "built_in_domains",
    "find_domain",
    "refuse_unconverted",
]
