"""docs/protocol.md 3: client events (E-1 to E-10)."""

from __future__ import annotations

from typing import Any

from tests.conformance.match import ABSENT, ANY, Matches
from tests.conformance.rule import (
    LIMITED,
    QUIET,
    Gets,
    Rule,
    Silent,
    Step,
    Subscribe,
    connect,
    gets,
    joins,
    rule,
    send,
    signs_in,
)

ROOM = "private-~"
NEEDS = "client messages"
#: Data that clients send (E-4); the same value must come out.
VALUES = {
    "an object": {"a": {"b": [1, 2.5, None, True]}, "ü": "☃"},
    "text": "plain",
    "text that holds JSON, as Java sends it": '{"on":true}',
    "a text that was cut within a character": "x\ud83d",
    "an object with half a character": {"a": ["\ude00"]},
    "a list": [1, "x"],
    "a number": 7,
    "true": True,
    "null": None,
}


def both(channel: str = ROOM, **more: Any) -> tuple[Step, ...]:
    return (*connect("a", "b"), *joins("a", channel), *joins("b", channel))


def row(id_: str, words: str, *steps: Any, **more: Any) -> Rule:
    return rule(id_, words, *steps, **{"needs": NEEDS} | more)


def error(who: str, code: object = 4301, **more: Any) -> Gets:
    return gets(who, "pusher:error", {"code": code, "message": Matches(".+")}, **more)


RULES = (
    row(
        "E-1",
        "a client event reaches another subscriber",
        both(),
        send("b", "client-typing", {"on": True}, ROOM),
        gets("a", "client-typing", {"on": True}, channel=ROOM),
    ),
    row(
        "E-1",
        "a name without the hyphen is none",
        both(),
        send("b", "clienttyping", {}, ROOM),
        gets("b", "pusher:error"),
        Silent("a"),
        free=True,
    ),
    *(
        row(
            "E-2",
            f"allowed on {prefix}",
            both(f"{prefix}~"),
            send("b", "client-x", 1, f"{prefix}~"),
            gets("a", "client-x", 1),
        )
        for prefix in ("private-", "private-cache-", "private-encrypted-")
    ),
    row(
        "E-2",
        "allowed on presence-cache-",
        connect("a", "b"),
        *(joins(who, "presence-cache-~", {"user_id": who}) for who in "ab"),
        send("b", "client-x", 1, "presence-cache-~"),
        gets("a", "client-x", 1),
    ),
    row(
        "E-3", "the sender does not get it", both(), send("b", "client-x", {}, ROOM), gets("a", "client-x"), Silent("b")
    ),
    row(
        "E-3",
        "nor do other channels",
        connect("a", "b"),
        joins("a", "private-other-~"),
        joins("b", ROOM),
        send("b", "client-x", {}, ROOM),
        Silent("b"),
        Silent("a"),
    ),
    row(
        "E-3",
        "events of one sender arrive in order",
        both(),
        *(send("b", f"client-{n}", n, ROOM) for n in range(5)),
        *(gets("a", f"client-{n}", n) for n in range(5)),
    ),
    *(
        row(
            "E-4",
            f"{words} comes out as it went in",
            both(),
            send("b", "client-x", value, ROOM),
            gets("a", "client-x", value),
        )
        for words, value in VALUES.items()
    ),
    row(
        "E-4",
        "without data it is null, for Java",
        both(),
        send("b", "client-x", channel=ROOM),
        gets("a", "client-x", None),
        free=True,
    ),
    row(
        "E-4",
        "other members are not passed on",
        both(),
        send("b", "client-x", {}, ROOM, userId="forged", extra=1),
        gets("a", "client-x", {}, userId=ABSENT, extra=ABSENT),
    ),
    row(
        "E-5",
        "not subscribed: an error, and nobody gets it",
        connect("a", "b"),
        joins("a", ROOM),
        send("b", "client-x", {}, ROOM),
        gets(
            "b",
            "pusher:error",
            {
                "code": None,
                "message": Matches(r"Cannot broadcast client event \(connection not subscribed to channel .*\)"),
            },
        ),
        Silent("a"),
        Silent("b"),
        free=True,
    ),
    rule(
        "E-6",
        "client messages are off by default: 4301, and it stays open",
        both(),
        send("b", "client-x", {}, ROOM),
        error("b", channel=ROOM),
        Silent("a"),
        Silent("b"),
        app=QUIET,
    ),
    row(
        "E-7",
        "public channel: refused",
        connect("a", "b"),
        joins("a", "~"),
        joins("b", "~"),
        send("b", "client-x", {}, "~"),
        error("b", ANY),
        Silent("a"),
        Silent("b"),
        free=True,
    ),
    row(
        "E-7",
        "public cache channel: refused",
        connect("a", "b"),
        joins("a", "cache-~"),
        gets("a", "pusher:cache_miss"),
        joins("b", "cache-~"),
        send("b", "client-x", {}, "cache-~"),
        error("b", ANY),
        Silent("a"),
        free=True,
    ),
    row("E-7", "no channel: refused", connect("a"), send("a", "client-x", {}), error("a", ANY), free=True),
    row(
        "E-8",
        "more than the app allows in a second: 4301, and it stays open",
        both(),
        *(send("b", "client-x", n, ROOM) for n in range(25)),
        error("b", channel=ROOM),
        gets("a", "client-x", 0),
        joins("b", "~"),
        app=LIMITED,
    ),
    row(
        "E-8",
        "name longer than the app allows: 4301",
        both(),
        send("b", "client-" + "x" * 14, {}, ROOM),
        error("b", channel=ROOM),
        Silent("a"),
        app=LIMITED,
    ),
    row(
        "E-8",
        "data larger than the app allows: 4301",
        both(),
        send("b", "client-x", "x" * 1100, ROOM),
        error("b", channel=ROOM),
        Silent("a"),
        app=LIMITED,
    ),
    row(
        "E-8",
        "a name of 200 characters is allowed",
        both(),
        send("b", "client-" + "x" * 193, {}, ROOM),
        gets("a", "client-" + "x" * 193),
    ),
    row(
        "E-9",
        "presence: the sender's user_id from the server's own record",
        connect("a", "b"),
        joins("a", "presence-~", {"user_id": "u1"}),
        joins("b", "presence-~", {"user_id": 2}),
        send("b", "client-x", {}, "presence-~", user_id="forged"),
        gets("a", "client-x", {}, user_id="2"),
    ),
    row(
        "E-9",
        "not on private channels",
        both(),
        send("b", "client-x", {}, ROOM, user_id="forged"),
        gets("a", "client-x", {}, user_id=ABSENT),
    ),
    row(
        "E-9",
        "also not when signed in",
        connect("a", "b"),
        joins("a", ROOM),
        signs_in("b"),
        Subscribe("b", ROOM),
        gets("b", "pusher_internal:subscription_succeeded"),
        send("b", "client-x", {}, ROOM),
        gets("a", "client-x", {}, user_id=ABSENT),
        needs="client messages and user sign-in",
    ),
)
