"""docs/protocol.md 4: sign-in, messages to users, termination and watchlists (U-1 to U-15)."""

from __future__ import annotations

from typing import Any

from tests.conformance.match import AnyOrder, JsonText, Matches
from tests.conformance.rule import (
    Closed,
    Gets,
    Leave,
    Rule,
    Signed,
    SignIn,
    Silent,
    Step,
    Subscribe,
    connect,
    get,
    gets,
    joins,
    post,
    publish,
    refused_subscription,
    rule,
    signs_in,
    succeeded,
)

MINE = "#server-to-user-~user"
SIGNED_IN = {"event": "pusher:signin_success"}
WATCH = "pusher_internal:watchlist_events"
DATA = '{"id":"~user"}'


def row(id_: str, words: str, *steps: Any, **more: Any) -> Rule:
    return rule(id_, words, *steps, **{"needs": "user sign-in"} | more)


def refused(words: str, auth: Any, data: str = DATA) -> Rule:
    told = gets("a", "pusher:error", {"code": 4009, "message": Matches(".+")})
    return row(
        "U-4",
        f"{words}: 4009, as error and as close code",
        connect("a"),
        SignIn("a", data, auth),
        told,
        Closed("a", (4009,)),
        free=True,
    )


def status(who: str, *changes: tuple[str, tuple[str, ...]]) -> Gets:
    events = [{"name": name, "user_ids": AnyOrder(ids)} for name, ids in changes]
    return gets(who, WATCH, JsonText({"events": events}))


def watched(id_: str, words: str, *steps: Any) -> Rule:
    return row(id_, words, *steps, needs="user sign-in and watchlists")


def watching(who: str, *ids: str) -> tuple[Step, ...]:
    return signs_in(who, "~watcher", watchlist=list(ids))


