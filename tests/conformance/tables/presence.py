"""docs/protocol.md 2.3: members (N-11, N-12, N-18 to N-22)."""

from __future__ import annotations

from typing import Any

from tests.conformance.match import ANY, AnyOrder, Exactly, JsonText
from tests.conformance.rule import (
    LIMITED,
    Call,
    Gets,
    Leave,
    Next,
    Rule,
    Signed,
    Silent,
    Step,
    Subscribe,
    connect,
    get,
    gets,
    joins,
    refused_subscription,
    roster,
    rule,
    send,
    signs_in,
    succeeded,
)

ROOM = "presence-~"
ADDED, REMOVED = "pusher_internal:member_added", "pusher_internal:member_removed"
ALICE: dict[str, Any] = {"user_id": "u1", "user_info": {"name": "Alice"}}
BOB: dict[str, Any] = {"user_id": "u2", "user_info": {"name": "Bob"}}
SPELLED = r'{ "cut": "x\ud83d", "n": 1.0e2, "t": "\/\u00e9" }'
CUT: dict[str, Any] = {"user_id": "u2", "user_info": {"cut": "x\ud83d", "n": 100, "t": "/é"}}
ROBERT: dict[str, Any] = {"user_id": "u2", "user_info": {"name": "Robert"}}
SIGN_IN = "user sign-in"


def member(who: str, of: dict[str, Any]) -> tuple[Step, ...]:
    return joins(who, ROOM, of)


def added(who: str, **of: Any) -> Gets:
    return gets(who, ADDED, JsonText(of), channel=ROOM)


def removed(who: str, user: str) -> Gets:
    return gets(who, REMOVED, JsonText({"user_id": user}), channel=ROOM)


def ids(*users: str) -> Step:
    return get(f"/channels/{ROOM}/users", {"users": AnyOrder(tuple({"id": user} for user in users))}, eventually=True)


def shown(of: dict[str, Any]) -> dict[str, Any]:
    return {"id": of["user_id"], "user_info": of["user_info"]}


def bad_data(words: str, data: str | None) -> Rule:
    text = "<a>:presence-~" if data is None else f"<a>:presence-~:{data}"
    return rule(
        "N-20",
        f"{words} is refused, though signed",
        connect("a"),
        Subscribe("a", ROOM, data, Signed(text)),
        refused_subscription("a", ROOM),
        ids(),
        free=True,
    )


