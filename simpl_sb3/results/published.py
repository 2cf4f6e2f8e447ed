"""Published values to compare with, from ``published.toml`` beside this file, which names its source."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from simpl_sb3.results.facts import PublishedCurve

__all__ = ["published_curves"]

FILE = Path(__file__).with_name("published.toml")


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def published_curves(env: str) -> tuple[PublishedCurve, ...]:
    """
    :param env: id of an environment
    :return: all lines of the publication's figures on it
    """
    data = _data()
    return tuple(
        PublishedCurve(
            curve.get("training"),
            curve["tasks"],
            curve["method"],
            dict(zip(curve.get("at", ()), curve.get("values", ()), strict=True)),
            at_most=curve.get("at_most"),
            label=data["labels"].get(curve["method"], ""),
            axis=curve["axis"],
        )
        for curve in data["curves"]
        if curve["env"] == env
    )
