"""Episodes as plain arrays, and back: of finished ones, and of those that still run, row after row."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simpl_sb3.experience.episode import ROW_FIELDS, SkillEpisode

__all__ = ["RunningEpisode", "episodes_of", "finished_arrays", "running_arrays", "running_of"]

RunningEpisode = list[tuple[Any, ...]]
"""For each skill so far its row fields, what was observed after each env step or None, and success or None."""
UNKNOWN = -1
"""Where a running episode says nothing of its success, or nothing of what was observed."""
Arrays = Mapping[str, np.ndarray]


def finished_arrays(episodes: Sequence[SkillEpisode]) -> dict[str, np.ndarray]:
    """Finished episodes one after the other: columns (L, ...), each one's length, and how many env steps it saw."""
    arrays: dict[str, np.ndarray] = {
        name: np.concatenate([getattr(episode, name) for episode in episodes]) if episodes else np.zeros(0)
        for name in ROW_FIELDS
    }
    seen = [episode.env_observations for episode in episodes]
    return arrays | {"lengths": np.array([len(episode) for episode in episodes], np.int64)} | _observed(seen)


def episodes_of(arrays: Arrays) -> list[SkillEpisode]:
    """
    The episodes of :func:`finished_arrays`.

    :raises ValueError: for arrays that do not belong together
    """
    columns = zip(*(_split(arrays[name], arrays["lengths"]) for name in ROW_FIELDS), strict=True)
    return [
        SkillEpisode(**dict(zip(ROW_FIELDS, parts, strict=True)), env_observations=seen)
        for parts, seen in zip(columns, _split_observed(arrays), strict=True)
    ]


def running_arrays(running: Sequence[RunningEpisode]) -> dict[str, np.ndarray]:
    """Episodes that still run, one of each environment, none of which may have begun."""
    skills = [skill for episode in running for skill in episode]
    arrays: dict[str, np.ndarray] = {
        name: np.array([skill[k] for skill in skills], np.float32) for k, name in enumerate(ROW_FIELDS)
    }
    told = [UNKNOWN if skill[-1] is None else int(skill[-1]) for skill in skills]
    lengths = np.array([len(episode) for episode in running], np.int64)
    return arrays | {"lengths": lengths, "told": np.array(told, np.int8)} | _observed([skill[-2] for skill in skills])


def running_of(arrays: Arrays) -> list[RunningEpisode]:
    """
    The episodes of :func:`running_arrays`.

    :raises ValueError: for arrays that do not belong together
    """
    told = [None if success == UNKNOWN else bool(success) for success in arrays["told"]]
    skills = list(zip(*(arrays[name] for name in ROW_FIELDS), _split_observed(arrays), told, strict=True))
    ends = np.cumsum(arrays["lengths"])
    if (arrays["lengths"] < 0).any() or (len(skills) != ends[-1] if len(ends) else skills):
        raise ValueError(f"Expected {int(ends[-1]) if len(ends) else 0} skills of running episodes, got {len(skills)}")
    return [skills[end - length : end] for end, length in zip(ends, arrays["lengths"], strict=True)]


def _observed(parts: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
    known = [part for part in parts if part is not None]
    return {
        "seen": np.array([UNKNOWN if part is None else len(part) for part in parts], np.int64),
        "env_observations": np.concatenate(known) if known else np.zeros(0, np.float32),
    }


def _split_observed(arrays: Arrays) -> list[np.ndarray | None]:
    seen = arrays["seen"]
    parts = _split(arrays["env_observations"], np.maximum(seen, 0))
    return [None if number == UNKNOWN else part for number, part in zip(seen, parts, strict=True)]


def _split(rows: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """
    :raises ValueError: where lengths and rows differ
    """
    ends = np.cumsum(lengths)
    if (lengths < 0).any() or len(rows) != (ends[-1] if len(ends) else 0):
        raise ValueError(f"Expected {int(lengths.sum())} rows of {len(lengths)} episodes, got {len(rows)}")
    return [rows[end - length : end] for end, length in zip(ends, lengths, strict=True)]
