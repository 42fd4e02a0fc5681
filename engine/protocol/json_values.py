"""JSON whose texts may have been cut within a character (lone surrogates), and numbers as JavaScript prints them.

Read where the server must know what something means; whatever it only carries is handed on as it was spelled, by
`_fast.json_text`. Pure.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

import orjson

from engine._fast import json_text

_LONE = re.compile("[\ud800-\udfff]")
_DIGITS = re.compile(r"-?[0-9]+\Z")


def loads(text: bytes | str) -> Any:
    """What a JSON text says. Raises ValueError, also for one that is nested too deeply.

    As orjson reads it, but for escapes of lone surrogates: they are valid JSON (RFC 8259 section 8.2), and are read.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raw = text if isinstance(text, bytes) else spelled(text)
        json_text.members(raw)  # the standard library's reader lets pass what is no JSON
    try:
        return json.loads(raw, parse_float=_finite)
    except RecursionError as problem:
        raise ValueError("nested too deeply") from problem


def dumps(value: Any) -> bytes:
    """A value as compact JSON in UTF-8, with lone surrogates as escapes."""
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate or a number beyond 64 bits
        return spelled(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def spelled(text: str) -> bytes:
    """A JSON text in UTF-8. A lone surrogate, which there is none of in UTF-8, becomes the escape that means it."""
    return text.encode("utf-8", "backslashreplace")


def signed(text: str) -> bytes:
    """What is signed for a text: UTF-8 as Node.js and browsers write it, with U+FFFD for a lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _LONE.sub("\ufffd", text).encode()


def compact_bytes(text: bytes) -> int:
    """The size of a JSON value apart from how it was spelled: without white space, and with escapes resolved."""
    return len(dumps(loads(text)))


def whole_number(text: str) -> str | None:
    """A whole JSON number as JavaScript prints it (ECMAScript's Number::toString): ``10.0`` as 10, ``1e3`` as 1000.
    None for any other number.

    One written in digits alone stays as it is: past 2^53 JavaScript would make one of many.
    """
    if _DIGITS.match(text):
        return text if text != "-0" else "0"
    value = float(text)
    if not value.is_integer():
        return None
    if abs(value) >= 1e21:
        return repr(value)
    # By its shortest digits, as JavaScript does, which past 2^53 are not those of the exact number.
    return str(int(Decimal(repr(value))))


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is out of range")
    return value
