"""
Settings as data: each is named, documented, defaulted and bounded once, in the dataclass that holds it.

::

    @dataclass(frozen=True, kw_only=True)
    class LearnerSettings(Settings):
        batch_size: int = setting(128, at_least=1)

The constructor checks by it, and so do the command line and the loading of files, which build the same dataclass.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from simpl_sb3.errors import SettingsError

__all__ = [
    "Settings",
    "checked_number",
    "checked_seed",
    "plain_value",
    "setting",
    "takes",
    "unknown_names",
    "with_settings",
]

MAX_SEED = 2**32 - 1

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def setting(
    default: T,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    one_of: Sequence[str] | None = None,
    may_be_infinite: bool = False,
) -> T:
    """
    A field of a settings dataclass, with the range of its values; of a tuple, the range of each element.

    :param default: the value where none is given
    :param at_least: smallest value
    :param above: the value is larger than this
    :param at_most: largest value
    :param below: the value is smaller than this
    :param one_of: allowed names
    :param may_be_infinite: accept infinity; NaN never is
    """
    limits = {
        name: limit
        for name, limit in (("at_least", at_least), ("above", above), ("at_most", at_most), ("below", below))
        if limit is not None
    }
    metadata = {"limits": limits, "one_of": one_of, "may_be_infinite": may_be_infinite}
    return field(default=default, metadata=metadata)


def plain_value(value: Any) -> Any:
    """Numpy's scalars and arrays, and lists, as Python's numbers and tuples; anything else as it is."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain_value(value.tolist())
    if isinstance(value, list | tuple):
        return tuple(plain_value(element) for element in value)
    return value


