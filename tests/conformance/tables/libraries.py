"""The same rules as the official libraries see them: pusher-js, laravel-echo, pusher-http-node, pusher-http-python."""

from __future__ import annotations

from typing import Any

from tests.conformance.match import ANY, Exactly, Matches
from tests.conformance.rule import (
    Closed,
    Gets,
    Library,
    Rule,
    Send,
    Step,
    Subscribe,
    connect,
    gets,
    joins,
    publish,
    roster,
    rule,
    signs_in,
    succeeded,
)

MASTER = {"masterKey": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
ROOM = "presence-~"
SIGN_IN = "user sign-in"


def js(name: str, result: Any = ANY, who: str = "a", client: str = "~", raises: str = "", **args: Any) -> Library:
    return Library(f"pusher.{name}", {"who": who, "client": f"{client}-{who}", **args}, result, raises)


def takes(who: str = "a", **like: Any) -> Library:
    return js("take", like, who, like={name: value for name, value in like.items() if isinstance(value, str | int)})


def echo(name: str, result: Any = ANY, who: str = "a", **args: Any) -> Library:
    return Library(f"echo.{name}", {"who": who, "client": f"~-{who}", **args}, result)


def bye(*who: str, of: Any = js) -> tuple[Step, ...]:
    return tuple(of("disconnect", who=each) for each in who)


def python(method: str, result: Any = ANY, raises: str = "", **args: Any) -> Library:
    return Library(f"python.{method}", args, result, raises)


def node(method: str, body: Any = ANY, *args: Any, status: int = 200) -> Library:
    return Library("server.call", {"who": "", "method": method, "args": list(args)}, {"status": status, "body": body})


def member(name: str) -> dict[str, Any]:
    return {"user_id": name, "user_info": {"name": name}}


def sdk(id_: str, words: str, *steps: Any, **more: Any) -> Rule:
    return rule(id_, words, *steps, **more)


RULES = (
    sdk("C-10", "pusher-js connects", js("connect", Matches(r"\d+\.\d+")), bye("a")),
    sdk(
        "N-10",
        "pusher-js subscribes and gets what is published",
        js("connect"),
        js("subscribe", {"ok": True}, channel="~"),
        publish("~", "e", '{"n":1}'),
        takes(kind="channel", event="e", data={"n": 1}),
        bye("a"),
    ),
    sdk(
        "N-10",
        "pusher-js on a private channel",
        js("connect"),
        js("subscribe", {"ok": True}, channel="private-~"),
        bye("a"),
    ),
    sdk(
        "N-11",
        "pusher-js sees the members",
        connect("b"),
        joins("b", ROOM, member("u2")),
        js("connect", member=member("u1")),
        js(
            "subscribe",
            {"ok": True, "data": {"count": 2, "me": "u1", "members": {"u1": {"name": "u1"}, "u2": {"name": "u2"}}}},
            channel=ROOM,
        ),
        bye("a"),
    ),
    sdk(
        "N-21",
        "pusher-js sees them come",
        js("connect", member=member("u1")),
        js("subscribe", channel=ROOM),
        connect("b"),
        joins("b", ROOM, member("u2")),
        js(
            "take",
            {"data": {"id": "u2", "info": {"name": "u2"}}},
            like={"kind": "channel", "event": "pusher:member_added"},
        ),
        bye("a"),
    ),
    sdk(
        "N-15",
        "pusher-js tells its user of a refusal",
        js("connect", app={"secret": "guessed"}),
        js("subscribe", {"ok": False, "data": {"type": "AuthError", "status": 401}}, channel="private-~"),
        bye("a"),
        free=True,
    ),
    sdk(
        "N-30",
        "pusher-js gets a cached event",
        js("connect"),
        publish("cache-~", "e", '"last"'),
        js("subscribe", {"ok": True}, channel="cache-~"),
        takes(kind="channel", event="e", data="last"),
        bye("a"),
    ),
    sdk(
        "N-30",
        "pusher-js gets a miss",
        js("connect"),
        js("subscribe", {"ok": True}, channel="cache-~"),
        js("take", like={"kind": "channel", "event": "pusher:cache_miss"}),
        bye("a"),
    ),
    sdk(
        "N-33",
        "pusher-http-node encrypts and pusher-js decrypts",
        js("connect", app=MASTER),
        js("subscribe", {"ok": True}, channel="private-encrypted-~"),
        Library(
            "server.call",
            {"app": MASTER, "method": "trigger", "args": ["private-encrypted-~", "e", {"deep": "secret"}]},
            {"status": 200},
        ),
        takes(kind="channel", event="e", data={"deep": "secret"}),
        bye("a"),
    ),
    sdk(
        "E-4",
        "pusher-js sends a client event to another",
        js("connect"),
        js("connect", who="b"),
        *(js("subscribe", who=who, channel="private-~") for who in "ab"),
        js("trigger", True, who="b", channel="private-~", event="client-x", data={"n": [1]}),
        takes(kind="channel", event="client-x", data={"n": [1]}),
        bye("a", "b"),
        needs="client messages",
    ),
    sdk(
        "E-4",
        "pusher-js sends a text that was cut within an emoji, as a member whose name was",
        js("connect", member={"user_id": "u1", "user_info": {"name": "x\ud83d"}}),
        js("connect", who="b", member=member("u2")),
        js("subscribe", channel=ROOM),
        js("subscribe", who="b", channel=ROOM),
        js("trigger", True, channel=ROOM, event="client-x", data={"cut": "\ud83d"}),
        takes("b", kind="channel", event="client-x", data={"cut": "\ud83d"}),
        js("trigger", True, who="b", channel=ROOM, event="client-y", data="\ude00"),
        takes("a", kind="channel", event="client-y", data="\ude00"),
        bye("a", "b"),
        needs="client messages",
    ),
    sdk(
        "E-9",
        "pusher-js is told who sent it",
        js("connect", member=member("u1")),
        js("connect", who="b", member=member("u2")),
        js("subscribe", channel=ROOM, events=["client-x"]),
        js("subscribe", who="b", channel=ROOM),
        js("trigger", who="b", channel=ROOM, event="client-x", data={}),
        takes(kind="bound", event="client-x", user="u2"),
        bye("a", "b"),
        needs="client messages",
    ),
    sdk(
        "U-3",
        "pusher-js signs in",
        js("connect", user={"id": "~u"}),
        js("signin", {"id": "~u"}),
        bye("a"),
        needs=SIGN_IN,
    ),
    sdk(
        "U-8",
        "and gets what pusher-http-node sends to its user",
        js("connect", user={"id": "~u"}),
        js("signin"),
        node("sendToUser", ANY, "~u", "e", {"n": 1}),
        takes(kind="user", event="e", data={"n": 1}),
        bye("a"),
        needs=SIGN_IN,
    ),
    sdk(
        "U-11",
        "pusher-http-node terminates a user",
        connect("a"),
        signs_in("a", "~u"),
        node("terminateUserConnections", {}, "~u"),
        Closed("a", (4009,)),
        needs=SIGN_IN,
    ),
    sdk(
        "N-23",
        "Echo joins and sees who is here",
        connect("b"),
        joins("b", ROOM, member("u2")),
        echo("connect", member=member("u1")),
        echo("join", [ANY, ANY], channel="~"),
        bye("a", of=echo),
    ),
    sdk(
        "N-6",
        "Echo's private channel and whispers",
        echo("connect"),
        connect("b"),
        Subscribe("b", "private-~"),
        Gets("b", succeeded("private-~")),
        echo("listen", True, kind="private", channel="~", events=["OrderShipped"], whispers=["typing"]),
        publish("private-~", "App\\Events\\OrderShipped", '{"n":1}'),
        echo("take", {"data": {"n": 1}}, like={"kind": "event"}),
        Send("b", {"event": "client-typing", "data": {"on": 1}, "channel": "private-~"}),
        echo("take", {"data": {"on": 1}}, like={"kind": "whisper"}),
        bye("a", of=echo),
        needs="client messages",
    ),
    sdk(
        "H-13",
        "pusher-http-python publishes",
        connect("a"),
        joins("a", "~"),
        python("trigger", Exactly({}), channels=["~"], event_name="e", data={"n": 1}),
        gets("a", "e", '{"n": 1}'),
    ),
    sdk(
        "H-21",
        "pusher-http-python publishes a batch",
        connect("a"),
        joins("a", "~"),
        python(
            "trigger_batch", Exactly({}), batch=[{"channel": "~", "name": f"e{n}", "data": str(n)} for n in range(3)]
        ),
        gets("a", "e2", "2"),
    ),
    sdk(
        "H-7",
        "pusher-http-python lists channels",
        connect("a"),
        joins("a", ROOM, member("u1")),
        python("channels_info", {"channels": {ROOM: {"user_count": 1}}}, prefix_filter=ROOM, attributes=["user_count"]),
    ),
    sdk(
        "H-26",
        "pusher-http-python asks for a channel",
        connect("a"),
        joins("a", "~"),
        python(
            "channel_info", {"occupied": True, "subscription_count": 1}, channel="~", attributes=["subscription_count"]
        ),
    ),
    sdk(
        "H-29",
        "pusher-http-python asks for users",
        connect("a"),
        joins("a", ROOM, member("u1")),
        python("users_info", {"users": [{"id": "u1"}]}, channel=ROOM),
    ),
    sdk(
        "H-30",
        "pusher-http-python terminates a user",
        connect("a"),
        signs_in("a", "~u"),
        python("terminate_user_connections", user_id="~u"),
        Closed("a", (4009,)),
        needs=SIGN_IN,
        free=True,
    ),
    sdk(
        "H-27",
        "pusher-http-python is told of a bad question",
        python("channel_info", raises="PusherBadRequest", channel="~", attributes=["user_count"]),
    ),
    sdk(
        "H-14",
        "pusher-http-node asks for counts when it publishes",
        connect("a"),
        joins("a", ROOM, member("u1")),
        node("trigger", {"channels": {ROOM: {"user_count": 1}}}, ROOM, "e", {}, {"info": "user_count"}),
    ),
    sdk(
        "H-21",
        "pusher-http-node publishes a batch",
        connect("a"),
        joins("a", "~"),
        node("triggerBatch", {}, [{"channel": "~", "name": "e", "data": {"n": 1}}]),
        gets("a", "e", '{"n":1}'),
    ),
    sdk(
        "H-23",
        "pusher-http-node lists channels",
        connect("a"),
        joins("a", ROOM, member("u1")),
        node(
            "get",
            {"channels": {ROOM: {"user_count": 1}}},
            {"path": "/channels", "params": {"filter_by_prefix": ROOM, "info": "user_count"}},
        ),
    ),
    sdk(
        "N-11",
        "the snapshot counts one member of two libraries once",
        js("connect", member=member("u1")),
        js("subscribe", channel=ROOM),
        connect("b"),
        joins("b", ROOM, member("u1"), roster(1, {"u1": ANY})),
        bye("a"),
    ),
)
