"""Paths, methods, prefixes, and what becomes of errors."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.limits import RateLimit
from engine.config.server import HttpApiConfig
from engine.http.request import ApiResponse
from tests.http.serving import Serving

EVENT = {"name": "e", "data": "d", "channel": "a"}


def headers(answer: ApiResponse) -> dict[str, str]:
    return dict(answer.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/apps",
        "/apps/",
        "/apps/3",
        "/apps/3/",
        "/apps/3/events/",
        "/apps/3//events",
        "/apps//3/events",
        "/APPS/3/events",
        "/apps/3/connections",
        "/apps/3/channels/a/users/b",
        "/apps/3/channels/a/events",
        "/apps/3/users/u",
        "/users",
        "/users/u",
        "/%61pps/3/events",
        "/apps/%FF/events",
        "/up/3/4",
        "/ready/",
        "/metrics",
        "/app/key",
        "*",
        "apps/3/events",
        "/apps/3/events\x00",
        "/" * 5000 + "x",
    ],
    ids=lambda path: repr(path)[:40],
)
def test_unknown_paths(path: str) -> None:
    serving = Serving()
    for method in ("GET", "POST"):
        answer = serving.call(method, path)
        assert answer.status == 404
        assert json.loads(answer.body)["status"] == 404


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/apps/3/events", "POST, OPTIONS"),
        ("/apps/3/batch_events", "POST, OPTIONS"),
        ("/apps/3/users/u/terminate_connections", "POST, OPTIONS"),
        ("/users/u/terminate_connections", "POST, OPTIONS"),
        ("/apps/3/channels", "GET, HEAD, OPTIONS"),
        ("/apps/3/channels/a", "GET, HEAD, OPTIONS"),
        ("/apps/3/channels/presence-a/users", "GET, HEAD, OPTIONS"),
        ("/up", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
    ],
)
def test_methods(path: str, allowed: str) -> None:
    serving = Serving()
    for method in ("DELETE", "PUT", "PATCH", "post", "X", "GET" if "POST" in allowed else "POST"):
        answer = serving.call(method, path)
        assert (answer.status, headers(answer)["Allow"]) == (405, allowed)
        assert json.loads(answer.body)["code"] == "method_not_allowed"
    options = serving.call("OPTIONS", path)
    assert (options.status, options.body, headers(options)["Allow"]) == (204, b"", allowed)


@pytest.mark.parametrize("signed_path", ["/chat/apps/3/events", "/apps/3/events"])
def test_all_is_served_under_the_prefix(signed_path: str) -> None:
    serving = Serving(path_prefix="/chat")
    body = json.dumps(EVENT).encode()
    target = serving.target("POST", signed_path, body)
    query = target.partition("?")[2]
    assert serving.call("POST", f"/chat/apps/3/events?{query}", body).status == 200
    assert len(serving.adapter.sent) == 1


@pytest.mark.parametrize(("without", "status"), [(True, 200), (False, 404)])
def test_all_is_served_without_it_too_unless_switched_off(without: bool, status: int) -> None:
    serving = Serving(path_prefix="/chat", config=HttpApiConfig(without_prefix=without))
    assert serving.signed("POST", "/apps/3/events", EVENT).status == status
    assert serving.signed("POST", "//apps/3/events", EVENT).status == status
    assert serving.signed("POST", "/chat//apps/3/events", EVENT).status == 200
    assert serving.call("GET", "/chatty/apps/3/channels").status == 404
    assert len(serving.adapter.sent) == 1 + 2 * without


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/chat/up", 200),
        ("/up", 200),
        ("/chat", 200),
        ("/chat/", 200),
        ("/", 200),
        ("/chat/up/3", 200),
        ("/chatup", 404),
        ("/chat/chat/up", 404),
        ("/chat/apps/3/channels", 401),
        ("/chatty/apps/3/channels", 404),
    ],
)
def test_health_is_served_with_and_without_the_prefix(path: str, status: int) -> None:
    assert Serving(path_prefix="/chat").call("GET", path).status == status


def test_a_mistake_of_ours_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    serving = Serving()
    serving.adapter.broken = True
    for _ in range(3):
        reply = serving.signed("POST", "/apps/3/events", EVENT)
        assert (reply.status, reply.json["code"]) == (500, "internal_error")
        assert "mistake" not in reply.json["error"]
    # Once a minute, or a back end could fill the log.
    (record,) = caplog.records
    assert record.exc_info is not None


@given(
    method=st.sampled_from(["GET", "POST", "OPTIONS", "HEAD"]) | st.text(max_size=5),
    target=st.binary() | st.from_regex(rb"/(apps|up|users)/.{0,9}/(events|channels|users).{0,30}"),
    body=st.binary(),
)
def test_nothing_that_a_caller_sends_is_our_mistake(method: str, target: bytes, body: bytes) -> None:
    assert SHARED.call(method, target, body).status < 500


SHARED = Serving()


@given(st.recursive(st.none() | st.integers() | st.text(max_size=9), st.lists, max_leaves=5), st.booleans(), st.data())
def test_nothing_in_a_body_is_our_mistake(value: Any, batch: bool, data: st.DataObject) -> None:
    fields = data.draw(
        st.dictionaries(st.sampled_from(["name", "data", "channel", "channels", "socket_id", "info"]), st.just(value))
    )
    event = EVENT | fields
    path, body = ("batch_events", {"batch": [event]}) if batch else ("events", event)
    assert SHARED.signed("POST", f"/apps/3/{path}", body).status in (200, 400)


def test_bad_input_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    serving = Serving()
    with caplog.at_level(logging.INFO):
        serving.signed("POST", "/apps/3/events", b"no json")
        serving.call("POST", "/apps/3/events", b"unsigned")
        serving.call("BAD", "/%FF")
        serving.adapter.gone = True
        serving.signed("POST", "/apps/3/events", EVENT)
    assert caplog.records == []


def test_calls_are_counted_for_known_apps_only() -> None:
    serving = Serving()
    serving.signed("POST", "/apps/3/events", EVENT)
    serving.call("POST", "/apps/3/events", b"unsigned")
    serving.call("POST", "/apps/claimed/events", b"x")
    value = serving.metrics.value
    assert value("http_calls_received_total", "3") == 2
    assert value("http_errors_total", "3", "401") == 1
    assert value("http_errors_total", "", "404") == 1
    assert value("http_calls_received_total", "claimed") == 0
    assert value("http_received_bytes", "3") == len(json.dumps(EVENT)) + len(b"unsigned")
    assert value("http_transmitted_bytes", "3") > 2


# --- requests of one address


LIMITED = RateLimit(max_requests=2, window_seconds=60)


def test_an_address_is_limited_where_that_is_configured() -> None:
    serving = Serving(limit=LIMITED)
    statuses = [serving.call("GET", "/apps/3/channels", address="192.0.2.1").status for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert headers(serving.call("GET", "/apps/3/channels", address="192.0.2.1"))["Retry-After"] == "60"
    assert serving.call("GET", "/apps/3/channels", address="192.0.2.2").status == 401
    assert serving.call("GET", "/apps/3/channels").status == 401
    assert serving.metrics.value("rate_limit_triggered_total", "", "address", "http") == 2


def test_health_is_never_limited() -> None:
    serving = Serving(limit=LIMITED)
    assert {serving.call("GET", "/up", address="192.0.2.1").status for _ in range(9)} == {200}


@pytest.mark.parametrize("limit", [RateLimit(), RateLimit(enabled=False, max_requests=1)])
def test_no_limit_unless_configured(limit: RateLimit) -> None:
    serving = Serving(limit=limit)
    assert {serving.call("GET", "/apps/3/channels", address="192.0.2.1").status for _ in range(200)} == {401}


def test_an_address_is_not_limited_while_nothing_can_be_counted() -> None:
    serving = Serving(limit=LIMITED)
    serving.limiter.gone = True
    assert {serving.call("GET", "/apps/3/channels", address="192.0.2.1").status for _ in range(9)} == {401}
