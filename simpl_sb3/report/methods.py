"""How a method is shown: its label, its colour, its place. Read from the methods' records; any other has a fallback."""

from collections.abc import Iterable, Mapping

from simpl_sb3.methods import METHODS

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "PALETTE",
    "has_meta_training",
    "label_of",
    "line_colours",
    "place_of",
]

# Okabe and Ito's palette: told apart by colour-blind readers as well
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
"""Colours that readers with any colour vision tell apart (Okabe and Ito)."""
SKY, ORANGE, GREY, INK = "#56B4E9", "#E69F00", "#6B6B6B", "#222222"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
"""Colours of lines that have none of their own, in order."""


def label_of(method: str, labels: Mapping[str, str] | None = None) -> str:
    """
    :param method: its name in the rows
    :param labels: of methods that the library does not know
    :return: what figures and tables call it
    """
    if method in METHODS:
        return METHODS[method].label
    return (labels or {}).get(method) or method


def place_of(method: str) -> tuple[int, str]:
    """By what methods are sorted: the order of their records, then the other methods by name."""
    names = list(METHODS)
    return (names.index(method), "") if method in names else (len(names), method)


def has_meta_training(method: str) -> bool:
    """Whether a training task set belongs to the method; of an unknown method, whoever wrote the rows knows."""
    return method not in METHODS or METHODS[method].train is not None


def line_colours(methods: Iterable[str]) -> list[str]:
    """
    :param methods: of each line of a figure
    :return: each line's colour: the method's own, or where a method has several lines, one per line
    """
    methods = list(methods)
    if len(set(methods)) < len(methods):
        return [PALETTE[index % len(PALETTE)] for index in range(len(methods))]
    own = {method: METHODS[method].colour for method in methods if method in METHODS}
    free = [colour for colour in PALETTE if colour not in own.values()]
    others = [method for method in methods if method not in own]
    return [own.get(method) or free[others.index(method) % len(free)] for method in methods]


def shortened(text: str, most: int = 60) -> str:
    """A text that has room in a figure."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
