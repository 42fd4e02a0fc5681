"""docs/protocol.md 5.10: what was published in a channel, over the HTTP API (H-67 to H-74)."""

from __future__ import annotations

from typing import Any

from tests.conformance.match import ANY, Exactly, Number
from tests.conformance.rule import KEPT, Call, Rule, Step, connect, get, gets, joins, post, publish, send
from tests.conformance.rule import rule as plain_rule

ROOM = "~-kept-room"
NEEDS = "history, by Sockudo's names, of the channels *-kept-*, and of two events only of little-*"


def rule(id_: str, words: str, *steps: Step | tuple[Step, ...]) -> Rule:
    return plain_rule(id_, words, *steps, app=KEPT, needs=NEEDS)


def history(channel: str, answer: Any, status: int = 200, **params: str) -> Call:
    return get(f"/channels/{channel}/history", answer, status=status, params=params)


def events(*serials: int) -> list[dict[str, Any]]:
    return [{"serial": serial} for serial in serials]


def published(channel: str, count: int) -> tuple[Step, ...]:
    return tuple(publish(channel, f"e{n}", str(n)) for n in range(1, count + 1))


RULES = (
    rule("H-67", "nothing is kept without a rule", history("~", {"code": "feature_disabled"}, status=422)),
    rule(
        "H-68",
        "the members of a page",
        published(ROOM, 1),
        history(
            ROOM,
            {
                "items": [ANY],
                "direction": "newest_first",
                "limit": 10,
                "has_more": False,
                "next_cursor": None,
                "bounds": Exactly(
                    {"start_serial": None, "end_serial": None, "start_time_ms": None, "end_time_ms": None}
                ),
                "continuity": ANY,
                "stream_state": ANY,
            },
            limit="10",
        ),
    ),
    rule(
        "H-68",
        "direction and bounds",
        published(ROOM, 5),
        history(ROOM, {"items": events(5, 4, 3, 2, 1)}),
        history(ROOM, {"items": events(2, 3)}, direction="oldest_first", start_serial="2", end_serial="3"),
        history(ROOM, {"items": []}, end_time_ms="1"),
    ),
    rule(
        "H-69",
        "an item, its message as subscribers got it",
        connect("a"),
        joins("a", ROOM),
        published(ROOM, 1),
        gets("a", "e1", "1", channel=ROOM),
        history(
            ROOM,
            {
                "items": [
                    {
                        "stream_id": ANY,
                        "serial": 1,
                        "published_at_ms": Number(1, 1e15),
                        "message_id": ANY,
                        "event_name": "e1",
                        "operation_kind": "append",
                        "payload_size_bytes": Number(1, 1000),
                        "message": Exactly({"event": "e1", "channel": ROOM, "data": "1"}),
                    }
                ]
            },
        ),
    ),
    rule(
        "H-69",
        "client events where the rule says so",
        connect("a", "b"),
        joins("a", "private-talk-~"),
        joins("b", "private-talk-~"),
        send("a", "client-said", {"n": 1}, "private-talk-~"),
        gets("b", "client-said", {"n": 1}),
        history("private-talk-~", {"items": [{"event_name": "client-said", "message": {"data": {"n": 1}}}]}),
    ),
    rule(
        "H-69",
        "and else not",
        connect("a", "b"),
        joins("a", "private-kept-~"),
        joins("b", "private-kept-~"),
        send("a", "client-said", {"n": 1}, "private-kept-~"),
        gets("b", "client-said", {"n": 1}),
        history("private-kept-~", {"items": []}),
    ),
    rule(
        "H-70",
        "a page that is no page's successor",
        published(ROOM, 1),
        history(ROOM, {"code": "invalid_input"}, status=400, cursor="nonsense"),
    ),
    rule(
        "H-71",
        "a hole is told",
        published("little-~", 3),
        history(
            "little-~",
            {
                "items": events(3, 2),
                "has_more": False,
                "continuity": {"complete": False, "truncated_by_retention": True, "oldest_available_serial": 2},
                "stream_state": {"durable_state": "healthy", "recovery_allowed": True, "reason": None},
            },
        ),
        history("little-~", {"continuity": {"complete": True, "truncated_by_retention": False}}, start_serial="2"),
    ),
    rule(
        "H-72",
        "the state of a stream",
        published(ROOM, 2),
        get(
            f"/channels/{ROOM}/history/state",
            {
                "channel": ROOM,
                "stream": {"stream_id": ANY, "next_serial": 3, "retained": {"retained_messages": 2}, "state": ANY},
            },
        ),
    ),
    rule(
        "H-73",
        "reset",
        published(ROOM, 2),
        post(
            f"/channels/{ROOM}/history/reset",
            {"confirm_channel": ROOM, "confirm_operation": "reset", "reason": "why"},
            answer={"ok": True, "operation": "reset", "purged_messages": 2, "stream": {"next_serial": 1}},
        ),
        history(ROOM, {"items": []}),
        published(ROOM, 1),
        history(ROOM, {"items": events(1)}),
    ),
    rule(
        "H-73",
        "purge",
        published(ROOM, 3),
        post(
            f"/channels/{ROOM}/history/purge",
            {
                "confirm_channel": ROOM,
                "confirm_operation": "purge",
                "reason": "why",
                "mode": "before_serial",
                "before_serial": 3,
            },
            answer={"ok": True, "operation": "purge", "purged_messages": 2, "stream": {"next_serial": 4}},
        ),
        history(ROOM, {"items": events(3), "continuity": {"truncated_by_retention": True}}),
    ),
    rule(
        "H-73",
        "only what is confirmed",
        post(
            f"/channels/{ROOM}/history/reset",
            {"confirm_channel": "other", "confirm_operation": "reset", "reason": "why"},
            status=400,
            answer={"code": "invalid_input"},
        ),
    ),
)
