"""
A stage is a value: what is to be done, with which settings, from which files, into which file or folder.

It can be hashed, written as JSON, and sent to another process; whether it is done can be told from what lies on disk::

    stage = extract_stage(...)                     # simpl_sb3.experiments.stages makes stages
    text = stage.as_json()
    run_stage(Stage.from_json(text), device="cpu")  # here, or anywhere that sees the same files
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Self

from simpl_sb3.errors import SettingsError
from simpl_sb3.settings import Settings, plain_value

__all__ = ["DIGEST", "KINDS", "PlainMapping", "RunOptions", "Stage", "json_value"]

KINDS = ("collect", "extract", "meta-train", "adapt")
"""The kinds of stages, in the order in which they need each other."""
SCHEMA_VERSION = 1
DIGEST = "_sha256"
"""Ending of a setting that says what the file holds which another one names."""


def json_value(value: Any) -> Any:
    """
    Plain data as JSON has it: settings records and mappings become objects, tuples lists, infinity a text.

    :raises SettingsError: for NaN, and for what is no plain data
    """
    if isinstance(value, Settings):
        value = value.as_dict()
    value = plain_value(value)
    if isinstance(value, Mapping):
        return {str(name): json_value(entry) for name, entry in value.items()}
    if isinstance(value, tuple | list):
        return [json_value(entry) for entry in value]
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise SettingsError("A setting is NaN: expected a number.")
        return "infinity" if value > 0 else "-infinity"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise SettingsError(f"A stage holds plain data only, not a {type(value).__name__}.")


def from_json(value: Any) -> Any:
    """The inverse of :func:`json_value`, but for lists in place of tuples."""
    if isinstance(value, dict):
        return {name: from_json(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [from_json(entry) for entry in value]
    return {"infinity": math.inf, "-infinity": -math.inf}.get(value, value) if isinstance(value, str) else value


class PlainMapping(Mapping[str, Any]):
    """Plain data by name that never changes; equal data is equal and has equal hashes."""

    def __init__(self, values: Mapping[str, Any] = {}) -> None:
        self._text = json.dumps(json_value(values), sort_keys=True, allow_nan=False)

    def __getitem__(self, name: str) -> Any:
        return from_json(json.loads(self._text)[name])

    def __iter__(self) -> Iterator[str]:
        return iter(json.loads(self._text))

    def __len__(self) -> int:
        return len(json.loads(self._text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self._text == PlainMapping(other)._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text})"


@dataclass(frozen=True)
class Stage:
    """
    One stage of an experiment.

    :param kind: one of ``KINDS``
    :param settings: everything that decides the outcome, resolved, seed included; plain data
    :param inputs: files and datasets that it reads, by what they are: "skills", "model", "dataset"
    :param output: what it writes: a folder; of ``adapt`` a CSV; of ``collect`` a folder of datasets, "" for Minari's
    :raises SettingsError: for another kind, or settings that are no plain data
    """

    kind: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    output: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(f"A stage's kind is {self.kind!r}: expected one of {', '.join(KINDS)}.")
        object.__setattr__(self, "settings", PlainMapping(self.settings))
        object.__setattr__(self, "inputs", PlainMapping(self.inputs))
        object.__setattr__(self, "output", str(self.output))

    @property
    def key(self) -> str:
        """A fingerprint of kind, settings and inputs: 16 hexadecimal digits, equal wherever the stage runs."""
        settings = json_value(self.settings)
        for name in [name for name in settings if name + DIGEST in settings]:
            settings[name] = PurePath(settings[name]).name  # wherever the file lies
        text = json.dumps([self.kind, settings, json_value(self.inputs)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """The stage as JSON has it."""
        return {
            "kind": self.kind,
            "settings": json_value(self.settings),
            "inputs": json_value(self.inputs),
            "output": self.output,
        }

    def as_json(self) -> str:
        """The stage as text."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **self.as_dict()}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        :param text: what :meth:`as_json` gave
        :raises SettingsError: for anything else
        """
        try:
            data = json.loads(text)
            version = data.pop("schema_version", SCHEMA_VERSION)
            if version == SCHEMA_VERSION:
                return cls(data["kind"], from_json(data["settings"]), data["inputs"], data["output"])
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise SettingsError(f"This text is no stage ({error}): expected what Stage.as_json() gives.") from error
        raise SettingsError(f"A stage of schema version {version}: this library reads {SCHEMA_VERSION}.")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """
    How a stage runs; none of it changes what comes out, but for the last digits of numbers on another device.

    :param overwrite: replace what stands there, once the new result is complete
    :param device: torch device, such as cpu or cuda; auto takes a GPU if there is one
    :param progress_bar: show one
    :param verbose: 1 prints the metrics
    :param pictures: log pictures to TensorBoard while it runs
    """

    overwrite: bool = False
    device: str = "auto"
    progress_bar: bool = False
    verbose: int = 0
    pictures: bool = False
