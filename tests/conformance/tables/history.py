"""docs/protocol.md 5.10 and 2.9: what was published in a channel, read and replayed (H-67 to H-74, N-41 to N-45)."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.match import ANY, Exactly, JsonText, Number
from tests.conformance.rule import (
    KEPT,
    Call,
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
    post,
    publish,
    send,
    succeeded,
)
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


def asking(channel: str, **replay: Any) -> tuple[Step, ...]:
    """A private subscription whose signed channel_data asks for a replay."""
    data = json.dumps({"replay": replay})
    return (Subscribe("a", channel, data, Signed(f"<a>:{channel}:{data}")),)


def heard(channel: str, *numbers: int) -> tuple[dict[str, Any], ...]:
    return tuple({"event": f"e{n}", "channel": channel, "data": str(n)} for n in numbers)


def gap(channel: str, **data: Any) -> dict[str, Any]:
    return {"event": "pusher:history_gap", "channel": channel, "data": JsonText(data)}


REPLAYS = (
    rule(
        "N-41",
        "by rule, oldest first, after the acknowledgement",
        published("replay-~", 5),
        connect("a"),
        Subscribe("a", "replay-~"),
        Next("a", (succeeded("replay-~"), *heard("replay-~", 3, 4, 5))),
        Silent("a"),
        publish("replay-~", "e6", "6"),
        Next("a", heard("replay-~", 6)),
    ),
    rule(
        "N-41",
        "a cache channel's last event comes once",
        published("cache-replay-~", 2),
        connect("a"),
        Subscribe("a", "cache-replay-~"),
        Next("a", (succeeded("cache-replay-~"), *heard("cache-replay-~", 1, 2))),
        Silent("a"),
    ),
    rule(
        "N-42",
        "asked for in signed channel_data",
        published("private-kept-~", 3),
        connect("a"),
        asking("private-kept-~", count=2),
        Next("a", (succeeded("private-kept-~"), *heard("private-kept-~", 2, 3))),
    ),
    rule(
        "N-42",
        "of a presence channel too",
        published("presence-kept-~", 2),
        connect("a"),
        Subscribe("a", "presence-kept-~", {"user_id": "u", "replay": {"seconds": 60}}),
        Next("a", (succeeded("presence-kept-~", ANY), *heard("presence-kept-~", 1, 2))),
    ),
    rule(
        "N-42",
        "what is not covered by the signature asks for nothing",
        published("private-kept-~", 3),
        connect("a"),
        Subscribe("a", "private-kept-~", '{"replay":{"count":2}}', Signed("<a>:private-kept-~")),
        Next("a", (succeeded("private-kept-~"),)),
        Silent("a"),
    ),
    rule(
        "N-42",
        "what cannot be meant is refused",
        connect("a"),
        asking("private-kept-~", count="many"),
        gets("a", "pusher:subscription_error", {"type": "InvalidReplay"}, channel="private-kept-~"),
    ),
    rule(
        "N-43",
        "behind what the client has",
        published("private-kept-~", 3),
        connect("a"),
        asking("private-kept-~", time_ms=1_000_000_000_000_000),
        Next("a", (succeeded("private-kept-~"),)),
        Silent("a"),
    ),
    rule(
        "N-44",
        "a gap comes before the replay",
        published("window-~", 4),
        connect("a"),
        Subscribe("a", "window-~"),
        Next(
            "a",
            (
                succeeded("window-~"),
                gap("window-~", reason="expired", replayed=2, oldest_serial=3, newest_serial=4),
                *heard("window-~", 3, 4),
            ),
        ),
    ),
    rule(
        "N-44",
        "another stream is a gap",
        published("private-kept-~", 1),
        connect("a"),
        asking("private-kept-~", serial=1, stream_id="0" * 32),
        Next(
            "a",
            (
                succeeded("private-kept-~"),
                gap("private-kept-~", reason="stream_changed", replayed=1),
                *heard("private-kept-~", 1),
            ),
        ),
    ),
    rule(
        "N-44",
        "and so is a channel that is not kept",
        connect("a"),
        asking("private-~", count=1),
        Next("a", (succeeded("private-~"), gap("private-~", reason="not_kept", replayed=0))),
    ),
)

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
        send("a", "client-said", {"n": "\ud83d"}, "private-talk-~"),
        gets("b", "client-said", {"n": "\ud83d"}),
        history("private-talk-~", {"items": [{"event_name": "client-said", "message": {"data": {"n": "\ud83d"}}}]}),
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
    *REPLAYS,
)
