"""``Settings``: types and ranges declared once, numpy's numbers made plain, names that there are not refused."""

import json
from dataclasses import FrozenInstanceError, dataclass
from typing import Any, Literal

import numpy as np
import pytest

from simpl_sb3.errors import SettingsError
from simpl_sb3.settings import Settings, plain_value, setting


@dataclass(frozen=True, kw_only=True)
class Oven(Settings):
    temperature: float = setting(180.0, above=0.0, at_most=300.0)
    trays: int = setting(2, at_least=1, below=10)
    seconds: tuple[int, ...] = setting((60, 30), at_least=1)
    pair: tuple[float, float] = setting((0.5, 1.0), at_least=0.0)
    kind: str = setting("gas", one_of=("gas", "electric"))
    fan: bool | None = None
    limit: float = setting(5.0, at_least=0.0, may_be_infinite=True)
    rate: float | tuple[Literal["linear"], float, float] = setting(1.0, at_least=0.0)

    def check(self) -> None:
        if self.kind == "gas" and self.fan:
            raise SettingsError("fan is True: a gas oven has none.")


NONSENSE: dict[str, tuple[Any, ...]] = {
    "temperature": (0.0, -1, 300.5, float("nan"), float("inf"), 10**400, "180", None, True, (180.0,), 1j),
    "trays": (0, 10, 2.0, 10**400, float("nan"), True, None, "2", [2]),
    "seconds": (60, "60", (0,), (1, -1), (1.5,), ((60,), (30,)), {"first": 60}, None, (True,)),
    "pair": (0.5, (0.5,), (0.5, 1.0, 2.0), (0.5, -1.0), (0.5, float("nan")), ("a", "b")),
    "kind": ("coal", 3, None, ("gas",)),
    "fan": (1, "yes", 0.0),
    "limit": (-1.0, float("nan"), -float("inf")),
    "rate": (-1.0, ("cosine", 1.0, 0.0), ("linear", 1.0), ("linear", 1.0, -0.5), ("linear", "a", 1.0), len),
}


@pytest.mark.parametrize("make", [Oven, lambda **given: Oven.of(given)], ids=["new", "of"])
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in NONSENSE.items() for value in bad], ids=str)
def test_nonsense_is_refused_with_its_name(make: Any, name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} is .*expected "):
        make(**{name: value})


def test_every_setting_has_a_case_above() -> None:
    assert list(NONSENSE) == Oven.names()


def test_what_holds_between_settings_is_checked() -> None:
    with pytest.raises(SettingsError, match="a gas oven has none"):
        Oven(fan=True)
    assert Oven(fan=True, kind="electric").fan is True


def test_numbers_of_numpy_and_lists_become_plain() -> None:
    oven = Oven(
        temperature=np.float32(0.5),
        trays=np.int64(3),
        seconds=np.array([8, 8]),  # type: ignore[arg-type]
        pair=[np.float64(1), 2],  # type: ignore[arg-type]
        kind=np.str_("electric"),
        fan=np.bool_(True),  # type: ignore[arg-type]
        rate=("linear", np.float64(1.0), 0),
    )
    assert oven.as_dict() == {
        "temperature": 0.5,
        "trays": 3,
        "seconds": (8, 8),
        "pair": (1.0, 2.0),
        "kind": "electric",
        "fan": True,
        "limit": 5.0,
        "rate": ("linear", 1.0, 0.0),
    }
    assert type(oven.trays) is int
    assert all(type(number) is float for number in (oven.temperature, *oven.pair, *oven.rate[1:]))  # type: ignore[index]
    assert Oven.of(json.loads(json.dumps(oven.as_dict()))) == oven


def test_whole_numbers_may_stand_for_numbers_and_infinity_where_told() -> None:
    assert type(Oven(temperature=20).temperature) is float
    assert Oven(limit=float("inf")).limit == float("inf")


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        SettingsError, match=r"Oven has no setting 'tray' \(did you mean 'trays'\?\).*temperature, trays"
    ):
        Oven.of({"tray": 3})
    with pytest.raises(SettingsError, match="Oven has no setting 3"):
        Oven.of({3: 3})  # type: ignore[dict-item]


def test_settings_do_not_change_and_compare_by_value() -> None:
    oven = Oven(seconds=[1, 2])  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        oven.trays = 3  # type: ignore[misc]
    assert hash(oven) == hash(Oven(seconds=(1, 2)))


def test_plain_values() -> None:
    assert plain_value(np.array(3)) == 3
    assert plain_value([np.int8(1), (np.float64(2.0), "x")]) == (1, (2.0, "x"))
    assert plain_value(None) is None
