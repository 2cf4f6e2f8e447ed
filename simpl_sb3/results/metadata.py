"""The JSON beside rows: what made them. Read with all its parts checked."""

import io
import json
import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from simpl_sb3.errors import ResultsError
from simpl_sb3.results.facts import Measure
from simpl_sb3.results.reading import read_bytes
from simpl_sb3.results.row import check_text
from simpl_sb3.seals import KEY, MARK, check_seal

__all__ = ["KIND", "SCHEMA_VERSION", "read_metadata"]

SCHEMA_VERSION = 1
"""Of the metadata beside rows."""
KIND = "simpl-sb3/results"
"""What a file of results calls itself."""
MAX_BYTES = 50_000_000
MAX_DEPTH = 50
OBJECTS = ("settings", "wall_time_s", "machine", "revision", "versions")
TEXTS = ("training_task_set", "method_label", "command", "written_at", "csv_sha256")
LISTS = ("training_tasks", "evaluation_task_sets", "methods", "presets", "envs", "tasks", "seeds")


def read_metadata(path: Path) -> dict[str, Any]:
    """
    :param path: of the JSON
    :raises ResultsError: for a file that is missing, too large, no JSON, of another kind, or with parts of other types
    """
    try:
        content = read_bytes(path, "the settings of the CSV beside it", MAX_BYTES)
        metadata = json.loads(content.decode(), parse_constant=_refuse_constant)
        json.dumps(metadata, ensure_ascii=False).encode()  # lone surrogates could not be written again
    except ResultsError:
        raise
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{path} is no JSON: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("kind") != KIND:
        raise ResultsError(f"{path} does not describe results; expected a JSON object of kind {KIND!r}")
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise ResultsError(
            f"{path} has schema version {metadata.get('schema_version')}; this library reads {SCHEMA_VERSION}"
        )
    try:
        given = metadata.pop(KEY, None)
        if given is not None or MARK.encode() in content:
            check_seal(io.BytesIO(content), given)
        _check_parts(metadata)
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from error
    except ValueError as error:
        raise ResultsError(f"{path}: {error} (after a change on purpose: without {KEY!r} in it)") from error
    return metadata


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}; expected finite numbers")


def _check_parts(metadata: Mapping[str, Any]) -> None:
    """
    :raises ResultsError: for a part of another type than :func:`simpl_sb3.results.rows.write_results` writes
    """
    if _is_deeper(metadata, MAX_DEPTH):
        raise ResultsError(f"it is nested deeper than {MAX_DEPTH}; expected plain settings")
    for key in OBJECTS:
        if not isinstance(metadata.get(key) or {}, dict):
            raise ResultsError(f"{key} is {metadata[key]!r:.300}; expected a JSON object")
    for key in TEXTS:
        if metadata.get(key) is not None and not isinstance(metadata[key], str):
            raise ResultsError(f"{key} is {metadata[key]!r:.300}; expected a text")
    for key in filter(metadata.get, ("training_task_set", "method_label", "variant")):
        check_text(key, metadata[key])
    for key in LISTS:
        entries = metadata.get(key) or []
        if not isinstance(entries, list) or not all(isinstance(entry, str | int) for entry in entries):
            raise ResultsError(f"{key} is {entries!r:.300}; expected a list of names or numbers")
    _check_lineage(metadata.get("lineage") or [])
    _check_numbers(metadata)
    if metadata.get("measure") is not None:
        Measure.of(metadata["measure"])


def _check_lineage(lineage: Any) -> None:
    """
    :raises ResultsError: for anything but runs with a stage and a key, and numbers where they have any
    """
    whole = isinstance(lineage, list) and all(isinstance(run, dict) for run in lineage)
    if not whole or not all(isinstance(run.get(name), str) for run in lineage for name in ("stage", "key")):
        raise ResultsError(f"lineage is {lineage!r:.300}; expected a list of runs, each with stage and key")
    for run in lineage:
        for name in ("seed", "wall_time_s", "env_steps"):
            value = run.get(name)
            if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
                raise ResultsError(f"{name} of a run of the lineage is {value!r:.300}; expected a number")


def _check_numbers(metadata: Mapping[str, Any]) -> None:
    n_rows = metadata.get("n_rows", 0)
    if not isinstance(n_rows, int):
        raise ResultsError(f"n_rows is {n_rows!r:.300}; expected a whole number")
    for seconds in (metadata.get("wall_time_s") or {}).values():
        if not isinstance(seconds, Real) or isinstance(seconds, bool) or not 0 <= float(seconds) < math.inf:
            raise ResultsError(f"wall_time_s is {metadata['wall_time_s']!r:.300}; expected seconds by stage")


def _is_deeper(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_is_deeper(entry, depth - 1) for entry in inner)
