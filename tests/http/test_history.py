"""What was published, over the HTTP API: pages, state, reset and purge, in Sockudo's form."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import pytest

from engine.app import HistoryRule, Retention
from tests.http.serving import Reply, Serving, make_app, walked

RULES = (
    HistoryRule(re.compile("room.*"), Retention(100, 60_000, 1 << 20)),
    HistoryRule(re.compile(".*"), Retention(3, 60_000, 1 << 20)),
)
PATH = "/apps/3/channels/room-1/history"


@pytest.fixture
def serving() -> Serving:
    return Serving(make_app(history=RULES), make_app("4", "other"))


def publish(serving: Serving, count: int, channel: str = "room-1") -> None:
    for n in range(count):
        event = {"name": f"e{n}", "channel": channel, "data": json.dumps({"n": n})}
        assert serving.signed("POST", "/apps/3/events", event).status == 200


def read(serving: Serving, path: str = PATH, **params: str) -> Reply:
    return serving.signed("GET", path, **params)


def removal(serving: Serving, operation: str, **body: Any) -> Reply:
    given = {"confirm_channel": "room-1", "confirm_operation": operation, "reason": "a test"} | body
    return serving.signed("POST", f"{PATH}/{operation}", given)


def test_a_page_in_the_exact_form(serving: Serving) -> None:
    publish(serving, 2)
    found = read(serving, limit="1").json
    (item,) = found["items"]
    stream, when = item["stream_id"], item["published_at_ms"]
    message = {"event": "e1", "channel": "room-1", "data": '{"n": 1}'}
    size = len(json.dumps(message, separators=(",", ":")))
    assert item == {
        "stream_id": stream,
        "serial": 2,
        "published_at_ms": when,
        "message_id": f"{stream}:2",
        "event_name": "e1",
        "operation_kind": "append",
        "payload_size_bytes": size,
        "message": message,
    }
    oldest = found["continuity"].pop("oldest_available_published_at_ms")
    assert 0 < oldest <= when
    assert found == {
        "items": [item],
        "direction": "newest_first",
        "limit": 1,
        "has_more": True,
        "next_cursor": found["next_cursor"],
        "bounds": {"start_serial": None, "end_serial": None, "start_time_ms": None, "end_time_ms": None},
        "continuity": {
            "stream_id": stream,
            "oldest_available_serial": 1,
            "newest_available_serial": 2,
            "newest_available_published_at_ms": when,
            "retained_messages": 2,
            "retained_bytes": found["continuity"]["retained_bytes"],
            "complete": False,
            "truncated_by_retention": False,
        },
        "stream_state": {
            "stream_id": stream,
            "durable_state": "healthy",
            "recovery_allowed": True,
            "reset_required": False,
            "reason": None,
            "node_id": None,
            "last_transition_at_ms": None,
            "authoritative_source": "memory",
            "observed_source": "memory",
        },
    }
    assert re.fullmatch(r"[A-Za-z0-9_-]+", found["next_cursor"])


def test_a_channel_in_which_nothing_was_published(serving: Serving) -> None:
    found = read(serving).json
    assert (found["items"], found["has_more"], found["next_cursor"], found["limit"]) == ([], False, None, 1000)
    assert found["continuity"]["complete"] is True
    assert found["continuity"]["stream_id"] is None
    assert read(serving, f"{PATH}/state").json["stream"]["next_serial"] is None


@pytest.mark.parametrize("direction", ["newest_first", "oldest_first", "forwards", "BACKWARDS"])
def test_walking_through_all_pages(serving: Serving, direction: str) -> None:
    publish(serving, 7)
    serials, found = walked(partial(read, serving), direction)
    forwards = list(range(1, 8))
    assert serials == (forwards if direction in ("oldest_first", "forwards") else forwards[::-1])
    assert found["continuity"]["complete"] is True
    assert found["direction"] in ("newest_first", "oldest_first")


def test_bounds(serving: Serving) -> None:
    publish(serving, 9)
    items = read(serving, start_serial="3", end_serial="4", direction="oldest_first").json
    assert [item["serial"] for item in items["items"]] == [3, 4]
    assert items["bounds"] == {"start_serial": 3, "end_serial": 4, "start_time_ms": None, "end_time_ms": None}
    last = read(serving, limit="1").json["items"][0]["published_at_ms"]
    assert len(read(serving, start_time_ms="1", end_time_ms=str(last)).json["items"]) == 9
    assert read(serving, start=str(last + 1)).json["items"] == []
    assert read(serving, end="1").json["bounds"]["end_time_ms"] == 1


def test_a_hole_is_told(serving: Serving) -> None:
    path = "/apps/3/channels/little/history"
    publish(serving, 5, "little")

    def told(**params: str) -> tuple[bool, bool]:
        continuity = read(serving, path, **params).json["continuity"]
        return continuity["complete"], continuity["truncated_by_retention"]

    assert told() == (False, True)
    assert told(start_serial="2") == (False, True)
    assert told(start_serial="3") == (True, False)
    assert told(start_time_ms="1") == (False, True)
    assert told(start_time_ms=str(10**14)) == (True, False)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"limit": "0"}, "History limit must be greater than 0"),
        ({"limit": "many"}, "limit must be a whole number of at most 15 digits"),
        ({"limit": "-1"}, "limit must be a whole number of at most 15 digits"),
        ({"start_serial": "9" * 16}, "start_serial must be a whole number of at most 15 digits"),
        ({"direction": "sideways"}, "Invalid direction 'sideways'."),
        ({"start_serial": "2", "end_serial": "1"}, "start_serial must be less than or equal to end_serial"),
        ({"start_time_ms": "2", "end": "1"}, "start_time_ms must be less than or equal to end_time_ms"),
        ({"cursor": "x"}, "Invalid history cursor"),
        ({"cursor": "e30"}, "Invalid history cursor"),
        ({"cursor": "x" * 5000}, "Invalid history cursor"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(serving: Serving, params: dict[str, str], message: str) -> None:
    found = read(serving, **params)
    assert (found.status, found.json["code"]) == (400, "invalid_input")
    assert found.json["error"].startswith(message)


def test_a_cursor_is_good_for_its_request_only(serving: Serving) -> None:
    publish(serving, 5)
    cursor = read(serving, limit="2").json["next_cursor"]
    assert read(serving, limit="1", cursor=cursor).status == 200
    for params in ({"direction": "oldest_first"}, {"start_serial": "1"}):
        assert "does not match" in read(serving, cursor=cursor, **params).json["error"]
    assert "channel does not match" in read(serving, "/apps/3/channels/room-2/history", cursor=cursor).json["error"]
    assert removal(serving, "purge", mode="before_serial", before_serial=5).json["purged_messages"] == 4
    assert read(serving, cursor=cursor).json["error"] == (
        "Expired history cursor: cursor points before retained history"
    )
    assert removal(serving, "reset").status == 200
    assert read(serving, cursor=cursor).json["error"] == "Expired history cursor: channel stream changed"


def test_where_no_rule_keeps_anything(serving: Serving) -> None:
    app = serving.apps.by_id("4")
    for method, what in (("GET", ""), ("GET", "/state"), ("POST", "/reset"), ("POST", "/purge")):
        found = serving.signed(method, f"/apps/4/channels/room/history{what}", app=app)
        assert (found.status, found.json["code"]) == (422, "feature_disabled")
    assert read(serving, "/apps/3/channels/a%20b/history").status == 400
    assert read(serving, "/apps/3/channels/%23server-to-user-1/history").status == 400
    assert serving.call("GET", PATH).status == 401


def test_the_state(serving: Serving) -> None:
    publish(serving, 4, "little")
    found = read(serving, "/apps/3/channels/little/history/state").json
    assert found["channel"] == "little"
    stream = found["stream"]
    assert (stream["next_serial"], stream["retained"]["oldest_available_serial"]) == (5, 2)
    assert stream["retained"]["retained_messages"] == 3
    assert stream["state"]["stream_id"] == stream["stream_id"] == stream["retained"]["stream_id"]


def test_reset_and_purge(serving: Serving) -> None:
    publish(serving, 5)
    before = read(serving, f"{PATH}/state").json["stream"]
    done = removal(serving, "purge", mode="before_serial", before_serial=3, requested_by="ada").json
    assert {name: done[name] for name in list(done)[:-1]} == {
        "ok": True,
        "operation": "purge",
        "channel": "room-1",
        "reason": "a test",
        "requested_by": "ada",
        "mode": "before_serial",
        "before_serial": 3,
        "before_time_ms": None,
        "purged_messages": 2,
        "purged_bytes": done["purged_bytes"],
    }
    assert done["stream"]["retained"]["oldest_available_serial"] == 3
    assert removal(serving, "purge", mode="before_time_ms", before_time_ms=10**14).json["purged_messages"] == 3
    assert removal(serving, "purge", mode="all").json["purged_messages"] == 0
    done = removal(serving, "reset").json
    assert (done["previous_stream_id"], done["purged_messages"]) == (before["stream_id"], 0)
    assert done["new_stream_id"] == done["stream"]["stream_id"] != before["stream_id"]
    assert done["stream"]["next_serial"] == 1


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        ("reset", {"confirm_channel": "room-2"}, "confirm_channel must exactly match the channel path"),
        ("reset", {"confirm_operation": "purge"}, "confirm_operation must be 'reset'"),
        ("reset", {"reason": " "}, "reason must not be empty"),
        ("reset", {"requested_by": 1}, "requested_by must be text"),
        ("purge", {"mode": ["all"]}, "mode must be one of all, before_serial, before_time_ms"),
        ("purge", {}, "mode must be one of all, before_serial, before_time_ms"),
        ("purge", {"mode": "all", "before_serial": 1}, "Purge mode 'all' does not accept before_serial"),
        ("purge", {"mode": "before_serial"}, "Purge mode 'before_serial' requires before_serial only"),
        ("purge", {"mode": "before_serial", "before_serial": True}, "Purge mode 'before_serial' requires"),
    ],
    ids=str,
)
def test_a_removal_that_is_not_confirmed_removes_nothing(
    serving: Serving, operation: str, body: dict[str, Any], message: str
) -> None:
    publish(serving, 1)
    found = removal(serving, operation, **body)
    assert found.status == 400
    assert found.json["error"].startswith(message)
    assert serving.signed("POST", f"{PATH}/{operation}", b"[]").status == 400
    assert len(read(serving).json["items"]) == 1


def test_text_that_is_no_unicode_comes_back_as_it_came(serving: Serving) -> None:
    body = rb'{"name":"half","channel":"room-1","data":"\ud800 and \u2603"}'
    assert serving.signed("POST", "/apps/3/events", body).status == 200
    answer = serving.call("GET", serving.target("GET", PATH))
    assert rb'"data":"\ud800 and \u2603"' in answer.body