def unknown_names(owner: str, given: Iterable[str], known: Iterable[str]) -> SettingsError:
    """
    The error for names that are no settings.

    :param owner: whose settings they were given as
    :param given: the unknown names
    :param known: the names that there are
    """
    known = list(known)
    hints = [
        f"{name!r} (did you mean {close[0]!r}?)"
        if (close := difflib.get_close_matches(str(name), known, 1))
        else repr(name)
        for name in given
    ]
    return SettingsError(f"{owner} has no setting {', '.join(hints)}: expected one of {', '.join(known)}.")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    Base of the settings dataclasses. Values become plain data (numpy's numbers too), of the declared type and range.

    :raises SettingsError: for a value of another type or outside its range, naming the setting
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for declared in fields(self):
            value = _of_kind(plain_value(getattr(self, declared.name)), hints[declared.name])
            if value is MISSING:
                names: Sequence[str] | None = declared.metadata.get("one_of")
                expected = f"one of {', '.join(names)}" if names else _kind_text(hints[declared.name])
                raise SettingsError(f"{declared.name} is {getattr(self, declared.name)!r}: expected {expected}.")
            _check_range(declared, value)
            object.__setattr__(self, declared.name, value)
        self.check()

    def check(self) -> None:
        """
        What holds between settings; a subclass extends it.

        :raises SettingsError: for values that contradict each other
        """

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """
        Settings by name.

        :raises SettingsError: for a name that there is not, with those that there are
        """
        names = cls.names()
        if unknown := [name for name in values if name not in names]:
            raise unknown_names(cls.__name__, unknown, names)
        return cls(**values)

    @classmethod
    def names(cls) -> list[str]:
        """The names of all settings, in the order in which they are declared."""
        return [declared.name for declared in fields(cls)]

    def as_dict(self) -> dict[str, Any]:
        """The settings by name, as plain data."""
        return asdict(self)


def _of_kind(value: Any, kind: Any) -> Any:
    """The value as an annotation's kind (a whole number given for a float becomes one), or MISSING where it is none."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        found = (_of_kind(value, option) for option in inner)
        return next((option for option in found if option is not MISSING), MISSING)
    if origin is Literal:
        return value if value in inner else MISSING
    if origin is tuple:
        if not isinstance(value, tuple):
            return MISSING
        kinds = inner[:1] * len(value) if inner[-1] is ... else inner
        if len(kinds) != len(value):
            return MISSING
        elements = tuple(_of_kind(element, part) for element, part in zip(value, kinds, strict=True))
        return MISSING if MISSING in elements else elements
    if kind in (None, NoneType):
        return None if value is None else MISSING
    if kind in (int, float):
        return _number(value, kind)
    return value if kind is Any or not isinstance(kind, type) or isinstance(value, kind) else MISSING


def _number(value: Any, kind: Any) -> Any:
    """The value as an int or a float; MISSING where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return MISSING
    if kind is int:
        return value if isinstance(value, int) else MISSING
    try:
        return float(value)
    except OverflowError:  # a whole number beyond any float
        return MISSING


def _kind_text(kind: Any) -> str:
    """An annotation as a reader of English writes it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_kind_text(option) for option in inner)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple:
        if inner[-1] is ...:
            return f"a sequence, each element {_kind_text(inner[0])}"
        if len(set(inner)) == 1:
            return f"{len(inner)} values, each {_kind_text(inner[0])}"
        return "(" + ", ".join(_kind_text(part) for part in inner) + ")"
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", NoneType: "None"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def _check_range(declared: "Field[Any]", value: Any) -> None:
    """
    :raises SettingsError: for a value outside the range of its field
    """
    limits: dict[str, float] = declared.metadata.get("limits", {})
    names: Sequence[str] | None = declared.metadata.get("one_of")
    if names is not None and value is not None and value not in names:
        raise SettingsError(f"{declared.name} is {value!r}: expected one of {', '.join(names)}.")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        finite = (
            isinstance(number, int)
            or math.isfinite(number)
            or (declared.metadata.get("may_be_infinite", False) and number == math.inf)
        )
        fits = {
            "at_least": number >= limits.get("at_least", -math.inf),
            "above": number > limits.get("above", -math.inf) or "above" not in limits,
            "at_most": number <= limits.get("at_most", math.inf),
            "below": number < limits.get("below", math.inf) or "below" not in limits,
        }
        if not finite or not all(fits.values()):
            bounds = " and ".join(f"{name.replace('_', ' ')} {limit:g}" for name, limit in limits.items())
            raise SettingsError(f"{declared.name} is {value!r}: expected {bounds or 'a finite number'}.")


def with_settings(function: Callable[..., Any], *records: type[Settings]) -> inspect.Signature:
    """The signature of a function with the fields of settings dataclasses in place of its ``**settings``."""
    own = inspect.signature(function, eval_str=True)
    parameters = [part for part in own.parameters.values() if part.kind is not inspect.Parameter.VAR_KEYWORD]
    for record in records:
        hints = get_type_hints(record)
        parameters += [
            inspect.Parameter(
                declared.name, inspect.Parameter.KEYWORD_ONLY, default=declared.default, annotation=hints[declared.name]
            )
            for declared in fields(record)
        ]
    return own.replace(parameters=parameters)


def takes(*records: type[Settings]) -> Callable[[F], F]:
    """
    For a function whose ``**settings`` are the fields of settings dataclasses: ``help()``, ``inspect.signature`` and
    editors show each field with its type and default, as if it were written there.

    :param records: the dataclasses, whose names do not overlap
    """

    def decorate(function: F) -> F:
        function.__signature__ = with_settings(function, *records)  # type: ignore[attr-defined]
        return function

    return decorate


def checked_number(name: str, value: Any, at_least: int) -> int:
    """
    :raises SettingsError: for anything but a whole number of at least ``at_least``
    """
    number = plain_value(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < at_least:
        raise SettingsError(f"{name} is {value!r}: expected a whole number of at least {at_least}.")
    return number


def checked_seed(seed: Any) -> int | None:
    """
    :raises SettingsError: for anything but None or a whole number from 0 to 2**32 - 1
    """
    seed = plain_value(seed)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED):
        raise SettingsError(f"seed is {seed!r}: expected None or a whole number from 0 to {MAX_SEED}.")
    return seed
