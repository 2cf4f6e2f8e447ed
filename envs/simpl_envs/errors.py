"""Errors of the environments. Imports nothing; ``simpl_sb3.errors`` adds the library's own children."""


class SimplError(Exception):
    """Base of every error that simpl-sb3 raises on bad input: catch this one to catch them all."""


class TaskError(SimplError, ValueError):
    """A task that the environment cannot take: a goal in a wall, an unknown or repeated subtask, a foreign type."""


class DemonstrationError(SimplError, ValueError):
    """Demonstrations that cannot be made: arguments outside their range, or failure after failure."""


class DrawingError(SimplError, RuntimeError):
    """A picture that cannot be drawn on this machine; everything but the picture works."""
