"""GET channels, channel and users; POST terminate_connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.http import channels
from tests.http.serving import Serving, make_app


@pytest.fixture
def serving() -> Serving:
    made = Serving()
    made.occupy("room", 5)
    made.occupy("presence-a", 3, "u1", "10")
    made.occupy("presence-b", 1, "zoë")
    made.occupy("#server-to-user-u1", 1)
    return made


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, {"room": {}, "presence-a": {}, "presence-b": {}}),
        ({"filter_by_prefix": "presence-"}, {"presence-a": {}, "presence-b": {}}),
        ({"filter_by_prefix": "nobody-"}, {}),
        ({"filter_by_prefix": "#"}, {}),
        ({"filter_by_prefix": ""}, {"room": {}, "presence-a": {}, "presence-b": {}}),
        (
            {"filter_by_prefix": "presence-", "info": "user_count"},
            {"presence-a": {"user_count": 2}, "presence-b": {"user_count": 1}},
        ),
        ({"filter_by_prefix": "presence-b", "info": "user_count,nonsense"}, {"presence-b": {"user_count": 1}}),
        ({"filter_by_prefix": "r", "info": "subscription_count"}, {"room": {"subscription_count": 5}}),
    ],
    ids=str,
)
def test_list(serving: Serving, params: dict[str, str], found: dict[str, Any]) -> None:
    assert serving.signed("GET", "/apps/3/channels", **params) == (200, {"channels": found}, {})


@pytest.mark.parametrize(
    "params",
    [
        {"info": "user_count"},
        {"info": "user_count", "filter_by_prefix": "private-"},
        {"info": "user_count", "filter_by_prefix": "presence"},
        {"info": "cache"},
    ],
    ids=str,
)
def test_list_of_what_does_not_apply(serving: Serving, params: dict[str, str]) -> None:
    reply = serving.signed("GET", "/apps/3/channels", **params)
    assert (reply.status, reply.json["code"]) == (400, "invalid_input")


def test_a_long_list_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "READ_AT_ONCE", 3)
    serving = Serving()
    for n in range(7):
        serving.occupy(f"presence-{n}", 1, *(f"u{m}" for m in range(n)))
    reply = serving.signed("GET", "/apps/3/channels", filter_by_prefix="presence-", info="user_count")
    assert reply.json["channels"] == {f"presence-{n}": {"user_count": n} for n in range(7)}


@pytest.mark.parametrize(
    ("channel", "info", "found"),
    [
        ("room", None, {"occupied": True}),
        ("nobody", None, {"occupied": False}),
        ("room", "subscription_count", {"occupied": True, "subscription_count": 5}),
        ("nobody", "subscription_count", {"occupied": False, "subscription_count": 0}),
        ("presence-a", "user_count", {"occupied": True, "user_count": 2}),
        ("presence-a", "user_count,subscription_count", {"occupied": True, "user_count": 2, "subscription_count": 3}),
        ("presence-x", "user_count", {"occupied": False, "user_count": 0}),
        ("room", "nonsense", {"occupied": True}),
        ("cache-x", "cache", {"occupied": False, "cache": None}),
    ],
)
def test_show(serving: Serving, channel: str, info: str | None, found: dict[str, Any]) -> None:
    params = {} if info is None else {"info": info}
    assert serving.signed("GET", f"/apps/3/channels/{channel}", **params) == (200, found, {})


def test_show_the_cache(serving: Serving) -> None:
    serving.signed("POST", "/apps/3/events", {"name": "e", "data": '{"a":1}', "channel": "private-cache-a"})
    found = serving.signed("GET", "/apps/3/channels/private-cache-a", info="cache").json["cache"]
    assert found["data"] == '{"a":1}'
    assert 3590 <= found["ttl"] <= 3600


@pytest.mark.parametrize(("channel", "info"), [("room", "user_count"), ("room", "cache"), ("presence-a", "cache")])
def test_show_what_does_not_apply(serving: Serving, channel: str, info: str) -> None:
    assert serving.signed("GET", f"/apps/3/channels/{channel}", info=info).status == 400


@pytest.mark.parametrize("channel", ["a%20b", "%23server-to-user-u1", "%23connections", "x" * 201, "a%2Fb", "%00", ""])
@pytest.mark.parametrize("rest", ["", "/users"])
def test_names_that_no_channel_has(serving: Serving, channel: str, rest: str) -> None:
    assert serving.signed("GET", f"/apps/3/channels/{channel}{rest}").status == 400


def test_users(serving: Serving) -> None:
    reply = serving.signed("GET", "/apps/3/channels/presence-a/users")
    assert reply.status == 200
    assert sorted(user["id"] for user in reply.json["users"]) == ["10", "u1"]
    assert serving.signed("GET", "/apps/3/channels/presence-b/users").json == {"users": [{"id": "zoë"}]}
    assert serving.signed("GET", "/apps/3/channels/presence-nobody/users").json == {"users": []}


@pytest.mark.parametrize("channel", ["room", "nobody", "private-a", "presences"])
def test_users_of_other_channels(serving: Serving, channel: str) -> None:
    reply = serving.signed("GET", f"/apps/3/channels/{channel}/users")
    assert reply.status == 400
    assert reply.json["error"] == "The channel must be a presence channel."


@pytest.mark.parametrize("rest", ["", "/room", "/presence-a/users"])
def test_shared_state_out_of_reach(serving: Serving, rest: str) -> None:
    serving.occupancy.gone = True
    reply = serving.signed("GET", f"/apps/3/channels{rest}")
    assert (reply.status, reply.json["code"]) == (503, "service_unavailable")


def test_apps_see_their_own_channels_only() -> None:
    one, two = make_app("1", "one"), make_app("2", "two")
    serving = Serving(one, two)
    serving.occupy("room", 1, app=one)
    assert serving.signed("GET", "/apps/1/channels", app=one).json == {"channels": {"room": {}}}
    assert serving.signed("GET", "/apps/2/channels", app=two).json == {"channels": {}}
    assert serving.signed("GET", "/apps/2/channels/room", app=two).json == {"occupied": False}


@pytest.mark.parametrize("rest", ["", "/room", "/presence-a/users"])
def test_read_requests_are_limited(rest: str) -> None:
    serving = Serving(make_app(max_read_requests_per_second=1))
    first = serving.signed("GET", f"/apps/3/channels{rest}")
    assert (first.status, first.headers) == (200, {"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0"})
    refused = serving.signed("GET", f"/apps/3/channels{rest}")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")


# --- terminate_connections


@pytest.mark.parametrize("body", [b"", b"{}", b'{"x":1}'])
@pytest.mark.parametrize(
    ("user", "user_id"), [("12345", "12345"), ("a%40b.c", "a@b.c"), ("a%2Fb", "a/b"), ("zo%C3%AB", "zoë")]
)
def test_terminate(user: str, user_id: str, body: bytes) -> None:
    serving = Serving()
    assert serving.signed("POST", f"/apps/3/users/{user}/terminate_connections", body) == (200, {}, {})
    assert serving.adapter.terminated == [("3", user_id)]


def test_force_reconnect() -> None:
    serving = Serving()
    assert serving.signed("POST", "/apps/3/users/u1/force_reconnect", b"{}") == (200, {}, {})
    assert serving.adapter.terminated == [("3", "u1", "and back")]


def test_terminate_with_the_app_found_by_its_key() -> None:
    one, two = make_app("1", "one"), make_app("2", "two")
    serving = Serving(one, two)
    assert serving.signed("POST", "/users/u1/terminate_connections", b"{}", two).status == 200
    assert serving.adapter.terminated == [("2", "u1")]
    unknown = make_app("3", "other")
    reply = serving.signed("POST", "/users/u1/terminate_connections", b"{}", unknown)
    assert (reply.status, reply.json["code"]) == (401, "auth_failed")
    assert serving.call("POST", "/users/u1/terminate_connections").status == 401


@pytest.mark.parametrize("user", ["", "x" * 201, "a%0Ab", "%00"])
def test_ids_that_no_user_has(user: str) -> None:
    serving = Serving()
    assert serving.signed("POST", f"/apps/3/users/{user}/terminate_connections", b"{}").status == 400
    assert serving.adapter.terminated == []


def test_terminate_while_workers_are_out_of_reach() -> None:
    serving = Serving()
    serving.adapter.gone = True
    assert serving.signed("POST", "/apps/3/users/u1/terminate_connections", b"{}").status == 503


def test_the_cache_is_asked_for_its_own_app() -> None:
    one, two = make_app("1", "one"), make_app("2", "two")
    serving = Serving(one, two)
    asyncio.run(serving.cache.put("1", "cache-a", "e", "d", 60))
    assert serving.signed("GET", "/apps/2/channels/cache-a", app=two, info="cache").json["cache"] is None
