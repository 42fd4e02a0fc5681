"""docs/protocol.md 5.11: who came and went in a presence channel (H-75 to H-79), as far as it shows at once."""

from __future__ import annotations

from typing import Any

from tests.conformance.match import ANY, Exactly
from tests.conformance.rule import KEPT, Call, Rule, Step, connect, get, joins, post
from tests.conformance.rule import rule as plain_rule

ROOM = "presence-kept-~"
NO_BOUNDS = {"start_serial": None, "end_serial": None, "start_time_ms": None, "end_time_ms": None}


def rule(id_: str, words: str, *steps: Step | tuple[Step, ...]) -> Rule:
    return plain_rule(id_, words, *steps, app=KEPT, needs="presence history, by Sockudo's names, of presence-kept-*")


def read(what: str, answer: Any, status: int = 200, channel: str = ROOM, **params: str) -> Call:
    return get(f"/channels/{channel}/presence/history{what}", answer, status=status, params=params)


RULES = (
    rule("H-75", "nothing is kept without a rule", read("", {"code": "feature_disabled"}, 422, "presence-other-~")),
    rule("H-75", "nobody is a member elsewhere", read("", {"code": "invalid_input"}, 400, "private-kept-~")),
    rule(
        "H-76",
        "the members of a page",
        read(
            "",
            {
                "items": [],
                "direction": "oldest_first",
                "limit": 5,
                "has_more": False,
                "next_cursor": None,
                "bounds": Exactly(NO_BOUNDS),
                "continuity": {"retained_events": 0, "degraded": False, "complete": True},
                "stream_state": {"durable_state": "healthy", "continuity_proven": True, "reset_required": False},
            },
            limit="5",
            direction="oldest_first",
        ),
    ),
    rule(
        "H-78",
        "who is there now",
        connect("a"),
        joins("a", ROOM, {"user_id": "u"}),
        read(
            "/snapshot",
            {
                "channel": ROOM,
                "members": [{"user_id": "u", "last_event": "member_added"}],
                "member_count": 1,
                "continuity": {"complete": True, "truncated_by_retention": False},
            },
        ),
    ),
    rule("H-78", "nobody knows of the time before", read("/snapshot", {"continuity": {"complete": False}}, at="1")),
    rule(
        "H-79",
        "state and reset",
        read("/state", {"channel": ROOM, "stream": {"stream_id": None, "next_serial": None, "retained": ANY}}),
        post(
            f"/channels/{ROOM}/presence/history/reset",
            {"confirm_channel": ROOM, "confirm_operation": "reset", "reason": "why"},
            answer={"ok": True, "operation": "reset", "purged_events": 0, "stream": {"next_serial": 1}},
        ),
        read("/state", {"stream": {"next_serial": 1}}),
    ),
)
