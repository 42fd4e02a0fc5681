"""docs/openapi.yaml and docs/http-api.md are what the HTTP API does: every route, and every answer in the form that
stands there."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from engine.app import HistoryRule, PresenceRule, Retention
from engine.history.presence import payload_of
from engine.http.routes import Api
from engine.interfaces import Transition
from tests.http.serving import Serving, make_app
from tests.support.engine import ROOT
from tests.support.snippets import python

FILE = ROOT / "docs" / "openapi.yaml"
MUCH = Retention(3000, 60_000, 1 << 22)
ROOM, PRESENCE = "/apps/3/channels/room", "/apps/3/channels/presence-room"
CONFIRMED = {"confirm_channel": "room", "reason": "a test", "requested_by": "somebody"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(Path(FILE).read_text())
    return loaded


@pytest.fixture
def serving() -> Serving:
    """Each thing of which something is told is there."""
    every = re.compile(".*")
    made = Serving(make_app(history=(HistoryRule(every, MUCH),), presence_history=(PresenceRule(every, MUCH),)))
    made.occupy("presence-room", 2, "ada", "bob")
    for channel in ("room", "room", "cache-room"):
        made.signed("POST", "/apps/3/events", {"name": "e", "channel": channel, "data": "{}"})
    data = json.dumps({"user_id": "ada", "user_info": {"name": "Ada"}})
    came = Transition(b"", "member_added", "3", "presence-room", 5000, 5, 5, "ada", "1.1", data)
    made.came_and_went.keep("3", "presence-room", MUCH, payload_of(came))
    return made


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_it_has_every_route_and_no_other(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), re.sub(r"\{[^}]*\}", "{}", path))
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert described == _routes(Serving().api)


@pytest.mark.parametrize(
    "method, path, template, body, params",
    [
        ("POST", "/apps/3/events", "/apps/{app_id}/events", {"name": "e", "channel": "room", "data": "{}"}, {}),
        (
            "POST",
            "/apps/3/events",
            "/apps/{app_id}/events",
            {"name": "e", "channels": ["room", "presence-room"], "data": {}, "info": "subscription_count,user_count"},
            {},
        ),
        (
            "POST",
            "/apps/3/batch_events",
            "/apps/{app_id}/batch_events",
            {"batch": [{"name": "e", "channel": "presence-room", "data": "", "info": "user_count"}] * 2},
            {},
        ),
        ("GET", "/apps/3/channels", "/apps/{app_id}/channels", None, {"info": "subscription_count"}),
        (
            "GET",
            "/apps/3/channels",
            "/apps/{app_id}/channels",
            None,
            {"info": "user_count", "filter_by_prefix": "presence-"},
        ),
        ("GET", PRESENCE, "/apps/{app_id}/channels/{channel}", None, {"info": "user_count,subscription_count"}),
        ("GET", "/apps/3/channels/cache-room", "/apps/{app_id}/channels/{channel}", None, {"info": "cache"}),
        ("GET", "/apps/3/channels/cache-none", "/apps/{app_id}/channels/{channel}", None, {"info": "cache"}),
        ("GET", f"{PRESENCE}/users", "/apps/{app_id}/channels/{channel}/users", None, {"with_user_info": "1"}),
        ("GET", f"{ROOM}/history", "/apps/{app_id}/channels/{channel}/history", None, {"limit": "1"}),
        ("GET", f"{ROOM}/history/state", "/apps/{app_id}/channels/{channel}/history/state", None, {}),
        (
            "POST",
            f"{ROOM}/history/purge",
            "/apps/{app_id}/channels/{channel}/history/purge",
            CONFIRMED | {"confirm_operation": "purge", "mode": "before_serial", "before_serial": 2},
            {},
        ),
        (
            "POST",
            f"{ROOM}/history/reset",
            "/apps/{app_id}/channels/{channel}/history/reset",
            CONFIRMED | {"confirm_operation": "reset"},
            {},
        ),
        ("GET", f"{PRESENCE}/presence/history", "/apps/{app_id}/channels/{channel}/presence/history", None, {}),
        (
            "GET",
            f"{PRESENCE}/presence/history/state",
            "/apps/{app_id}/channels/{channel}/presence/history/state",
            None,
            {},
        ),
        (
            "GET",
            f"{PRESENCE}/presence/history/snapshot",
            "/apps/{app_id}/channels/{channel}/presence/history/snapshot",
            None,
            {},
        ),
        (
            "POST",
            f"{PRESENCE}/presence/history/reset",
            "/apps/{app_id}/channels/{channel}/presence/history/reset",
            CONFIRMED | {"confirm_operation": "reset", "confirm_channel": "presence-room"},
            {},
        ),
        (
            "POST",
            "/apps/3/users/ada/terminate_connections",
            "/apps/{app_id}/users/{user_id}/terminate_connections",
            None,
            {},
        ),
        ("POST", "/apps/3/users/ada/force_reconnect", "/apps/{app_id}/users/{user_id}/force_reconnect", None, {}),
        ("POST", "/users/ada/terminate_connections", "/users/{user_id}/terminate_connections", None, {}),
    ],
)
def test_an_answer_has_the_form_that_stands_there(
    method: str,
    path: str,
    template: str,
    body: Any,
    params: dict[str, str],
    document: dict[str, Any],
    serving: Serving,
) -> None:
    operation = document["paths"][template][method.lower()]
    if body is not None:
        _fits(document, operation["requestBody"]["content"]["application/json"]["schema"], body)
    answer = serving.signed(method, path, b"" if body is None else body, **params)
    assert answer.status == 200, answer
    _fits(document, operation["responses"]["200"]["content"]["application/json"]["schema"], answer.json)


@pytest.mark.parametrize("path", ["/usage", "/accept-traffic"])
def test_so_has_a_page(path: str, document: dict[str, Any], serving: Serving) -> None:
    answer = serving.call("GET", path)
    schema = document["paths"][path]["get"]["responses"][str(answer.status)]["content"]["application/json"]["schema"]
    _fits(document, schema, json.loads(answer.body))


async def test_a_request_may_be_signed_as_the_page_does_it() -> None:
    ask: Any = python("http-api.md")["ask"]
    serving = Serving(now_s=None)
    async with serving.served() as port:
        mine = (f"http://127.0.0.1:{port}", "3", "key", serving.app.secret)
        event = {"name": "hello", "channel": "room", "data": "{}"}
        assert await asyncio.to_thread(ask, *mine, "POST", "/events", event) == (200, {})
        assert await asyncio.to_thread(ask, *mine, "GET", "/channels", info="subscription_count") == (
            200,
            {"channels": {}},
        )
        status, error = await asyncio.to_thread(ask, *mine, "POST", "/events", {"name": "hello"})
        assert (status, error["code"]) == (400, "missing_channel_info")


def test_so_have_refusals(document: dict[str, Any], serving: Serving) -> None:
    schema = document["components"]["responses"]["Refused"]["content"]["application/json"]["schema"]
    refused = [
        serving.signed("POST", "/apps/3/events", {"name": "e", "data": ""}),
        serving.signed("POST", "/apps/3/events", b"nonsense"),
        serving.signed("GET", "/apps/4/channels"),
        serving.signed("DELETE", "/apps/3/channels"),
        serving.signed("GET", "/apps/3/nothing"),
    ]
    assert [answer.status for answer in refused] == [400, 400, 404, 405, 404]
    for answer in refused:
        _fits(document, schema, answer.json)


def _fits(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    resource: Resource[Any] = Resource(contents=document, specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:api", resource)
    Draft202012Validator(_absolute(schema), registry=registry).validate(value)


def _absolute(schema: Any) -> Any:
    """References of this schema lead into the document."""
    return json.loads(json.dumps(schema).replace('"#/', '"urn:api#/'))


def _routes(api: Api) -> set[tuple[str, str]]:
    found = set()
    for table in (api._signed, api._pages):
        for count, routes in table.items():
            for route in routes:
                segments = dict(route.words)
                path = "/".join(segments.get(at, "{}") for at in range(count + 1))
                found |= {(method, path) for method in route.methods if method != "HEAD"}
    return found
