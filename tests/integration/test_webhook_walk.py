"""Every command, header and field that the webhooks' documentation shows, tried on an engine with its own Redis."""

from __future__ import annotations

import asyncio
import json
import shlex
import threading
from collections.abc import Iterator

import pytest

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.signing import channel_auth, compact
from tests.support.snippets import snippets
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

EVERY = [
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "cache_miss",
    "subscription_count",
    "connection_established",
    "connection_terminated",
]
FIELDS = {
    "channel_occupied": ["name", "channel", "time_ms", "seq"],
    "channel_vacated": ["name", "channel", "time_ms", "seq"],
    "member_added": ["name", "channel", "user_id", "socket_id", "data", "time_ms", "seq"],
    "member_removed": ["name", "channel", "user_id", "socket_id", "time_ms", "seq"],
    "client_event": ["name", "channel", "event", "data", "socket_id", "user_id", "time_ms"],
    "cache_miss": ["name", "channel", "time_ms"],
    "subscription_count": ["name", "channel", "subscription_count", "time_ms", "seq"],
    "connection_established": ["name", "channel", "socket_id", "address", "time_ms"],
    "connection_terminated": ["name", "channel", "socket_id", "reason", "time_ms"],
}


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="module")
def target() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as started:
        yield started


@pytest.fixture(scope="module")
def engine(valkey: ValkeyServer, target: WebhookReceiver) -> Iterator[Engine]:
    once = {"retry": {"enabled": False}}
    webhooks = [
        {"url": f"{target.url}/all", "event_types": EVERY, "headers": {"Authorization": "Bearer t", "X-Source": "s"}},
        {
            "url": f"{target.url}/admins",
            "event_types": EVERY,
            "filter": {"channel_type": "presence", "channel_prefix": "admin-"},
        },
        {"url": f"{target.url}/dead", "event_types": ["cache_miss"], **once},
    ]
    app = APP | {"enable_subscription_count": True, "enable_user_authentication": False, "webhooks": webhooks}
    config = {"app_manager": {"array": {"apps": [app]}}, "database": {"redis": {"url": valkey.url}}}
    with running(config, 2) as started:
        yield started


def test_fields_and_headers_are_those_of_the_tables(engine: Engine, target: WebhookReceiver) -> None:
    room, user = "presence-lobby", {"user_id": "user-456", "user_info": {"name": "Bob", "avatar": "url"}}

    async def scenario() -> str:
        async with connected(engine.ws_url) as client:
            # As the page does it by hand, with wscat.
            text = compact(user)
            auth = channel_auth(APP["key"], APP["secret"], client.socket_id, room, text)
            await client.send("pusher:subscribe", {"channel": room, "auth": auth, "channel_data": text})
            await client.next("pusher_internal:subscription_succeeded", room)
            await client.send("client-typing", {"isTyping": True}, room)
            await client.subscribe("cache-room")
            await client.settle()
            return client.socket_id

    socket_id = asyncio.run(scenario())
    wait_until(lambda: set(target.names("/all")) == set(EVERY), what=lambda: set(target.names("/all")))
    for request in target.to("/all"):
        assert len(request.events) == 1, "without batching each event is a request"
        assert [*request.json] == ["time_ms", "events"]
        assert request.headers["content-type"] == "application/json"
        assert request.headers["x-pusher-key"] == APP["key"]
        assert (request.headers["authorization"], request.headers["x-source"]) == ("Bearer t", "s")
        assert request.signed_with(APP["secret"])
    events = target.events("/all")
    for event in events:
        assert list(event) == FIELDS[event["name"]]
    mine = {event["name"]: event for event in events if event.get("socket_id", socket_id) == socket_id}
    assert mine["member_added"]["data"] == compact(user)
    assert {mine[name]["user_id"] for name in ("member_added", "member_removed", "client_event")} == {"user-456"}
    assert (mine["client_event"]["event"], mine["client_event"]["data"]) == ("client-typing", '{"isTyping":true}')
    assert target.to("/admins") == [], "a lobby is no admin room"


def test_the_combined_filter_selects_what_its_example_means(engine: Engine, target: WebhookReceiver) -> None:
    async def scenario() -> None:
        async with connected(engine.ws_url) as client:
            for channel in ("presence-admin-room", "presence-room-admin-"):
                await client.subscribe(channel, user_id="u")
            await client.subscribe("admin-room")

    asyncio.run(scenario())
    wait_until(lambda: len(target.names("/admins")) == 4)
    assert {event["channel"] for event in target.events("/admins")} == {"presence-admin-room"}


def test_operators_commands(engine: Engine, target: WebhookReceiver, valkey: ValkeyServer) -> None:
    """`redis-cli` and `curl` as they are documented."""
    target.answer(500, path="/dead")
    asyncio.run(visit(engine, "cache-broken"))
    llen, lrange, rpoplpush = (
        shlex.split(line)[1:] for text in snippets("webhooks.md", "sh") for line in text.splitlines()
    )
    with valkey.client() as redis:
        wait_until(lambda: redis.execute_command(*llen) == 1)
        (entry,) = redis.execute_command(*lrange)
        job = json.loads(entry)
        assert (job["attempt"], len(job["errors"])) == (1, 1)
        assert "status 500" in job["errors"][0]
        assert redis.execute_command(*rpoplpush) == entry
        wait_until(lambda: target.names("/dead", "cache-broken") == ["cache_miss"])
        assert redis.execute_command(*llen) == 0

    wait_until(lambda: "\nsockudo_webhooks_sent_total{" in engine.metrics())
    usage = engine.raw("GET", "/usage")
    assert (usage.status, [*usage.json["memory"]]) == (200, ["free", "used", "total", "percent"])


def test_monitor_shows_webhooks(engine: Engine, valkey: ValkeyServer, target: WebhookReceiver) -> None:
    seen: list[str] = []
    with valkey.client() as client, client.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                if "webhook" in command["command"]:
                    seen.append(command["command"])
                if command["command"].startswith("ECHO stop"):
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        asyncio.run(visit(engine, "room-monitored"))
        wait_until(lambda: len(target.events("/all", "room-monitored")) >= 2)
        with valkey.client() as other:
            other.echo("stop")
        thread.join(10)
    assert any("room-monitored" in command for command in seen)


def test_an_unsigned_publish_is_refused_with_a_reason(engine: Engine) -> None:
    body = b'{"name":"test-event","channels":["test-channel"],"data":{"message":"test"}}'
    refused = engine.raw("POST", f"/apps/{APP['id']}/events", body)
    assert refused.status == 401
    assert "auth_key" in refused.json["error"]
    unknown = engine.raw("POST", "/apps/your-app-id/events", body)
    assert unknown.status in (401, 404)
    assert unknown.json["error"]


async def visit(engine: Engine, channel: str) -> None:
    async with connected(engine.ws_url) as client:
        await client.subscribe(channel)