RULES = (
    row(
        "U-1",
        "socket_id::user::user_data is signed",
        connect("a"),
        SignIn("a", DATA, Signed(f"<a>::user::{DATA}")),
        Gets("a", SIGNED_IN),
    ),
    row(
        "U-2",
        "user_info, watchlist and more are allowed",
        connect("a"),
        signs_in("a", user_info={"n": "☃"}, watchlist=[], more=1),
    ),
    row(
        "U-3",
        "success repeats user_data as it came",
        connect("a"),
        SignIn("a", '{ "id" : "~user" }'),
        gets("a", "pusher:signin_success", {"user_data": '{ "id" : "~user" }'}),
    ),
    row(
        "U-3",
        "with half a character in it too",
        connect("a"),
        SignIn("a", r'{"id":"~user","user_info":{"cut":"x\ud83d"}}'),
        gets("a", "pusher:signin_success", {"user_data": r'{"id":"~user","user_info":{"cut":"x\ud83d"}}'}),
        joins("a", "presence-~", None, JsonText({"presence": {"hash": {"~user": {"cut": "x\ud83d"}}, "count": 1}})),
    ),
    refused("a wrong secret", Signed(f"<a>::user::{DATA}", secret="guessed")),
    refused("a wrong key", Signed(f"<a>::user::{DATA}", key="other")),
    refused("another socket's signature", Signed(f"1.1::user::{DATA}")),
    refused("the form of an example in Pusher's documentation", "<key>::user::" + "0" * 64),
    refused("no id", None, '{"user_info":{}}'),
    refused("an empty id", None, '{"id":""}'),
    refused("an id that is a number", None, '{"id":7}'),
    refused("no JSON", None, "hello"),
    row("U-4", "signing in again as the same user succeeds", connect("a"), signs_in("a"), signs_in("a"), Silent("a")),
    row(
        "U-4",
        "as another user it fails, and the first stays",
        connect("a"),
        signs_in("a"),
        SignIn("a", {"id": "~other"}),
        gets("a", "pusher:error"),
        publish(MINE, "e", "d"),
        gets("a", "e", "d"),
        free=True,
    ),
    row(
        "U-8",
        "a message to a user reaches every connection of it",
        connect("a", "b", "c"),
        signs_in("a"),
        signs_in("b"),
        signs_in("c", "~other"),
        publish(MINE, "e", "d"),
        gets("a", "e", "d", channel=MINE),
        gets("b", "e", "d", channel=MINE),
        Silent("c"),
    ),
    row("U-8", "one to a user that is not there is accepted", publish(MINE, answer={})),
    row(
        "U-9",
        "one's own channel is joined after signing in, without auth",
        connect("a"),
        signs_in("a"),
        Subscribe("a", MINE, auth=""),
        Gets("a", succeeded(MINE)),
    ),
    row(
        "U-9",
        "and every event still comes once",
        connect("a"),
        signs_in("a"),
        joins("a", MINE),
        publish(MINE),
        gets("a", "e"),
        Silent("a"),
    ),
    row(
        "U-9",
        "not before signing in",
        connect("a"),
        Subscribe("a", MINE),
        refused_subscription("a", MINE),
        publish(MINE),
        Silent("a"),
        free=True,
    ),
    row(
        "U-9",
        "not another user's",
        connect("a"),
        signs_in("a", "~other"),
        Subscribe("a", MINE),
        refused_subscription("a", MINE),
        publish(MINE),
        Silent("a"),
        free=True,
    ),
    row(
        "U-9",
        "not with a signature of a channel either",
        connect("a"),
        Subscribe("a", MINE, auth=Signed(f"<a>:{MINE}")),
        refused_subscription("a", MINE),
        free=True,
    ),
    row(
        "U-10",
        "it is in no list of channels",
        connect("a"),
        signs_in("a"),
        joins("a", MINE),
        get("/channels", {"channels": {}}, filter_by_prefix="#server"),
    ),
    row(
        "U-11",
        "terminating closes every connection signed in as the user",
        connect("a", "b", "c"),
        signs_in("a"),
        signs_in("b"),
        signs_in("c", "~other"),
        post("/users/~user/terminate_connections", {}, answer={}),
        Closed("a", (4009,)),
        Closed("b", (4009,)),
        Silent("c"),
    ),
    row(
        "U-11",
        "a presence member of that id stays",
        connect("a"),
        joins("a", "presence-~", {"user_id": "~user"}),
        post("/users/~user/terminate_connections", {}),
        Silent("a"),
    ),
    row(
        "U-12",
        "it is told 4009 first",
        connect("a"),
        signs_in("a"),
        post("/users/~user/terminate_connections", {}),
        gets("a", "pusher:error", {"code": 4009, "message": Matches(".+")}),
        Closed("a", (4009,)),
    ),
    row(
        "U-12",
        "force_reconnect sends it back at once, with 4200",
        connect("a", "b"),
        signs_in("a"),
        signs_in("b", "~other"),
        post("/users/~user/force_reconnect", {}, answer={}),
        Closed("a", (4200,)),
        Silent("b"),
        free=True,
    ),
    watched(
        "U-13",
        "more than 100 ids: 4302, and signed in",
        connect("a"),
        SignIn("a", {"id": "~watcher", "watchlist": [f"u{n}-~" for n in range(101)]}),
        Gets("a", SIGNED_IN),
        gets("a", "pusher:error", {"code": 4302}),
        publish("#server-to-user-~watcher"),
        gets("a", "e"),
    ),
    watched(
        "U-14",
        "the present state comes after signing in",
        connect("a", "b"),
        signs_in("b", "~x"),
        watching("a", "~x", "~y"),
        status("a", ("online", ("~x",)), ("offline", ("~y",))),
    ),
    watched(
        "U-14",
        "a watched user comes",
        connect("a", "b"),
        watching("a", "~x"),
        status("a", ("offline", ("~x",))),
        signs_in("b", "~x"),
        status("a", ("online", ("~x",))),
    ),
    watched(
        "U-14",
        "and goes",
        connect("a", "b"),
        signs_in("b", "~x"),
        watching("a", "~x"),
        status("a", ("online", ("~x",))),
        Leave("b"),
        status("a", ("offline", ("~x",))),
    ),
    watched(
        "U-14",
        "its second connection changes nothing",
        connect("a", "b", "c"),
        signs_in("b", "~x"),
        watching("a", "~x"),
        status("a", ("online", ("~x",))),
        signs_in("c", "~x"),
        Silent("c"),
        Silent("a"),
        Leave("c"),
        Silent("a"),
        Leave("b"),
        status("a", ("offline", ("~x",))),
    ),
    watched(
        "U-15",
        "only lists that are not empty are sent",
        connect("a", "b"),
        signs_in("b", "~x"),
        watching("a", "~x"),
        status("a", ("online", ("~x",))),
        Silent("a"),
    ),
    watched("U-15", "without a watchlist nothing is sent", connect("a"), signs_in("a"), Silent("a")),
)
