"""Who came and went, over the HTTP API: pages, state, reset, and who was there, in Sockudo's form."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import pytest

from engine.app import PresenceRule, Retention
from engine.history.presence import payload_of
from engine.interfaces import Transition
from tests.http.serving import Reply, Serving, make_app, walked

CHANNEL = "presence-room-1"
PATH = f"/apps/3/channels/{CHANNEL}/presence/history"
MUCH = Retention(3000, 60_000, 1 << 22)
RULES = (
    PresenceRule(re.compile("^presence-room-.*$"), MUCH),
    PresenceRule(re.compile("^presence-little-.*$"), Retention(2, 60_000, 1 << 20)),
)


@pytest.fixture
def serving() -> Serving:
    return Serving(make_app(presence_history=RULES), make_app("4", "other"))


def change(serving: Serving, name: str, user: str, time_ms: int, channel: str = CHANNEL, socket: str = "1.1") -> None:
    data = json.dumps({"user_id": user, "user_info": {"name": user}})
    changed = Transition(b"", name, "3", channel, time_ms * 1000, time_ms, time_ms, user, socket, data)
    retention = serving.app.presence_retention(channel)
    assert retention is not None
    serving.came_and_went.keep("3", channel, retention, payload_of(changed))


def added(serving: Serving, user: str, time_ms: int = 5, **more: Any) -> None:
    change(serving, "member_added", user, time_ms, **more)


def removed(serving: Serving, user: str, time_ms: int = 5, **more: Any) -> None:
    change(serving, "member_removed", user, time_ms, **more)


def read(serving: Serving, path: str = PATH, **params: str) -> Reply:
    return serving.signed("GET", path, **params)


def snapshot(serving: Serving, path: str = PATH, **params: str) -> dict[str, Any]:
    found: dict[str, Any] = read(serving, f"{path}/snapshot", **params).json
    return found


def users(found: dict[str, Any]) -> list[str]:
    return [member["user_id"] for member in found["members"]]


def test_a_page_in_the_exact_form(serving: Serving) -> None:
    added(serving, "ada", 7)
    removed(serving, "ada", 9, socket="")
    found = read(serving, limit="1").json
    (item,) = found["items"]
    stream, when = item["stream_id"], item["published_at_ms"]
    place = {"stream_id": stream, "serial": 2, "published_at_ms": when}
    told = {
        "event": "member_removed",
        "cause": "orphan_cleanup",
        "user_id": "ada",
        "connection_id": None,
        "dead_node_id": None,
        "time_ms": 9,
        "seq": 9000,
    }
    size = item["payload_size_bytes"]
    assert item == place | told | {"payload_size_bytes": size, "presence_event": place | told | {"user_info": None}}
    continuity = found.pop("continuity")
    assert 0 < continuity.pop("oldest_available_published_at_ms") <= when
    assert continuity == {
        "stream_id": stream,
        "oldest_available_serial": 1,
        "newest_available_serial": 2,
        "newest_available_published_at_ms": when,
        "retained_events": 2,
        "retained_bytes": continuity["retained_bytes"],
        "degraded": False,
        "complete": False,
        "truncated_by_retention": False,
    }
    assert found.pop("next_cursor") and found == {
        "items": [item],
        "direction": "newest_first",
        "limit": 1,
        "has_more": True,
        "bounds": {"start_serial": None, "end_serial": None, "start_time_ms": None, "end_time_ms": None},
        "stream_state": {
            "stream_id": stream,
            "durable_state": "healthy",
            "continuity_proven": True,
            "reset_required": False,
            "reason": None,
            "node_id": None,
            "last_transition_at_ms": None,
            "authoritative_source": "memory",
            "observed_source": "memory",
        },
    }
    (first,) = read(serving, limit="1", direction="oldest_first").json["items"]
    assert first["presence_event"]["user_info"] == {"name": "ada"}


@pytest.mark.parametrize("direction", ["newest_first", "oldest_first"])
def test_walking_through_all_pages(serving: Serving, direction: str) -> None:
    for n in range(7):
        added(serving, str(n))
    serials, found = walked(partial(read, serving), direction)
    assert serials == (list(range(1, 8)) if direction == "oldest_first" else list(range(7, 0, -1)))
    assert found["continuity"]["complete"] is True


def test_a_hole_is_told(serving: Serving) -> None:
    path = "/apps/3/channels/presence-little-1/presence/history"
    for n in range(3):
        added(serving, str(n), channel="presence-little-1")
    found = read(serving, path).json["continuity"]
    assert (found["complete"], found["truncated_by_retention"], found["oldest_available_serial"]) == (False, True, 2)
    assert read(serving, path, start_serial="2").json["continuity"]["complete"] is True


def test_what_somebody_else_wrote_is_left_out(serving: Serving) -> None:
    serving.came_and_went.keep("3", CHANNEL, MUCH, b"\xff")
    added(serving, "ada")
    assert [item["serial"] for item in read(serving).json["items"]] == [2]
    assert users(snapshot(serving)) == ["ada"]


def test_the_state_and_a_reset(serving: Serving) -> None:
    assert read(serving, f"{PATH}/state").json["stream"]["next_serial"] is None
    added(serving, "ada")
    before = read(serving, f"{PATH}/state").json
    stream = before["stream"]
    assert (before["channel"], stream["next_serial"], stream["retained"]["retained_events"]) == (CHANNEL, 2, 1)
    assert stream["state"]["continuity_proven"] is True
    body = {"confirm_channel": CHANNEL, "confirm_operation": "reset", "reason": "a test", "requested_by": "ada"}
    assert serving.signed("POST", f"{PATH}/reset", body | {"confirm_channel": "other"}).status == 400
    done = serving.signed("POST", f"{PATH}/reset", body).json
    assert {name: done[name] for name in list(done)[:-1]} == {
        "ok": True,
        "operation": "reset",
        "channel": CHANNEL,
        "reason": "a test",
        "requested_by": "ada",
        "previous_stream_id": stream["stream_id"],
        "new_stream_id": done["stream"]["stream_id"],
        "purged_events": 1,
        "purged_bytes": done["purged_bytes"],
    }
    assert done["stream"]["next_serial"] == 1
    assert read(serving).json["items"] == []


def test_who_was_there(serving: Serving) -> None:
    serving.occupy(CHANNEL, 2, "zoe", "bob")
    added(serving, "ada", 10)
    added(serving, "bob", 20)
    removed(serving, "ada", 30)
    found = snapshot(serving)
    (bob, zoe) = found["members"]
    assert (bob["user_id"], bob["last_event"], bob["last_event_serial"]) == ("bob", "member_added", 2)
    assert (zoe["user_id"], zoe["last_event_serial"], zoe["last_event_at_ms"]) == ("zoe", None, None)
    assert (found["channel"], found["member_count"], found["events_replayed"]) == (CHANNEL, 2, 3)
    assert found["snapshot_serial"] == 3
    assert found["continuity"]["complete"] is True
    assert found["continuity"]["retained_events"] == 3
    assert users(snapshot(serving, at_time_ms="25")) == users(snapshot(serving, at="25")) == ["ada", "bob", "zoe"]
    assert users(snapshot(serving, at_serial="1")) == ["ada", "zoe"]
    early = snapshot(serving, at_time_ms="5")
    assert (users(early), early["events_replayed"], early["snapshot_serial"]) == (["zoe"], 0, None)
    assert early["continuity"]["complete"] is False


def test_a_snapshot_of_more_than_a_page(serving: Serving) -> None:
    for n in range(2500):
        added(serving, f"{n:04}")
    found = snapshot(serving)
    assert (found["member_count"], found["events_replayed"]) == (2500, 2500)


def test_a_snapshot_that_has_lost_its_beginning_says_so(serving: Serving) -> None:
    path = "/apps/3/channels/presence-little-1/presence/history"
    for n in range(4):
        added(serving, str(n), channel="presence-little-1")
    assert snapshot(serving, path, at_serial="2")["continuity"]["complete"] is True
    continuity = snapshot(serving, path, at_serial="1")["continuity"]
    assert (continuity["complete"], continuity["truncated_by_retention"]) == (False, True)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/apps/3/channels/room-1/presence/history", 400, "invalid_input"),
        ("/apps/3/channels/private-room-1/presence/history", 400, "invalid_input"),
        ("/apps/3/channels/presence-a%20b/presence/history", 400, "invalid_input"),
        ("/apps/3/channels/presence-other/presence/history", 422, "feature_disabled"),
        (f"{PATH}/nothing", 404, "not_found"),
    ],
)
def test_where_nothing_is_kept(serving: Serving, path: str, status: int, code: str) -> None:
    found = read(serving, path)
    assert (found.status, found.json["code"]) == (status, code)
    if status != 404:
        assert read(serving, f"{path}/state").status == read(serving, f"{path}/snapshot").status == status
        assert serving.signed("POST", f"{path}/reset", {}).status == status


def test_it_must_be_signed(serving: Serving) -> None:
    for what in ("", "/state", "/snapshot"):
        assert serving.call("GET", PATH + what).status == 401
    assert serving.call("POST", f"{PATH}/reset").status == 401


@pytest.mark.parametrize("params", [{"at": "x"}, {"at_serial": "-1"}, {"at_time_ms": "9" * 16}], ids=str)
def test_a_moment_that_is_none(serving: Serving, params: dict[str, str]) -> None:
    assert read(serving, f"{PATH}/snapshot", **params).status == 400


def test_the_store_is_away(serving: Serving) -> None:
    serving.occupancy.gone = True
    assert read(serving, f"{PATH}/snapshot").status == 503
