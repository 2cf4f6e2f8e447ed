"""Every error of the library: each names what was given and what was expected, and is a child of ``SimplError``."""

from simpl_envs.errors import DemonstrationError, DrawingError, SimplError, TaskError

__all__ = [
    "DatasetError",
    "DemonstrationError",
    "DivergenceError",
    "DrawingError",
    "EnvironmentSpecError",
    "HubError",
    "ModelFileError",
    "ResultsError",
    "SettingsError",
    "SimplError",
    "SkillMismatchError",
    "TaskError",
]


class DatasetError(SimplError, ValueError):
    """A dataset that skills cannot be extracted from: only short trajectories, NaN, wrong lengths, unusable spaces."""


class DivergenceError(SimplError, ArithmeticError):
    """Learning diverged: the policy's numbers are NaN or infinite."""


AFTER_DIVERGENCE = "Go on from an earlier checkpoint, with a smaller learning_rate or smaller rewards."
"""What to do then."""


class EnvironmentSpecError(SimplError, ValueError):
    """An environment that does not fit: no tasks, a discrete or unbounded action space, another observation shape."""


class HubError(SimplError, OSError):
    """The model hub: no such repository, no token, no network, or an answer that is an error."""


class SkillMismatchError(SimplError, ValueError):
    """Skills and their user differ in horizon, skill dimension, observation or action space."""


class ModelFileError(SimplError, ValueError):
    """A model file that is missing, corrupt, of another kind, or of a newer schema."""


class ResultsError(SimplError, ValueError):
    """Results that cannot be read, do not fit together, or do not hold the episodes asked for."""


class SettingsError(SimplError, ValueError):
    """Settings that contradict each other or the library: an unknown preset, a wrapper that SiMPL cannot work under."""
