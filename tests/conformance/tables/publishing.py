"""docs/protocol.md 5.2 and 5.3: POST events and batch_events (H-11 to H-22, H-56)."""

from __future__ import annotations

from typing import Any

from tests.conformance.match import Exactly, Number
from tests.conformance.rule import (
    Rule,
    Silent,
    connect,
    gets,
    joins,
    post,
    publish,
    rule,
)

MEMBER = {"user_id": "u"}
ONE_SUBSCRIBER = {"channels": {"~": {"subscription_count": 1}}}


def event(name: str = "e", channel: str = "~", data: Any = "{}", **more: Any) -> dict[str, Any]:
    return {"name": name, "channel": channel, "data": data, **more}


def batch(*events: dict[str, Any], **more: Any) -> Any:
    return post("/batch_events", {"batch": list(events)}, **more)


def passes(id_: str, words: str, data: str, name: str = "e") -> Rule:
    return rule(
        id_, f"{words} arrives as it is", connect("a"), joins("a", "~"), publish("~", name, data), gets("a", name, data)
    )


RULES = (
    rule(
        "H-11",
        "channels: a list of names",
        connect("a"),
        joins("a", "~1"),
        joins("a", "~2"),
        publish(["~1", "~2"]),
        gets("a", "e", channel="~1"),
        gets("a", "e", channel="~2"),
    ),
    rule(
        "H-11",
        "channel: one name",
        connect("a"),
        joins("a", "~"),
        post("/events", event()),
        gets("a", "e", "{}", channel="~"),
    ),
    passes("H-11", "text that is no JSON", "plain"),
    passes("H-11", "Unicode", "Zoë ☃ 𝄞 \u2028"),
    passes("H-11", "quotes, backslashes and control characters", '"\\\n\t\u0001'),
    passes("H-11", "a name with backslashes, dots and blanks", "{}", "App\\Events\\Order.Shipped now ☃"),
    rule(
        "H-11",
        "data that is an object becomes its JSON text",
        connect("a"),
        joins("a", "~"),
        publish("~", "e", {"a": [1, None]}),
        gets("a", "e", '{"a":[1,null]}'),
        free=True,
    ),
    passes("H-12", "empty data", ""),
    rule("H-12", "a name of 200 characters is allowed", publish("~", "x" * 200)),
    rule("H-13", "the answer without info is an empty object", publish("~", answer=Exactly({})), free=True),
    rule("H-13", "and its type is JSON", publish("~", headers={"content-type": "application/json"}), free=True),
    rule(
        "H-14",
        "info: one entry for each channel",
        connect("a"),
        joins("a", "presence-~", MEMBER),
        joins("a", "~"),
        publish(
            ["presence-~", "~", "nobody-~"],
            info="user_count,subscription_count",
            answer={
                "channels": Exactly(
                    {
                        "presence-~": {"user_count": 1, "subscription_count": 1},
                        "~": {"subscription_count": 1},
                        "nobody-~": {"subscription_count": 0},
                    }
                )
            },
        ),
    ),
    rule(
        "H-15",
        "socket_id gets nothing, on any channel",
        connect("a", "b"),
        *(joins(who, c) for who in "ab" for c in ("~1", "~2")),
        publish(["~1", "~2"], socket_id="<a>"),
        gets("b", "e", channel="~1"),
        gets("b", "e", channel="~2"),
        Silent("a"),
    ),
    rule(
        "H-15",
        "an unknown socket_id has no effect",
        connect("a"),
        joins("a", "~"),
        publish("~", socket_id="1.1"),
        gets("a", "e"),
    ),
    rule(
        "H-16",
        "a channel named twice gets it once",
        connect("a"),
        joins("a", "~"),
        publish(["~", "~"]),
        gets("a", "e"),
        Silent("a"),
        free=True,
    ),
    rule("H-16", "a channel that nobody is in is accepted", publish("nobody-~", answer={})),
    rule("H-16", "private and presence channels need no more", publish(["private-~", "presence-~"])),
    rule(
        "H-17",
        "user_count counts users, subscription_count connections",
        connect("a", "b"),
        joins("a", "presence-~", MEMBER),
        joins("b", "presence-~", MEMBER),
        publish(
            "presence-~",
            info="user_count,subscription_count",
            answer={"channels": {"presence-~": {"user_count": 1, "subscription_count": 2}}},
        ),
    ),
    rule(
        "H-18",
        "an attribute that does not apply is left out",
        publish("~", info="user_count", answer={"channels": {"~": Exactly({})}}),
    ),
    rule(
        "H-18",
        "one that nobody knows, too",
        publish("~", info="colour", answer={"channels": {"~": Exactly({})}}),
        free=True,
    ),
    rule(
        "H-20",
        "ten events in a batch",
        connect("a"),
        joins("a", "~"),
        batch(*(event(f"e{n}") for n in range(10))),
        *(gets("a", f"e{n}") for n in range(10)),
    ),
    rule(
        "H-20",
        "each may leave out a socket",
        connect("a", "b"),
        joins("a", "~"),
        joins("b", "~"),
        batch(event("one", socket_id="<a>"), event("two")),
        gets("b", "one"),
        gets("b", "two"),
        gets("a", "two"),
        Silent("a"),
    ),
    rule("H-21", "the answer without info is an empty object", batch(event(), answer=Exactly({})), free=True),
    rule(
        "H-21",
        "with info in any event: an array, index by index",
        connect("a"),
        joins("a", "presence-~", MEMBER),
        batch(
            event(),
            event(channel="presence-~", info="user_count"),
            event(info="subscription_count"),
            answer={"batch": [Exactly({}), {"user_count": 1}, {"subscription_count": Number(0, 0)}]},
        ),
    ),
    *(
        rule(
            "H-56",
            f"the same key again, by {where}: the first answer, and nothing is published",
            connect("a"),
            joins("a", "~"),
            publish("~", "one", info="subscription_count", answer=ONE_SUBSCRIBER, **with_key),
            publish("~", "two", answer=ONE_SUBSCRIBER, **with_key),
            publish("~", "three"),
            gets("a", "one"),
            gets("a", "three"),
            Silent("a"),
            free=True,
        )
        for where, with_key in (
            ("header", {"sent_headers": {"X-Idempotency-Key": "~"}}),
            ("body", {"idempotency_key": "~"}),
        )
    ),
    rule(
        "H-56",
        "a batch has one, too",
        connect("a"),
        joins("a", "~"),
        *(post("/batch_events", {"batch": [event("one")], "idempotency_key": "~"}) for _ in range(2)),
        gets("a", "one"),
        Silent("a"),
        free=True,
    ),
    rule(
        "H-56",
        "a key of more than 128 characters: 400",
        publish("~", idempotency_key="k" * 129, statuses=(400,)),
        free=True,
    ),
    rule(
        "H-22",
        "one bad event, and none is sent",
        connect("a"),
        joins("a", "~"),
        batch(event("good"), event(channel="a b"), status=400),
        Silent("a"),
        free=True,
    ),
)
