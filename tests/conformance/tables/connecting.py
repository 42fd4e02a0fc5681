"""docs/protocol.md 1, first half: address, upgrade and first frame (C-1 to C-15), and who is turned away."""

from __future__ import annotations

from tests.conformance.match import ANY, JsonText, Matches, Number
from tests.conformance.rule import (
    DISABLED,
    ESTABLISHED,
    FULL,
    ORIGINS,
    SECURE,
    Closed,
    Silent,
    connect,
    gets,
    rule,
    turned_away,
)

#: What each library adds to the address (C-3).
LIBRARIES = {
    "pusher-js": "protocol=7&client=js&version=8.6.0&flash=false",
    "Swift": "client=pusher-websocket-swift&version=10.1.5&protocol=7",
    "Java": "client=java-client&protocol=5&version=2.4.4",
    ".NET": "protocol=5&client=pusher-dotnet-client&version=2.1.0",
    "Pysher": "client=Pysher&version=1.0.8&protocol=6",
}
PING = '{"event":"pusher:ping","data":""}'


def origin(words: str, value: str | None, allowed: bool) -> object:
    headers = {} if value is None else {"Origin": value}
    steps = connect("a", **headers) if allowed else turned_away(4009, **headers)
    return rule("C-33", f"origin: {words}", *steps, app=ORIGINS)


RULES = (
    rule("C-1", "GET /app/{key} is upgraded", connect("a"), Silent("a")),
    rule("C-2", "unknown query parameters are ignored", connect("a", query="x=1&protocol=7&%zz&y"), Silent("a")),
    *(rule("C-3", f"the address as {name} writes it", connect("a", query=q)) for name, q in LIBRARIES.items()),
    *(rule("C-4", f"protocol {n} is spoken", connect("a", query=f"protocol={n}")) for n in (5, 6, 7)),
    rule("C-4", "without a protocol it is a current one", connect("a", query="client=x"), free=True),
    rule("C-4", "a protocol that is no number: 4006", turned_away(4006, query="protocol=seven"), free=True),
    rule("C-4", "protocol 4 is too old: 4007", turned_away(4007, query="protocol=4"), free=True),
    rule("C-4", "protocol 8 is not known: 4007", turned_away(4007, query="protocol=8"), free=True),
    rule(
        "C-5",
        "compression that is offered may be declined",
        connect("a", **{"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}),
        Silent("a"),
    ),
    rule("C-6", "an unknown key is told on an open WebSocket", turned_away(4001, key="nobody-has-this-key")),
    rule("C-7", "a path that is none is told on an open WebSocket", turned_away(4005, key="<key>/more"), free=True),
    rule(
        "C-10",
        "connection_established comes at once",
        connect("a", first={"event": "pusher:connection_established", "data": ANY}),
    ),
    rule("C-11", "its data is text that holds JSON", connect("a", first=ESTABLISHED | {"data": JsonText({})})),
    rule("C-12", "nothing comes before it", connect("a", first=ESTABLISHED, early=(PING,))),
    rule(
        "C-13", "what a client sends before it is answered after", connect("a", early=(PING,)), gets("a", "pusher:pong")
    ),
    rule(
        "C-13",
        "and in order",
        connect("a", early=('{"event":"pusher:subscribe","data":{"channel":"~"}}', PING)),
        gets("a", "pusher_internal:subscription_succeeded", "{}", channel="~"),
        gets("a", "pusher:pong"),
    ),
    rule(
        "C-14",
        "socket_id is two numbers with a dot",
        connect("a", first=ESTABLISHED | {"data": JsonText({"socket_id": Matches(r"\d+\.\d+")})}),
    ),
    rule(
        "C-15",
        "activity_timeout is a positive number",
        connect("a", first=ESTABLISHED | {"data": JsonText({"activity_timeout": Number(1, 86400)})}),
    ),
    rule("C-26", "a long unknown key leaves the close reason short enough", turned_away(4001, key="k" * 300)),
    rule("C-27", "4000: the app is for TLS only", turned_away(4000), app=SECURE),
    rule(
        "C-27", "unless the proxy in front says that it is", connect("a", **{"X-Forwarded-Proto": "https"}), app=SECURE
    ),
    rule("C-27", "4001: unknown key", turned_away(4001, key="nobody-has-this-key")),
    rule("C-27", "4003: the app is disabled", turned_away(4003), app=DISABLED),
    rule(
        "C-27",
        "4004: one connection more than the app may have",
        connect("b"),
        connect("a", first={"event": "pusher:error", "data": {"code": 4004}}),
        Closed("a", (4004,)),
        Silent("b"),
        app=FULL,
    ),
    origin("with its scheme", "https://a.example", True),
    origin("in other case", "HTTPS://A.Example", True),
    origin("with another scheme than demanded", "http://a.example", False),
    origin("a host without a scheme, and its port", "http://b.example:8080", True),
    origin("another port", "http://b.example", False),
    origin("a sub-domain of *.", "https://deep.er.c.example", True),
    origin("the scheme of *.", "http://x.d.example", False),
    origin("a stranger", "https://evil.example", False),
    origin("a stranger with an allowed beginning", "https://a.example.evil.example", False),
    origin("none, where a list is set", None, False),
)