RULES = (
    rule(
        "N-11",
        "the snapshot has ids, hash and count, oneself included",
        connect("a", "b"),
        member("a", ALICE),
        Subscribe("b", ROOM, BOB),
        Gets(
            "b",
            succeeded(
                ROOM,
                JsonText(
                    {
                        "presence": {
                            "ids": AnyOrder(("u1", "u2")),
                            "hash": {"u1": {"name": "Alice"}, "u2": {"name": "Bob"}},
                            "count": 2,
                        }
                    }
                ),
            ),
        ),
    ),
    rule(
        "N-11",
        "without user_info the id is still in hash",
        connect("a"),
        joins("a", ROOM, {"user_id": "u"}, roster(1, {"u": ANY})),
    ),
    rule(
        "N-12",
        "no member frame comes before the snapshot",
        connect("a", "b", "c"),
        member("b", BOB),
        member("c", {"user_id": "u3"}),
        Subscribe("a", ROOM, ALICE),
        Next("a", (succeeded(ROOM, roster(3, ANY)),)),
        Silent("a"),
    ),
    rule(
        "N-18",
        "channel_data may be left out after signing in",
        connect("a"),
        signs_in("a", "~u", user_info={"name": "Ada"}),
        Subscribe("a", ROOM),
        Gets("a", succeeded(ROOM, roster(1, {"~u": {"name": "Ada"}}))),
        needs=SIGN_IN,
    ),
    rule(
        "N-18",
        "but wins where it is given",
        connect("a"),
        signs_in("a", "~u"),
        joins("a", ROOM, ALICE, roster(1, {"u1": {"name": "Alice"}})),
        ids("u1"),
        needs=SIGN_IN,
    ),
    rule(
        "N-18", "not without signing in", connect("a"), Subscribe("a", ROOM), refused_subscription("a", ROOM), free=True
    ),
    rule(
        "N-19",
        "a numeric user_id becomes text in the snapshot",
        connect("a"),
        joins("a", ROOM, {"user_id": 10}, JsonText({"presence": {"ids": ["10"], "hash": {"10": ANY}, "count": 1}})),
    ),
    rule(
        "N-19",
        "in member_added and member_removed",
        connect("a", "b"),
        member("a", ALICE),
        member("b", {"user_id": 10}),
        added("a", user_id="10"),
        Leave("b"),
        removed("a", "10"),
    ),
    rule(
        "N-19",
        "over HTTP, and it is the same member as the text",
        connect("a", "b"),
        member("a", {"user_id": 10}),
        joins("b", ROOM, {"user_id": "10"}, roster(1, ANY)),
        ids("10"),
    ),
    *(
        rule(
            "N-19",
            f"{number} is {text}, as JavaScript prints it",
            connect("a"),
            joins("a", ROOM, '{"user_id":' + number + "}", roster(1, Exactly({text: {}}))),
            ids(text),
        )
        for number, text in (("10.0", "10"), ("1e3", "1000"), ("-0", "0"))
    ),
    rule(
        "N-11",
        "a user_info stays as it was spelled, with half a character too",
        connect("a", "b"),
        joins("a", ROOM, ALICE),
        Subscribe("b", ROOM, '{"user_info":' + SPELLED + ',"user_id":"u2"}'),
        Gets("b", succeeded(ROOM, roster(2, {"u2": {"cut": "x\ud83d"}}))),
        gets("a", ADDED, '{"user_id":"u2","user_info":' + SPELLED + "}"),
        get(f"/channels/{ROOM}/users", {"users": AnyOrder((shown(ALICE), shown(CUT)))}, params={"with_user_info": "1"}),
    ),
    bad_data("no channel_data", None),
    bad_data("channel_data that is no JSON", "hello"),
    bad_data("a JSON list", "[]"),
    bad_data("no user_id", '{"user_info":{}}'),
    bad_data("an empty user_id", '{"user_id":""}'),
    bad_data("a user_id that is null", '{"user_id":null}'),
    bad_data("a user_id that is an object", '{"user_id":{}}'),
    rule(
        "N-21",
        "others get member_added, with user_info",
        connect("a", "b"),
        member("a", ALICE),
        member("b", BOB),
        added("a", **BOB),
    ),
    rule(
        "N-21",
        "the joiner does not",
        connect("a", "b"),
        member("a", ALICE),
        member("b", BOB),
        Silent("b"),
        added("a", **BOB),
        Silent("a"),
    ),
    rule(
        "N-21",
        "a second connection of a member adds nobody",
        connect("a", "b", "c"),
        member("a", ALICE),
        member("b", BOB),
        added("a", **BOB),
        joins("c", ROOM, BOB, roster(2, ANY)),
        Silent("a"),
        ids("u1", "u2"),
    ),
    rule(
        "N-21",
        "its user_info is what newcomers see, and those present are told nothing",
        connect("a", "b", "c", "d"),
        member("a", ALICE),
        member("b", BOB),
        added("a", **BOB),
        joins("c", ROOM, ROBERT, roster(2, {"u1": ANY, "u2": ROBERT["user_info"]})),
        Silent("a"),
        Silent("b"),
        joins("d", ROOM, {"user_id": "u4"}, roster(3, {"u1": ANY, "u2": ROBERT["user_info"], "u4": ANY})),
        Call(
            "GET",
            f"/channels/{ROOM}/users",
            answer={"users": AnyOrder((shown(ALICE), shown(ROBERT), {"id": "u4"}))},
            params={"with_user_info": "1"},
        ),
        free=True,
    ),
    rule(
        "N-21",
        "leaving and rejoining with another user_info is told, however fast",
        connect("a", "b", "c"),
        member("a", ALICE),
        member("b", BOB),
        added("a", **BOB),
        send("b", "pusher:unsubscribe", {"channel": ROOM}),
        Subscribe("b", ROOM, ROBERT),
        Gets("b", succeeded(ROOM, roster(2, {"u1": ANY, "u2": ROBERT["user_info"]}))),
        removed("a", "u2"),
        added("a", **ROBERT),
        Silent("a"),
        Silent("b"),
        joins("c", ROOM, {"user_id": "u4"}, roster(3, {"u1": ANY, "u2": ROBERT["user_info"], "u4": ANY})),
    ),
    rule(
        "N-21",
        "the last connection of a member removes it",
        connect("a", "b", "c"),
        member("a", ALICE),
        member("b", BOB),
        member("c", BOB),
        added("a", **BOB),
        Leave("b"),
        get(f"/channels/{ROOM}", {"subscription_count": 2}, info="subscription_count", eventually=True),
        Silent("a"),
        Leave("c"),
        removed("a", "u2"),
        ids("u1"),
    ),
    rule(
        "N-21",
        "unsubscribing does as closing does",
        connect("a", "b"),
        member("a", ALICE),
        member("b", BOB),
        added("a", **BOB),
        send("b", "pusher:unsubscribe", {"channel": ROOM}),
        removed("a", "u2"),
        Silent("b"),
    ),
    rule(
        "N-21",
        "members of one channel are not told to another",
        connect("a", "b"),
        member("a", ALICE),
        joins("b", "presence-other-~", BOB),
        Silent("a"),
    ),
    rule(
        "N-22",
        "one member more than allowed is refused",
        connect("a", "b", "c"),
        member("a", ALICE),
        member("b", BOB),
        Subscribe("c", ROOM, {"user_id": "u3"}),
        refused_subscription("c", ROOM, 4100),
        ids("u1", "u2"),
        app=LIMITED,
    ),
    rule(
        "N-22",
        "but not another connection of a member",
        connect("a", "b", "c"),
        member("a", ALICE),
        member("b", BOB),
        joins("c", ROOM, BOB, roster(2, ANY)),
        app=LIMITED,
    ),
    rule(
        "N-22",
        "and a place that was left is free",
        connect("a", "b", "c"),
        member("a", ALICE),
        member("b", BOB),
        Leave("b"),
        removed("a", "u2"),
        joins("c", ROOM, {"user_id": "u3"}, roster(2, ANY)),
        app=LIMITED,
    ),
    rule(
        "N-5",
        "user_info larger than the limit is refused",
        connect("a"),
        Subscribe("a", ROOM, {"user_id": "u", "user_info": "x" * 1100}),
        refused_subscription("a", ROOM, 4301),
        app=LIMITED,
    ),
)
