"""docs/protocol.md 5.8, second half: publishes that cannot be meant (H-37 to H-45, H-54)."""

from __future__ import annotations

from typing import Any

from tests.conformance.match import ANY, Matches
from tests.conformance.rule import LIMITED, Rule, Silent, connect, joins, post, publish, rule

GOOD: dict[str, Any] = {"name": "e", "channel": "~", "data": "{}"}
ERROR = {"error": Matches(".+"), "code": ANY}


def bad(id_: str, words: str, body: Any, status: int = 400, app: str = "main", free: bool = False) -> tuple[Rule, Rule]:
    """Refused as an event; the same in a batch, where the good one before it is not sent either."""
    more: dict[str, Any] = {"app": app, "free": free}
    alone = rule(id_, f"{words}: {status}", post("/events", body, status, ERROR), **more)
    if not isinstance(body, dict) or "channels" in body:
        return (alone, rule(id_, f"{words}, batch: 400", post("/batch_events", body, 400, ERROR), **more))
    batch = post("/batch_events", {"batch": [GOOD, body]}, status, ERROR)
    return (
        alone,
        rule(
            id_,
            f"{words}, in a batch: {status}, and nothing is sent",
            connect("a"),
            joins("a", "~"),
            batch,
            Silent("a"),
            **more,
        ),
    )


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


RULES = (
    *bad("H-37", "no JSON", "{"),
    *bad("H-37", "a JSON list", "[]"),
    *bad("H-37", "no UTF-8", b'{"name":"\xff"}'),
    rule("H-37", "an empty body: 400", post("/events", None, 400)),
    *bad("H-38", "no name", without("name")),
    *bad("H-38", "no data", without("data")),
    *bad("H-38", "no channel", without("channel")),
    *bad("H-38", "a name that is no text", GOOD | {"name": 7}),
    *bad("H-38", "an empty name", GOOD | {"name": ""}),
    *bad("H-38", "a channel that is no text", GOOD | {"channel": 7}),
    rule("H-38", "a batch that is no list: 400", post("/batch_events", {"batch": {}}, 400, ERROR)),
    rule("H-38", "a batch of things that are no objects: 400", post("/batch_events", {"batch": [1]}, 400, ERROR)),
    rule("H-39", "no channel in the list: 400", publish([], statuses=(400,), answer=ERROR), free=True),
    rule("H-40", "100 channels are allowed", publish([f"c{n}-~" for n in range(100)])),
    rule("H-40", "101 are not: 400", publish([f"c{n}-~" for n in range(101)], statuses=(400,), answer=ERROR)),
    rule(
        "H-40",
        "the app's own limit",
        publish(["1~", "2~", "3~"]),
        publish(["1~", "2~", "3~", "4~"], statuses=(400,)),
        app=LIMITED,
    ),
    *bad("H-41", "an event name of 201 characters", GOOD | {"name": "x" * 201}),
    *bad("H-41", "one character more than the app allows", GOOD | {"name": "x" * 21}, app=LIMITED),
    *bad("H-42", "a channel name with a blank", GOOD | {"channel": "a b"}, free=True),
    *bad("H-42", "a channel name with half a character", GOOD | {"channel": "a\ud83d"}, free=True),
    *bad("H-42", "a channel name of 201 characters", GOOD | {"channel": "x" * 201}, free=True),
    *bad("H-42", "a channel name that is the server's", GOOD | {"channel": "#connections"}, free=True),
    *bad("H-43", "data larger than 100 kB", GOOD | {"data": "x" * (100 * 1024 + 1)}, 413),
    *bad("H-43", "data larger than the app allows", GOOD | {"data": "x" * 1025}, 413, LIMITED),
    rule("H-44", "11 events in a batch: 400", post("/batch_events", {"batch": [GOOD] * 11}, 400, ERROR)),
    rule(
        "H-44",
        "the app's own limit",
        post("/batch_events", {"batch": [GOOD] * 2}),
        post("/batch_events", {"batch": [GOOD] * 3}, 400, ERROR),
        app=LIMITED,
    ),
    *bad("H-45", "a socket_id that is none", GOOD | {"socket_id": "nonsense"}, free=True),
    *bad("H-45", "a socket_id with a new line", GOOD | {"socket_id": "1.1\n"}, free=True),
    rule("H-54", "data of exactly 100 kB is allowed", connect("a"), publish("~", "e", "x" * (100 * 1024))),
    rule(
        "H-54",
        "sizes are bytes of UTF-8",
        publish("~", "e", "☃" * 342, statuses=(413,)),
        publish("~", "e", "☃" * 341),
        app=LIMITED,
    ),
)
