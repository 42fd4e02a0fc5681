"""Redis answers, and yet not all that the engine needs is possible there: it is named, `/ready` says it, nothing is
lost, and what cannot be done is refused instead of waited for."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.placing import connected_to
from tests.support.receiver import WebhookReceiver
from tests.support.restricted import UNREAD_BYTES, Restricted, refuses_ping, user_made
from tests.support.signing import user_auth
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until, wait_until

HOOK = ["channel_occupied", "channel_vacated"]


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as started:
        yield started


@pytest.fixture(scope="module")
def restricted(receiver: WebhookReceiver) -> Iterator[Restricted]:
    hook = {"url": f"{receiver.url}/hook", "event_types": HOOK}
    with ValkeyServer() as server:
        config: dict[str, Any] = {
            "database": {"redis": {"url": user_made(server)}},
            "adapter": {"shared_memory": False},
            "app_manager": {"array": {"apps": [APP | {"webhooks": [hook]}]}},
        }
        with running(config, 2, noise=None) as engine:
            yield Restricted(server, engine)


async def test_channels_that_are_not_allowed_show_and_a_subscription_is_refused_in_time(
    restricted: Restricted,
) -> None:
    engine = restricted.engine
    async with connected(engine.ws_url) as client:
        restricted.grant("resetchannels")
        try:
            await until(lambda: asyncio.to_thread(restricted.all_say, 503, "Redis refuses what goes between workers"))
            await client.send("pusher:subscribe", {"channel": "room"})
            refused = await client.next("pusher:subscription_error", "room", timeout_s=5)
            assert refused["data"]["type"] == "ServerError"
            user_data = '{"id":"ada"}'
            auth = user_auth(client.key, client.secret, client.socket_id, user_data)
            await client.send("pusher:signin", {"auth": auth, "user_data": user_data})
            await client.next("pusher:subscription_error", "#server-to-user-ada", timeout_s=5)
        finally:
            restricted.grant("&sockudo*")
        await until(lambda: asyncio.to_thread(restricted.all_say, 200, "OK"))
        # Who is told that it is signed in is reached as that user.
        await client.signin("ada")
        await asyncio.to_thread(engine.trigger, "#server-to-user-ada", "for you")
        await client.next("for you", "#server-to-user-ada")
        await client.subscribe("room")
        await asyncio.to_thread(engine.trigger, "room", "heard")
        await client.next("heard", "room")


async def test_a_right_taken_away_is_named_and_no_webhook_is_lost(
    restricted: Restricted, receiver: WebhookReceiver
) -> None:
    engine = restricted.engine
    async with connected(engine.ws_url) as client:
        await client.subscribe("first")
        await until(lambda: receiver.names("/hook", "first") == ["channel_occupied"])
        restricted.grant("-lmove", "-zadd")
        try:
            await until(lambda: asyncio.to_thread(restricted.all_say, 503, "may not run ZADD, LMOVE"))
            # Served alone, and told when it can be.
            await client.subscribe("second")
            await client.unsubscribe("first")
        finally:
            restricted.grant("+lmove", "+zadd")
        await until(lambda: asyncio.to_thread(restricted.all_say, 200, "OK"))
        await until(lambda: receiver.names("/hook", "second") == ["channel_occupied"])
        await until(lambda: receiver.names("/hook", "first") == HOOK)
    # A worker that had nothing to write meanwhile has only its node's reason.
    named = re.findall(r" ERROR +(worker \d) .*ZADD, LMOVE", engine.log())
    assert sorted(set(named)) == sorted(named) != [], "once for each worker that met it"


async def test_a_redis_that_cannot_save_takes_no_writes_and_still_carries_events(restricted: Restricted) -> None:
    engine, server = restricted.engine, restricted.server
    async with connected(engine.ws_url) as client:
        await client.subscribe("unsaved")
        with server.client() as admin:
            lines = len(engine.log().splitlines())
            # A snapshot cannot take the place of a folder.
            in_its_way = server.folder / "dump.rdb"
            in_its_way.mkdir()
            admin.config_set("save", "3600 1")
            admin.bgsave()
            try:
                wait_until(lambda: refuses_ping(admin), what="MISCONF")
                await until(lambda: asyncio.to_thread(restricted.all_say, 503, "shared state"))
                # The links are made anew, which needs more than those that stand.
                admin.client_kill_filter(_type="pubsub")
                await until(lambda: _subscribers(admin, engine) == 1)
                await asyncio.to_thread(engine.trigger, "unsaved", "carried")
                await client.next("carried", "unsaved")
                assert not [line for line in engine.log().splitlines()[lines:] if " ERROR " in line]
            finally:
                admin.config_set("save", "")
                in_its_way.rmdir()
                admin.save()
        await until(lambda: asyncio.to_thread(restricted.all_say, 200, "OK"))


async def test_what_a_worker_that_redis_cut_off_has_missed_is_counted(restricted: Restricted) -> None:
    """As by `client-output-buffer-limit`, when it reads too slowly."""
    engine, topic = restricted.engine, "sockudo_adapter:1/cut"
    missed = _missed(engine)
    async with AsyncExitStack() as stack:
        worker = engine.workers()[0]
        client = await connected_to(stack, engine, worker)
        await client.subscribe("cut")
        with restricted.server.client() as admin:
            admin.config_set("client-output-buffer-limit", "pubsub 65536 0 0")
            os.kill(worker, signal.SIGSTOP)
            try:
                wait_until(lambda: admin.publish(topic, b"x" * UNREAD_BYTES) == 0)
                # It cannot come back at once: so long lasts the moment in which the worker is deaf.
                restricted.grant("off")
            finally:
                os.kill(worker, signal.SIGCONT)
                admin.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
        try:
            await until(lambda: asyncio.to_thread(restricted.all_say, 503, "other workers cannot be reached"))
        finally:
            restricted.grant("on")
        await until(lambda: asyncio.to_thread(lambda: _missed(engine) > missed))
        assert "was not heard: Redis had cut this worker off" in engine.log()
        await until(lambda: asyncio.to_thread(restricted.all_say, 200, "OK"))
        await asyncio.to_thread(engine.trigger, "cut", "after")
        await client.next("after", "cut")


def _missed(engine: Engine) -> int:
    found = re.findall(r"^sockudo_redis_missed_intervals_total\{[^}]*\} (\d+)", engine.metrics(), re.MULTILINE)
    return sum(map(int, found))


def _subscribers(admin: redis.Redis, engine: Engine) -> int:
    return int(admin.pubsub_numsub("sockudo_adapter:1/unsaved")[0][1])
