"""What a request says about history, and the opaque cursor that leads to a page's successor (H-67 to H-72).

Text in, values out; nothing is read here. The form of it all is Sockudo's.
"""

from __future__ import annotations

import base64
import re
from dataclasses import asdict
from typing import Any

import orjson

from engine.interfaces import Bounds, PageQuery
from engine.protocol.api_auth import Query

#: Items of one page.
MAX_LIMIT = 1000
#: A longer cursor was not given out here.
MAX_CURSOR = 4096

_DIRECTIONS = {
    "newest_first": True,
    "backwards": True,
    "reverse": True,
    "oldest_first": False,
    "forwards": False,
    "forward": False,
}
_NUMBER = re.compile(r"[0-9]{1,15}\Z")
#: The numbers of a query, and a shorter name of some.
_BOUNDS = {"start_serial": "", "end_serial": "", "start_time_ms": "start", "end_time_ms": "end"}


def page_query(app_id: str, channel: str, query: Query) -> tuple[PageQuery, str]:
    """What page is asked for, and the stream that its cursor is of ("" without one). Raises ValueError, whose text says
    what is wrong."""
    word = (query.get("direction") or "newest_first").lower()
    if word not in _DIRECTIONS:
        raise ValueError(f"Invalid direction '{word[:50]}'. Accepted values: {', '.join(_DIRECTIONS)}")
    limit = number(query, "limit")
    if limit == 0:
        raise ValueError("History limit must be greater than 0")
    bounds = Bounds(**{name: number(query, name, short) for name, short in _BOUNDS.items()})
    for start, end in (("start_serial", "end_serial"), ("start_time_ms", "end_time_ms")):
        least, most = getattr(bounds, start), getattr(bounds, end)
        if least is not None and most is not None and least > most:
            raise ValueError(f"{start} must be less than or equal to {end}")
    asked = PageQuery(min(limit or MAX_LIMIT, MAX_LIMIT), _DIRECTIONS[word], bounds)
    text = query.get("cursor")
    if not text:
        return asked, ""
    cursor = _decoded(text)
    expected = cursor_of(app_id, channel, "", 0, asked)
    for name in ("app_id", "channel", "direction", "bounds"):
        if cursor.get(name) != expected[name]:
            raise ValueError(f"History cursor {name} does not match the request")
    stream_id, serial = cursor.get("stream_id"), cursor.get("serial")
    if not isinstance(stream_id, str) or type(serial) is not int or not 0 <= serial < 2**53:
        raise ValueError("Invalid history cursor")
    return PageQuery(asked.limit, asked.newest_first, bounds, serial), stream_id


def cursor_of(app_id: str, channel: str, stream_id: str, serial: int, query: PageQuery) -> dict[str, Any]:
    """What a cursor says: the page begins behind that serial."""
    return {
        "version": 1,
        "app_id": app_id,
        "channel": channel,
        "stream_id": stream_id,
        "serial": serial,
        "direction": direction_of(query),
        "bounds": asdict(query.bounds),
    }


def encoded(cursor: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(cursor)).rstrip(b"=").decode()


def direction_of(query: PageQuery) -> str:
    return "newest_first" if query.newest_first else "oldest_first"


def number(query: Query, name: str, short: str = "") -> int | None:
    """A number of the query, perhaps by a shorter name; None without it. Raises ValueError, whose text says why."""
    text = query.get(name)
    if text is None and short:
        text = query.get(short)
    if not text:
        return None
    if _NUMBER.match(text) is None:
        raise ValueError(f"{name} must be a whole number of at most 15 digits")
    return int(text)


def _decoded(text: str) -> dict[str, Any]:
    try:
        if len(text) > MAX_CURSOR:
            raise ValueError
        cursor = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except ValueError:
        raise ValueError("Invalid history cursor") from None
    if not isinstance(cursor, dict) or cursor.get("version") != 1:
        raise ValueError("Invalid history cursor")
    return cursor
