"""Expected answers as data: plain values, objects of which only the named members count, and a few words for the rest.

`mismatch(pattern, value)` says in one line where a value is not as expected.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any


class _Word:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: Any value, but the member must be there.
ANY = _Word("ANY")
#: The member must not be there.
ABSENT = _Word("ABSENT")


@dataclass(frozen=True, slots=True)
class Matches:
    """Text that fits a regular expression as a whole."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`; true and false are none."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class JsonText:
    """Text that holds JSON, whose value is as the pattern says (C-18)."""

    pattern: Any


@dataclass(frozen=True, slots=True)
class OneOf:
    patterns: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Exactly:
    """An object with these members and no others, or any other value that is equal."""

    value: Any


@dataclass(frozen=True, slots=True)
class AnyOrder:
    """A list of these, in any order."""

    patterns: tuple[Any, ...]


def mismatch(pattern: Any, value: Any, place: str = "") -> str:
    """Why `value` is not as `pattern` demands; "" when it is."""
    here = place or "it"
    match pattern:
        case _ if pattern is ANY:
            return ""
        case Matches():
            fits = isinstance(value, str) and re.fullmatch(pattern.pattern, value, re.DOTALL) is not None
            return "" if fits else f"{here} is {value!r}, not like /{pattern.pattern}/"
        case Number():
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            fits = fits and pattern.low <= value <= pattern.high
            return "" if fits else f"{here} is {value!r}, not a number from {pattern.low} to {pattern.high}"
        case JsonText():
            return _json_text(pattern, value, here)
        case OneOf():
            found = [mismatch(each, value, place) for each in pattern.patterns]
            return "" if "" in found else found[0]
        case Exactly():
            return "" if _equal(pattern.value, value) else f"{here} is {value!r}, not {pattern.value!r}"
        case AnyOrder():
            return _any_order(pattern, value, here)
        case dict():
            return _members(pattern, value, place)
        case list():
            if not isinstance(value, list) or len(value) != len(pattern):
                return f"{here} is {value!r}, not {len(pattern)} things"
            found = [mismatch(each, item, f"{place}[{n}]") for n, (each, item) in enumerate(zip(pattern, value))]  # noqa: B905
            return next(filter(None, found), "")
        case _:
            return "" if _equal(pattern, value) else f"{here} is {value!r}, not {pattern!r}"


def _json_text(pattern: JsonText, value: Any, here: str) -> str:
    if not isinstance(value, str):
        return f"{here} is {value!r}, not text"
    try:
        parsed = json.loads(value)
    except ValueError:
        return f"{here} is {value!r}, not JSON"
    return mismatch(pattern.pattern, parsed, f"json({here})")


def _any_order(pattern: AnyOrder, value: Any, here: str) -> str:
    wrong = f"{here} is {value!r}, not {pattern.patterns!r} in any order"
    if not isinstance(value, list) or len(value) != len(pattern.patterns):
        return wrong
    left = list(value)
    for each in pattern.patterns:
        found = next((item for item in left if not mismatch(each, item)), ABSENT)
        if found is ABSENT:
            return wrong
        left.remove(found)
    return ""


def _members(pattern: dict[str, Any], value: Any, place: str) -> str:
    if not isinstance(value, dict):
        return f"{place or 'it'} is {value!r}, not an object"
    for name, expected in pattern.items():
        where = f"{place}.{name}".removeprefix(".")
        if expected is ABSENT:
            if name in value:
                return f"{where} is there: {value[name]!r}"
        elif name not in value:
            return f"{where} is missing"
        elif found := mismatch(expected, value[name], where):
            return found
    return ""


def _equal(one: Any, other: Any) -> bool:
    """As JSON has it: true is not 1."""
    return (type(one) is type(other) and one == other) or (
        isinstance(one, int | float)
        and isinstance(other, int | float)
        and bool not in (type(one), type(other))
        and one == other
    )
