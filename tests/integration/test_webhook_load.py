"""Two applications, two filtered webhooks each, 1,000 events/s: everything to whom it is for, nothing to others."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pusher

from tests.integration.conftest import HEX_APP
from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running
from tests.support.node import NodeJs, missing
from tests.support.receiver import Received, WebhookReceiver
from tests.support.snippets import python
from tests.support.waiting import wait_until

RATE = 1_000
SECONDS = 2
CLIENTS = 10
#: The channels of each application; which of its two webhooks wants what.
CHANNELS = ("private-a-one", "private-a-two", "private-b-one", "presence-b-two", "private-c")
FILTERS: dict[str, dict[str, Any]] = {
    "first": {"filter": {"channel_prefix": "private-a-"}, "event_types": ["client_event", "channel_occupied"]},
    "second": {
        "filter": {"channel_pattern": "-b-", "event_prefix": "client-loud"},
        "event_types": ["client_event", "member_added"],
    },
}


def wanted(webhook: str, event: dict[str, Any]) -> bool:
    """What the configuration above means, said once more."""
    name, channel = event["name"], event["channel"]
    if webhook == "first":
        return name in ("client_event", "channel_occupied") and channel.startswith("private-a-")
    loud = name == "client_event" and event["event"].startswith("client-loud")
    return "-b-" in channel and (loud or name == "member_added")


def config(receiver: WebhookReceiver) -> dict[str, Any]:
    apps = []
    for app in (APP, HEX_APP):
        form = "hex" if app is HEX_APP else "prefixed"
        webhooks = [
            {"url": f"{receiver.url}/{app['id']}/{name}", "signature_format": form, **webhook}
            for name, webhook in FILTERS.items()
        ]
        apps.append(app | {"webhooks": webhooks})
    return {"app_manager": {"array": {"apps": apps}}, "webhooks": {"batching": {"enabled": True, "duration": 50}}}


async def talk(engine: Engine) -> dict[str, Counter[tuple[str, str]]]:
    """Send client events at the rate; by application, how many of each channel and name."""
    said: dict[str, Counter[tuple[str, str]]] = {APP["id"]: Counter(), HEX_APP["id"]: Counter()}
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        clients: list[tuple[str, PusherClient]] = []
        for number in range(CLIENTS):
            app = (APP, HEX_APP)[number % 2]
            client = await stack.enter_async_context(connected(engine.ws_url, app["key"], app["secret"]))
            for channel in CHANNELS:
                await client.subscribe(channel, user_id="u" if channel.startswith("presence-") else None)
            clients.append((app["id"], client))
        started = loop.time()
        for number in range(RATE * SECONDS):
            app_id, client = clients[number % CLIENTS]
            channel = CHANNELS[number // CLIENTS % len(CHANNELS)]
            name = "client-loud" if number % 3 else "client-low"
            await client.send(name, {"app": app_id, "n": number}, channel)
            said[app_id][channel, name] += 1
            if (early_s := started + number / RATE - loop.time()) > 0.005:
                await asyncio.sleep(early_s)
        for _, client in clients:
            await client.settle()
    return said


def test_every_event_goes_where_it_is_wanted_and_nowhere_else(receiver: WebhookReceiver) -> None:
    with running(config(receiver), 2) as engine:
        said = asyncio.run(talk(engine))
        expected = {
            f"/{app_id}/{webhook}": Counter(
                {key: count for key, count in counts.items() if wanted(webhook, _client_event(*key))}
            )
            for app_id, counts in said.items()
            for webhook in FILTERS
        }
        assert all(sum(counts.values()) > 100 for counts in expected.values())
        wait_until(lambda: all(_heard(receiver, path) == counts for path, counts in expected.items()))

    for path in expected:
        app_id, webhook = path[1:].split("/")
        for event in receiver.events(path):
            assert wanted(webhook, event), (path, event)
            if event["name"] == "client_event":
                assert json.loads(event["data"])["app"] == app_id
    assert {request.path for request in receiver.requests} == set(expected)
    assert len(receiver.requests) < sum(len(receiver.events(path)) for path in expected) / 2, "they are batched"
    _check_signatures([r for r in receiver.requests if r.path.startswith("/1/")], APP)
    _check_with_libraries([r for r in receiver.requests if r.path.startswith("/2/")], HEX_APP)


def _check_signatures(requests: list[Received], app: dict[str, Any]) -> None:
    """By the verifier of docs/webhooks.md."""
    verify: Any = python("webhooks.md")["is_genuine"]
    assert requests
    for request in requests:
        assert request.headers["x-pusher-signature"].startswith("sha256=")
        assert verify(request.body, request.headers["x-pusher-signature"], app["secret"])
        assert not verify(request.body, request.headers["x-pusher-signature"], HEX_APP["secret"])


def _check_with_libraries(requests: list[Received], app: dict[str, Any]) -> None:
    sdk = pusher.Pusher(app["id"], app["key"], app["secret"])
    assert requests
    for request in requests:
        headers = request.headers
        read = sdk.validate_webhook(headers["x-pusher-key"], headers["x-pusher-signature"], request.body.decode())
        assert read == request.json
    if missing():
        return
    js_app = {name: app[name] for name in ("id", "key", "secret")}
    with NodeJs() as node:
        for request in requests:
            read = node("server.webhook", app=js_app, headers=dict(request.headers), body=request.body.decode())
            assert read["valid"]
            assert read["events"] == request.events


def _client_event(channel: str, event: str) -> dict[str, Any]:
    return {"name": "client_event", "channel": channel, "event": event}


def _heard(receiver: WebhookReceiver, path: str) -> Counter[tuple[str, str]]:
    return Counter((e["channel"], e["event"]) for e in receiver.events(path) if e["name"] == "client_event")
