"""POST events and batch_events."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.http.serving import Serving, make_app

EVENTS, BATCH = "/apps/3/events", "/apps/3/batch_events"


def event(**fields: Any) -> dict[str, Any]:
    return {"name": "e", "data": "d", "channel": "room"} | fields


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in event().items() if name != field}


def test_an_event_is_published_and_answered_with_an_empty_object() -> None:
    serving = Serving()
    reply = serving.signed(
        "POST", EVENTS, {"name": "e ☃", "data": '{"a":1}', "channels": ["a", "private-b"], "socket_id": "1.2"}
    )
    assert reply == (200, {}, {})
    assert serving.adapter.sent == [("a", "e ☃", '{"a":1}', "1.2"), ("private-b", "e ☃", '{"a":1}', "1.2")]


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, ["room"]),
        ({"channel": None, "channels": ["a"]}, ["a"]),
        ({"channels": ["a", "b"]}, ["a", "b"]),
        ({"channels": None}, ["room"]),
        ({"channels": ["a", "a"]}, ["a"]),
        ({"channel": "#server-to-user-12345"}, ["#server-to-user-12345"]),
        ({"socket_id": None, "info": None, "tags": {"x": 1}}, ["room"]),
    ],
)
def test_channels(fields: dict[str, Any], sent: list[str]) -> None:
    serving = Serving()
    assert serving.signed("POST", EVENTS, event(**fields)).status == 200
    assert [channel for channel, *_ in serving.adapter.sent] == sent


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", ""),
        ("text ☃", "text ☃"),
        ('{"a": 1}', '{"a": 1}'),
        ({"a": [1, "☃"]}, '{"a":[1,"☃"]}'),
        ([], "[]"),
        (0, "0"),
        (False, "false"),
        (None, "null"),
    ],
)
def test_data_is_always_delivered_as_text(data: Any, text: str) -> None:
    serving = Serving()
    assert serving.signed("POST", EVENTS, event(data=data)).status == 200
    assert serving.adapter.sent == [("room", "e", text, "")]


BAD_BODIES = [b"", b"text", b"[]", b'"x"', b"1", b"null", b"{", b"\xff", b"[" * 100_000, b'{"name":"\\ud8"}']


@pytest.mark.parametrize("path", [EVENTS, BATCH])
@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:20]))
def test_bodies_that_are_no_object(path: str, body: bytes) -> None:
    serving = Serving()
    reply = serving.signed("POST", path, body)
    assert (reply.status, reply.json["code"], reply.json["status"]) == (400, "invalid_input", 400)
    assert reply.json["error"]


REFUSED = [
    (without("name"), 400, "invalid_input"),
    (event(name=None), 400, "invalid_input"),
    (event(name=1), 400, "invalid_input"),
    (event(name=""), 400, "invalid_input"),
    (event(name="pusher:ping"), 400, "invalid_input"),
    (event(name="x" * 201), 400, "limit_exceeded"),
    (without("data"), 400, "invalid_input"),
    (event(data=json.loads("[" * 300 + "]" * 300)), 400, "invalid_input"),
    (event(data="x" * 102_401), 413, "payload_too_large"),
    (event(data={"x": "x" * 102_400}), 413, "payload_too_large"),
    (without("channel"), 400, "missing_channel_info"),
    (event(channel=1), 400, "invalid_input"),
    (event(channel=["a"]), 400, "invalid_input"),
    (event(channel=""), 400, "invalid_input"),
    (event(channel="a b"), 400, "invalid_input"),
    (event(channel="#connections"), 400, "invalid_input"),
    (event(socket_id="123"), 400, "invalid_input"),
    (event(socket_id=""), 400, "invalid_input"),
    (event(socket_id=1.2), 400, "invalid_input"),
    (event(info=1), 400, "invalid_input"),
    (event(info=[1]), 400, "invalid_input"),
]
REFUSED_OF_EVENTS = [
    (event(channels=[]), 400, "missing_channel_info"),
    (event(channels="a"), 400, "invalid_input"),
    (event(channels={"a": 1}), 400, "invalid_input"),
    (event(channels=["a", 1]), 400, "invalid_input"),
    (event(channels=["a", None]), 400, "invalid_input"),
    (event(channels=[f"c{n}" for n in range(101)]), 400, "limit_exceeded"),
]


@pytest.mark.parametrize(("body", "status", "code"), REFUSED + REFUSED_OF_EVENTS, ids=lambda v: str(v)[:60])
def test_events_that_are_refused(body: dict[str, Any], status: int, code: str) -> None:
    serving = Serving()
    reply = serving.signed("POST", EVENTS, body)
    assert (reply.status, reply.json["code"], reply.json["status"]) == (status, code, status)
    assert serving.adapter.sent == []


@pytest.mark.parametrize(("bad", "status", "code"), REFUSED, ids=lambda v: str(v)[:60])
def test_one_bad_event_stops_its_batch(bad: dict[str, Any], status: int, code: str) -> None:
    serving = Serving()
    reply = serving.signed("POST", BATCH, {"batch": [event(channel="cache-a"), bad]})
    assert (reply.status, reply.json["code"]) == (status, code)
    assert serving.adapter.sent == []
    assert asyncio.run(serving.cache.get("3", "cache-a")) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_input"),
        ({"batch": None}, "invalid_input"),
        ({"batch": {}}, "invalid_input"),
        ({"batch": "x"}, "invalid_input"),
        ({"batch": []}, "invalid_input"),
        ({"batch": [1]}, "invalid_input"),
        ({"batch": [[]]}, "invalid_input"),
        ({"batch": [event()] * 11}, "limit_exceeded"),
        ({"batch": [{"name": "e", "data": "d"}]}, "missing_channel_info"),
        ({"batch": [{"name": "e", "data": "d", "channels": []}]}, "missing_channel_info"),
        ({"batch": [{"name": "e", "data": "d", "channels": ["a"] * 101}]}, "limit_exceeded"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_batches_that_are_refused(body: dict[str, Any], code: str) -> None:
    serving = Serving()
    reply = serving.signed("POST", BATCH, body)
    assert (reply.status, reply.json["code"]) == (400, code)
    assert serving.adapter.sent == []


def test_a_batch_is_published_in_order() -> None:
    serving = Serving()
    batch = [event(data=str(n), channel=f"c{n % 2}", socket_id=f"{n % 3}.0") for n in range(10)]
    assert serving.signed("POST", BATCH, {"batch": batch}) == (200, {}, {})
    assert serving.adapter.sent == [(f"c{n % 2}", "e", str(n), f"{n % 3}.0") for n in range(10)]


# --- info


def test_info_of_an_event() -> None:
    serving = Serving()
    serving.occupy("presence-a", 3, "u1", "u2")
    serving.occupy("b", 13)
    body = {
        "name": "e",
        "data": "d",
        "channels": ["presence-a", "b", "c", "b"],
        "info": "user_count,subscription_count",
    }
    reply = serving.signed("POST", EVENTS, body)
    assert reply.json == {
        "channels": {
            "presence-a": {"user_count": 2, "subscription_count": 3},
            "b": {"subscription_count": 13},
            "c": {"subscription_count": 0},
        }
    }


@pytest.mark.parametrize(
    ("info", "found"),
    [
        ("user_count", {"user_count": 2}),
        (" user_count , ", {"user_count": 2}),
        (["user_count"], {"user_count": 2}),
        ("cache,nonsense", {}),
    ],
)
def test_info_names(info: Any, found: dict[str, int]) -> None:
    serving = Serving()
    serving.occupy("presence-a", 3, "u1", "u2")
    assert serving.signed("POST", EVENTS, event(channel="presence-a", info=info)).json == {
        "channels": {"presence-a": found}
    }


def test_empty_info_asks_nothing() -> None:
    assert Serving().signed("POST", EVENTS, event(info="")).json == {}


def test_info_of_a_batch_is_an_array_by_index() -> None:
    serving = Serving()
    serving.occupy("presence-a", 3, "u1", "u2")
    batch = [event(), event(channel="presence-a", info="user_count"), event(info="subscription_count,user_count")]
    assert serving.signed("POST", BATCH, {"batch": batch}).json == {
        "batch": [{}, {"user_count": 2}, {"subscription_count": 0}]
    }


def test_an_event_that_is_out_is_not_answered_with_an_error() -> None:
    """A caller that got one would send it again."""
    serving = Serving()
    serving.occupancy.gone = True
    assert serving.signed("POST", EVENTS, event(info="subscription_count")) == (200, {"channels": {"room": {}}}, {})
    assert len(serving.adapter.sent) == 1


def test_workers_out_of_reach() -> None:
    serving = Serving()
    serving.adapter.gone = True
    reply = serving.signed("POST", EVENTS, event())
    assert (reply.status, reply.json["code"]) == (503, "service_unavailable")


# --- rate limits


def test_a_publish_counts_once_for_each_channel() -> None:
    serving = Serving(make_app(max_backend_events_per_second=5))
    first = serving.signed("POST", EVENTS, event(channels=["a", "b", "c"]))
    assert (first.status, first.headers) == (200, {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "2"})
    refused = serving.signed("POST", BATCH, {"batch": [event()] * 3})
    assert (refused.status, refused.json["code"]) == (429, "rate_limited")
    assert refused.headers == {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "2", "Retry-After": "1"}
    assert serving.signed("POST", BATCH, {"batch": [event()] * 2}).headers["X-RateLimit-Remaining"] == "0"
    assert len(serving.adapter.sent) == 5
    assert serving.metrics.value("rate_limit_checks_total", "3", "backend", "http") == 3
    assert serving.metrics.value("rate_limit_triggered_total", "3", "backend", "http") == 1


def test_a_limit_that_cannot_be_counted_stops_nobody() -> None:
    serving = Serving(make_app(max_backend_events_per_second=1))
    serving.limiter.gone = True
    for _ in range(2):
        assert serving.signed("POST", EVENTS, event()) == (200, {}, {})


def test_apps_are_limited_apart() -> None:
    one, two = (make_app(name, name, max_backend_events_per_second=1) for name in ("1", "2"))
    serving = Serving(one, two)
    for app in (one, two):
        assert serving.signed("POST", f"/apps/{app.id}/events", event(), app).status == 200
        assert serving.signed("POST", f"/apps/{app.id}/events", event(), app).status == 429
