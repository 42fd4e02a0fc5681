"""docs/protocol.md 1, second half: frames, staying alive, errors and sizes (C-16 to C-32)."""

from __future__ import annotations

import json

from tests.conformance.match import ANY, JsonText, Matches, Number, OneOf
from tests.conformance.rule import (
    Closed,
    Gets,
    Send,
    Silent,
    Subscribe,
    connect,
    gets,
    joins,
    publish,
    roster,
    rule,
    send,
    signs_in,
)

#: A code that lets every library stay (C-30).
HARMLESS = OneOf((None, Number(4300, 4399)))
ERROR = {"event": "pusher:error", "data": {"code": HARMLESS, "message": Matches(".+")}}
BAD_MESSAGES = {
    "no JSON": "hello",
    "half a JSON": '{"event":"pusher:ping"',
    "a JSON list": "[1,2]",
    "no event": '{"data":{}}',
    "an event that is no text": '{"event":7}',
    "an unknown pusher: event": '{"event":"pusher:dance","data":{}}',
    "an event without client-": '{"event":"hello","data":{}}',
    "a subscription without data": '{"event":"pusher:subscribe"}',
    "a subscription without channel": '{"event":"pusher:subscribe","data":{}}',
    "a channel that is no text": '{"event":"pusher:subscribe","data":{"channel":7}}',
    "empty text": "",
}
PINGS = {"{}": "{}", "empty text": '""', "null": "null", "a number": "7"}

RULES = (
    rule(
        "C-16",
        "a binary frame is read as text",
        connect("a"),
        Send("a", b'{"event":"pusher:ping","data":{}}'),
        gets("a", "pusher:pong"),
        free=True,
    ),
    *(
        rule(
            "C-17",
            f"{what}: an error, and it stays open",
            connect("a"),
            Send("a", text),
            Gets("a", ERROR),
            Silent("a"),
            free=True,
        )
        for what, text in BAD_MESSAGES.items()
    ),
    rule(
        "C-18",
        "data of a published event is the text that was given",
        connect("a"),
        joins("a", "~"),
        publish("~", "e", '{ "a" : 1 }'),
        gets("a", "e", '{ "a" : 1 }', channel="~"),
    ),
    rule("C-18", "data of subscription_succeeded is text", connect("a"), joins("a", "~", data="{}")),
    rule("C-18", "also with members", connect("a"), joins("a", "presence-~", {"user_id": "u"}, roster(1, ANY))),
    rule(
        "C-18",
        "data of pong is text",
        connect("a"),
        send("a", "pusher:ping", {}),
        gets("a", "pusher:pong", Matches(".*")),
    ),
    rule(
        "C-18",
        "data of signin_success is an object",
        connect("a"),
        signs_in("a")[0],
        gets("a", "pusher:signin_success", {"user_data": JsonText({"id": "~user"})}),
        needs="user sign-in",
    ),
    rule("C-19", "data of an error is an object, for .NET", connect("a"), Send("a", "?"), Gets("a", ERROR)),
    *(
        rule(
            "C-20",
            f"a ping with {what} is answered",
            connect("a"),
            Send("a", f'{{"event":"pusher:ping","data":{data}}}'),
            gets("a", "pusher:pong"),
        )
        for what, data in PINGS.items()
    ),
    rule(
        "C-20",
        "a ping without data is answered",
        connect("a"),
        send("a", "pusher:ping"),
        gets("a", "pusher:pong", "{}"),
    ),
    rule(
        "C-21",
        "a silent client is pinged, with data",
        connect("a"),
        gets("a", "pusher:ping", "{}"),
        send("a", "pusher:pong", {}),
        Silent("a"),
        needs="a short activity_timeout",
    ),
    rule("C-22", "a pong without a ping is no mistake", connect("a"), send("a", "pusher:pong", {}), Silent("a")),
    rule(
        "C-23",
        "a client that answers nothing is closed with 4201 (a page; others may answer by frame)",
        connect("a", origin="https://a.example"),
        gets("a", "pusher:error", {"code": 4201}),
        Closed("a", (4201,)),
        needs="a short activity_timeout",
        slow=True,
    ),
    rule(
        "C-24",
        "an error has a code and a message",
        connect("a"),
        Send("a", "?"),
        gets("a", "pusher:error", {"code": ANY, "message": Matches(".+")}),
    ),
    rule(
        "C-30",
        "a refused subscription leaves the connection alone",
        connect("a"),
        Subscribe("a", "private-~", auth="<key>:" + "0" * 64),
        gets("a", "pusher:subscription_error", channel="private-~"),
        joins("a", "~"),
        free=True,
    ),
    rule(
        "C-31",
        "a message of 60 kB is taken",
        connect("a"),
        send("a", "pusher:ping", {"x": "x" * 60_000}),
        gets("a", "pusher:pong"),
    ),
    rule(
        "C-32",
        "one that is too big closes with 1009",
        connect("a"),
        Send("a", json.dumps({"event": "x" * 70_000})),
        Closed("a", (1009,)),
        needs="a limit of 64 kB",
    ),
)
