"""Who may call the API: statuses and tokens of H-31 to H-36 and H-46."""

from __future__ import annotations

import json

import pytest

from tests.http.serving import NOW_S, SECRET, Serving, make_app
from tests.support.signing import signed_query

BODY = b'{"name":"e","data":"d","channel":"a"}'


def target(path: str, key: str = "key", secret: str = SECRET, timestamp: int = NOW_S, body: bytes = BODY) -> str:
    query = signed_query(key, secret, "POST", path, body, timestamp=timestamp)
    return f"{path}?" + "&".join(f"{name}={value}" for name, value in query.items())


@pytest.mark.parametrize(
    ("sent", "body", "status", "code"),
    [
        (target("/apps/3/events"), BODY, 200, None),
        (target("/apps/9/events"), BODY, 404, "app_not_found"),
        (target("/apps//events"), BODY, 404, "app_not_found"),
        (target("/apps/3/events", key="unknown"), BODY, 401, "auth_failed"),
        (target("/apps/3/events", key="two"), BODY, 401, "auth_failed"),
        (target("/apps/3/events", secret="guessed"), BODY, 401, "auth_failed"),
        (target("/apps/3/events", timestamp=NOW_S - 600), BODY, 200, None),
        (target("/apps/3/events", timestamp=NOW_S - 601), BODY, 401, "auth_failed"),
        (target("/apps/3/events", timestamp=NOW_S + 601), BODY, 401, "auth_failed"),
        (target("/apps/3/events"), BODY + b" ", 401, "auth_failed"),
        (target("/apps/3/events", body=b""), BODY, 401, "auth_failed"),
        (target("/apps/3/batch_events").replace("batch_events", "events"), BODY, 401, "auth_failed"),
        ("/apps/3/events", BODY, 401, "auth_failed"),
        ("/apps/3/events?auth_key=key", BODY, 401, "auth_failed"),
        (target("/apps/off/events", key="off"), BODY, 403, "forbidden"),
        # Whether an app is switched off is nobody's business but its owner's.
        (target("/apps/off/events", key="off", secret="guessed"), BODY, 401, "auth_failed"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_requests(sent: str, body: bytes, status: int, code: str | None) -> None:
    serving = Serving(make_app(), make_app("2", "two"), make_app("off", "off", enabled=False))
    answer = serving.call("POST", sent, body)
    assert answer.status == status
    assert answer.content_type == "application/json"
    if code is None:
        assert len(serving.adapter.sent) == 1
    else:
        assert f'"code":"{code}"'.encode() in answer.body
        assert f'"status":{status}'.encode() in answer.body
        assert serving.adapter.sent == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/apps/3/events"),
        ("POST", "/apps/3/batch_events"),
        ("GET", "/apps/3/channels"),
        ("GET", "/apps/3/channels/room"),
        ("GET", "/apps/3/channels/presence-room/users"),
        ("POST", "/apps/3/users/u/terminate_connections"),
        ("POST", "/apps/3/users/u/force_reconnect"),
        ("POST", "/users/u/terminate_connections"),
        ("HEAD", "/apps/3/channels"),
    ],
)
def test_every_endpoint_wants_a_signature(method: str, path: str) -> None:
    serving = Serving()
    assert serving.call(method, path).status == 401
    assert serving.adapter.terminated == []


@pytest.mark.parametrize(
    "spelled", ["/apps/3/channels/presence-a,b;c@d=e.f", "/apps/3/channels/presence-a%2Cb%3Bc%40d%3De.f"]
)
def test_a_channel_name_may_be_signed_escaped_or_not(spelled: str) -> None:
    serving = Serving()
    serving.occupy("presence-a,b;c@d=e.f", 2, "u")
    assert serving.signed("GET", spelled, info="user_count").json == {"occupied": True, "user_count": 1}


def test_a_read_may_carry_the_digest_of_nothing() -> None:
    """pusher-http-python sends it with every read (H-7)."""
    digest = "d41d8cd98f00b204e9800998ecf8427e"
    assert Serving().signed("GET", "/apps/3/channels", body_md5=digest).status == 200


@pytest.mark.parametrize("path", ["/apps/3/events", "/apps/9/events", "/users/u/terminate_connections"])
def test_with_too_old_a_copy_nobody_is_known(path: str) -> None:
    serving = Serving()
    serving.apps.stale = True
    answer = serving.call("POST", target(path), BODY)
    assert (answer.status, json.loads(answer.body)["code"]) == (503, "service_unavailable")
    serving.apps.stale = False
    assert serving.call("POST", target(path), BODY).status != 503
