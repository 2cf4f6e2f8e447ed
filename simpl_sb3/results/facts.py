"""What a reader of results has to know of an environment: what is measured, what was published, where the walls are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simpl_sb3.errors import ResultsError

__all__ = ["RETURN", "SUCCESS", "Facts", "Measure", "PublishedCurve", "Walls"]

MAX_LABEL = 80
MAX_CELLS = 1_000_000
DEFAULT_EPISODES = (20, 40, 60, 100, 200, 300, 500)


@dataclass(frozen=True)
class Measure:
    """
    What figures and tables show of an environment's episodes.

    :param column: the column of the rows, ``success`` or ``return``
    :param label: its name on an axis, such as "success rate"
    :param maximum: largest possible value; None where there is none
    :raises ResultsError: for another column, an empty label, or a maximum that is not above 0
    """

    column: Literal["success", "return"]
    label: str
    maximum: float | None = None

    def __post_init__(self) -> None:
        if self.column not in ("success", "return"):
            raise ResultsError(f"measure.column is {self.column!r}; expected 'success' or 'return'")
        if not isinstance(self.label, str) or not 0 < len(self.label.strip()) <= MAX_LABEL:
            raise ResultsError(f"measure.label is {self.label!r}; expected a text of 1 to {MAX_LABEL} characters")
        if self.maximum is not None:
            number = isinstance(self.maximum, int | float) and not isinstance(self.maximum, bool)
            if not number or not 0 < self.maximum < math.inf:
                raise ResultsError(f"measure.maximum is {self.maximum!r}; expected a number above 0, or None")
            object.__setattr__(self, "maximum", float(self.maximum))

    @classmethod
    def of(cls, data: Any) -> "Measure":
        """
        :param data: a JSON object with the fields ``column``, ``label`` and ``maximum``
        :raises ResultsError: for anything else
        """
        if not isinstance(data, Mapping) or not {"column", "label"} <= data.keys() <= {"column", "label", "maximum"}:
            raise ResultsError(f"measure is {data!r}; expected an object with column, label and maximum")
        return cls(data["column"], data["label"], data.get("maximum"))


SUCCESS = Measure("success", "success rate", 1.0)
"""Success rate, which domains count by default."""
RETURN = Measure("return", "return per episode")
"""Mean return, for a domain that counts rewards."""


@dataclass(frozen=True)
class PublishedCurve:
    """
    One line of a figure in a publication.

    :param training_task_set: tasks of the meta-training; None for a method without one
    :param task_set: tasks evaluated on
    :param method: as in the rows
    :param values: episode -> value, in the environment's measure
    :param axis: which episodes these are: on the target task, of meta-training (with values on the training tasks), or
        those that a policy is conditioned on, without any update
    :param at_most: a bound for all episodes, where only that is known
    :param label: the method's name in figures, where the library does not know the method
    :param agents: how many agents the values are means over, as text
    """

    training_task_set: str | None
    task_set: str
    method: str
    values: Mapping[int, float]
    at_most: float | None = None
    label: str = ""
    agents: str = "10 × 3"
    axis: Literal["episode", "meta-training", "conditioning"] = "episode"


@dataclass(frozen=True)
class Walls:
    """
    A map that paths are drawn over.

    :param rows: one text per cell along x, one character per cell along y: ``#`` is a wall
    :param corner: observed (x, y) of the map's corner with the smallest x and y; a cell has side 1
    :raises ResultsError: for rows of unequal lengths or a corner that is no pair of finite numbers
    """

    rows: tuple[str, ...]
    corner: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        rows = tuple(str(row) for row in self.rows)
        lengths = {len(row) for row in rows}
        if len(lengths) != 1 or 0 in lengths or len(rows) * min(lengths) > MAX_CELLS:
            raise ResultsError(f"walls of {len(rows)} rows with lengths {sorted(lengths)[:5]}; expected one length")
        corner = tuple(float(number) for number in self.corner)
        if len(corner) != 2 or not all(math.isfinite(number) for number in corner):
            raise ResultsError(f"the corner of the walls is {self.corner!r}; expected two finite numbers")
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "corner", corner)

    @property
    def cells(self) -> npt.NDArray[np.bool_]:
        """True where a wall stands, (cells along x, cells along y)."""
        return np.array([[cell == "#" for cell in row] for row in self.rows])


@dataclass(frozen=True)
class Facts:
    """
    What rows and traces do not say themselves. A report takes it by environment id from its caller.

    :param measure: for rows that do not say what they measure
    :param published: curves to compare with
    :param walls: for paths that were written without any
    :param episodes: the episodes N whose values tables show, as far as there are so many
    :param task_sets: names of the tasks of each set, for rows that do not name the tasks they were trained on
    """

    measure: Measure = SUCCESS
    published: tuple[PublishedCurve, ...] = ()
    walls: Walls | None = None
    episodes: tuple[int, ...] = DEFAULT_EPISODES
    task_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
