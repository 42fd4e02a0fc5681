"""The model every configuration section derives from, and the scalar types its fields use.

A validator here raises ValueError with the second half of a sentence ("is not a whole number; ..."):
`loading/validation_errors.py` puts the key path and the value in front of it. No option is defined here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict

WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*\Z")
TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})


class Section(BaseModel):
    """One object of the configuration file; read-only, and a key that it does not know is a mistake."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=False,
        validate_by_name=True,
        # What reads a section is made when one is read first: workers get theirs read already.
        defer_build=True,
    )


def whole(low: int, high: int, *, unlimited: bool = False) -> BeforeValidator:
    """A whole number from `low` to `high`, also given as text.

    :param unlimited: null, 0 and -1 are accepted too and become 0, which stands for "no limit".
    """
    allowed = f"allowed: {low} to {high}" + (", or 0, -1 or null for no limit" if unlimited else "")

    def check(value: Any) -> int:
        if unlimited and value is None:
            return 0
        number = to_whole(value)
        if number is None:
            raise ValueError(f"is not a whole number; {allowed}")
        if unlimited and number in (0, -1):
            return 0
        if not low <= number <= high:
            raise ValueError(f"is out of range; {allowed}")
        return number

    return BeforeValidator(check)


def number(low: float, high: float) -> BeforeValidator:
    """A number above `low` and up to `high`, also given as text."""
    allowed = f"allowed: above {_plain(low)}, up to {_plain(high)}"

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(f"is not a number; {allowed}")
        try:
            result = float(value)
        except (ValueError, OverflowError):
            raise ValueError(f"is not a number; {allowed}") from None
        if not math.isfinite(result) or not low < result <= high:
            raise ValueError(f"is out of range; {allowed}")
        return result

    return BeforeValidator(check)


def to_whole(value: Any) -> int | None:
    """The whole number that `value` is or spells; None when it is none (true and false are none)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, str) and WHOLE.match(value) else None


def to_flag(value: Any) -> bool | None:
    """The truth value that `value` is or spells (K-1); None when it is none."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        word = str(value).strip().lower()
        if word in TRUE:
            return True
        if word in FALSE:
            return False
    return None


def word(*allowed: str, elsewhere: Sequence[str] = (), synonyms: dict[str, str] | None = None) -> BeforeValidator:
    """One of a few words.

    :param elsewhere: words that users of other servers may bring along; they get an answer of their own.
    :param synonyms: allowed words that stand for another one.
    """
    choices = "allowed: " + ", ".join(allowed)

    def check(value: Any) -> str:
        if value is None:
            raise ValueError(f"is not allowed; {choices}")
        if not isinstance(value, str):
            raise ValueError(f"is not text; {choices}")
        if value in allowed:
            return (synonyms or {}).get(value, value)
        if value in elsewhere:
            raise ValueError(f"is not supported by this engine (yet); {choices}")
        raise ValueError(f"is not known{did_you_mean(value, allowed) or ';'} {choices}")

    return BeforeValidator(check)


def text(pattern: str, description: str, *, numbers: bool = False) -> BeforeValidator:
    """Text of a given form.

    :param numbers: whole numbers are taken as their decimal text.
    """
    form = re.compile(pattern)

    def check(value: Any) -> str:
        if numbers and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise ValueError(f"is not text; {description}")
        if not form.fullmatch(value):
            raise ValueError(f"is not valid; {description}")
        return value

    return BeforeValidator(check)


def listed(split: bool = False) -> BeforeValidator:
    """A list; null is an empty one, and with `split` so is a comma-separated text."""

    def check(value: Any) -> Any:
        if value is None:
            return ()
        if split and isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    return BeforeValidator(check)


def http_url(value: Any) -> str:
    """An http:// or https:// address."""
    form = "an address such as https://example.com/webhooks"
    if not isinstance(value, str):
        raise ValueError(f"is not text; {form}")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\x00-\x1f\x7f\\]", value):
        raise ValueError(f"is not a usable URL; {form}")
    return value


def did_you_mean(given: str, known: Sequence[str]) -> str:
    """`; did you mean "x"?` for the nearest known word, or nothing."""
    near = get_close_matches(given, known, n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def _plain(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)


def _flag(value: Any) -> bool:
    flag = to_flag(value)
    if flag is None:
        raise ValueError("is not a truth value; allowed: true, 1, yes, on, false, 0, no, off")
    return flag


def _optional() -> BeforeValidator:
    """Empty text counts as null, as environment variables and templates produce it."""
    return BeforeValidator(lambda value: None if value == "" else value)


Flag = Annotated[bool, BeforeValidator(_flag)]
Port = Annotated[int, whole(0, 65535)]
#: A limit in things or things per second; 0 is no limit.
Limit = Annotated[int, whole(1, 2**31 - 1, unlimited=True)]
Host = Annotated[str, text(r"[^\s/]+", "a host name or address")]
OptionalText = Annotated[str | None, _optional()]
#: Of AWS.
Region = Annotated[str, text(r"[a-z0-9-]+", "a region such as us-east-1")]
#: Start of every shared key or pub/sub channel of one kind.
Prefix = Annotated[str, text(r"[^\s{}]{1,128}", "1 to 128 characters without white space, { and }")]
