"""Engines whose shared state is in a Redis Cluster: everything works across workers, and goes on over a lost shard."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from engine.cli.other_nodes import elsewhere
from engine.cli.trace import read
from engine.config.loading.load import load
from engine.config.resolve import redis_options
from engine.console.other_nodes import OtherNodes
from engine.redis.pool import connect
from engine.trace.follow import Follow
from engine.trace.lines import Line
from tests.integration.conftest import shared_config
from tests.integration.test_reload import reloaded, with_apps
from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey_cluster import ValkeyCluster
from tests.support.waiting import until, wait_until

#: Of the three masters the one that has the slot of "{0}", where occupancy and the webhook queue are.
OCCUPANCY = 2


@pytest.fixture(scope="module")
def engine(redis_cluster: ValkeyCluster, hooks: WebhookReceiver) -> Iterator[Engine]:
    config = shared_config(hooks)
    app = config["app_manager"]["array"]["apps"][0]
    app |= {"enable_subscription_count": True}
    app["webhooks"].append({"url": f"{hooks.url}/dead", "event_types": ["cache_miss"], "retry": {"enabled": False}})
    with running(on(redis_cluster) | config, workers=2) as started:
        yield started


def on(cluster: ValkeyCluster) -> dict[str, Any]:
    return {"adapter": {"driver": "redis-cluster"}, "database": {"redis": {"cluster_nodes": cluster.nodes}}}


async def clients(stack: AsyncExitStack, engine: Engine, n: int = 6) -> list[PusherClient]:
    """Of every worker some, as the kernel spreads them."""
    found: list[PusherClient] = []
    while len(found) < n or len(await asyncio.to_thread(workers_of, engine, found)) < 2:
        found.append(await stack.enter_async_context(connected(engine.ws_url)))
    return found


def workers_of(engine: Engine, some: list[PusherClient]) -> set[int]:
    ports = [client.websocket.get_extra_info("sockname")[1] for client in some]
    return {engine.worker_of(port) for port in ports}


def test_another_node_follows_a_channel_through_this_one(engine: Engine, unique: Any) -> None:
    config, room = load(engine.config_path, {}, 1).config, unique("room")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lines: list[Line] = []

    def told(stage: str) -> set[int]:
        lines.extend(read(ours, 0.02))
        return {line.worker for line in lines if line.stage == stage}

    with ours, elsewhere(config, Follow(channel=room)) as (_, join):
        with theirs:
            join(theirs)
        wait_until(lambda: told("state") == {0, 1}, what=lambda: lines)
        engine.trigger(room, "hello")
        wait_until(lambda: told("received") and told("sent"), what=lambda: lines)
    assert {line.node.rpartition(":")[2] for line in lines} == {str(engine.port)}


async def test_another_nodes_console_sees_this_one(engine: Engine, unique: Any) -> None:
    config, room = load(engine.config_path, {}, 1).config, unique("room")
    options = redis_options(config.database.redis)
    assert options is not None
    heard: list[dict[str, Any]] = []
    async with AsyncExitStack() as stack:
        client = connect(options)
        stack.push_async_callback(client.aclose)
        others = OtherNodes(client, options, config.adapter.redis.prefix, "another")
        look = await stack.enter_async_context(others.look(heard.append))
        assert await others.ask_figures() == 2
        await until(others.take_figures)
        await others.ask_events(look, "1", 100)
        await until(lambda: {answer["slot"] for answer in heard} == {0, 1}, what=lambda: heard)
        await asyncio.to_thread(engine.trigger, room, "hello")
        await until(lambda: any(event.get("channel") == room for answer in heard for event in answer["events"]))


async def test_events_members_counts_users_and_caches_are_shared(engine: Engine, unique: Any) -> None:
    rooms = [unique("room") for _ in range(12)]
    presence, cache = unique("presence"), unique("cache-room")
    async with AsyncExitStack() as stack:
        some = await clients(stack, engine)
        for n, client in enumerate(some):
            for room in rooms:
                await client.subscribe(room)
            joined = await client.subscribe(presence, user_id=f"u{n}")
            assert f'"count":{n + 1}' in joined["data"]
        # Twelve channels, over all shards; all are told what is published by whatever worker.
        for n in range(5):
            await asyncio.to_thread(engine.trigger, rooms, f"e{n}")
        for n, client in enumerate(some):
            for room in rooms:
                assert [(await client.next(f"e{at}", room))["event"] for at in range(5)]
            for late in range(n + 1, len(some)):
                added = await client.next("pusher_internal:member_added", presence)
                assert f'"u{late}"' in added["data"]
            count = f'{{"subscription_count":{len(some)}}}'
            await client.take(lambda f: f["event"].endswith("_count") and f["data"] == count)  # noqa: B023

        await some[0].signin("ann")
        await some[1].signin("bob", watchlist=["ann"])
        await asyncio.to_thread(engine.trigger, f"#server-to-user-{'ann'}", "hello")
        await some[0].next("hello")
        terminate = await asyncio.to_thread(engine.request, "POST", "/users/ann/terminate_connections")
        assert terminate.status == 200
        assert await some[0].wait_closed() == 4009
        await some[1].take(lambda f: "offline" in str(f.get("data", f)))
        removed = await some[2].next("pusher_internal:member_removed", presence)
        assert '"u0"' in removed["data"]

        await asyncio.to_thread(engine.trigger, cache, "kept", '{"n":1}')
        await some[2].subscribe(cache)
        assert (await some[2].next("kept", cache))["data"] == '{"n":1}'
        info = {"filter_by_prefix": "presence-", "info": "user_count"}
        answer = await asyncio.to_thread(engine.request, "GET", "/channels", None, info)
        assert answer.json["channels"][presence] == {"user_count": len(some) - 1}


async def test_webhooks_reach_their_endpoint_in_order(engine: Engine, hooks: WebhookReceiver, unique: Any) -> None:
    room = unique("presence-hooked")
    async with connected(engine.ws_url) as client:
        await client.subscribe(room, user_id="ada")
    expected = ["channel_occupied", "member_added", "member_removed", "channel_vacated"]
    await until(lambda: hooks.names("/hook", room) == expected, what=lambda: hooks.names("/hook", room))


def test_dead_letters_by_command_and_by_hand(
    engine: Engine, hooks: WebhookReceiver, redis_cluster: ValkeyCluster, unique: Any
) -> None:
    async def miss(channel: str) -> None:
        async with connected(engine.ws_url) as client:
            await client.subscribe(channel)
            await client.next("pusher:cache_miss", channel)

    # The banner comes after the first worker serves.
    lists = "webhook queue in the lists sockudo_queue:{0}:default and sockudo_queue:{0}:failed"
    wait_until(lambda: lists in engine.log(), what=engine.log)
    hooks.answer(500, 500, path="/dead")
    by_command, by_hand = unique("cache-c"), unique("cache-h")
    for channel in (by_command, by_hand):
        asyncio.run(miss(channel))
    shard = redis_cluster.masters[OCCUPANCY]
    wait_until(lambda: shard.call("LLEN", "sockudo_queue:{0}:failed") == 2)
    shown = engine.command("webhooks", "failed", check=True).stdout
    letter = re.findall(rf"^([0-9a-f]{{32}})  app 1.*\n    cache_miss: {by_command}$", shown, re.MULTILINE)[0]
    assert engine.command("webhooks", "retry", letter, check=True).stdout == "1 sent again\n"
    wait_until(lambda: hooks.names("/dead", by_command) == ["cache_miss"])
    assert shard.call("RPOPLPUSH", "sockudo_queue:{0}:failed", "sockudo_queue:{0}:default")
    wait_until(lambda: hooks.names("/dead", by_hand) == ["cache_miss"])
    assert not shard.call("LLEN", "sockudo_queue:{0}:failed")


def test_counts_that_are_switched_on_reach_channels_that_are_held_already() -> None:
    async def scene(engine: Engine) -> None:
        async with AsyncExitStack() as stack:
            some = await clients(stack, engine)
            first = some[0]
            second = next(client for client in some if len(workers_of(engine, [first, client])) == 2)
            await first.subscribe("room")
            await reloaded(engine, APP | {"enable_subscription_count": True})
            # Nobody else comes to the first one's worker, which has the channel since before.
            await second.subscribe("room")
            told = await first.next("pusher_internal:subscription_count", "room")
            assert told["data"] == '{"subscription_count":2}'

    with ValkeyCluster() as cluster, running(on(cluster) | with_apps(APP), workers=2) as engine:
        asyncio.run(scene(engine))


def test_the_shard_of_occupancy_fails_over(receiver: WebhookReceiver) -> None:
    hook = {"url": f"{receiver.url}/hook", "event_types": ["channel_occupied", "channel_vacated", "member_removed"]}
    apps = {"app_manager": {"array": {"apps": [APP | {"webhooks": [hook]}]}}}
    with (
        ValkeyCluster(replicas_of=[OCCUPANCY]) as cluster,
        running(on(cluster) | apps, workers=2, noise=None) as engine,
    ):
        asyncio.run(_fail_over(engine, cluster, receiver))


async def _fail_over(engine: Engine, cluster: ValkeyCluster, receiver: WebhookReceiver) -> None:
    async with AsyncExitStack() as stack:
        some = await clients(stack, engine)
        for n, client in enumerate(some):
            await client.subscribe("presence-x", user_id=f"u{n}")
        await until(lambda: receiver.names("/hook", "presence-x") == ["channel_occupied"])
        for client in some:
            await client.settle()
        cluster.masters[OCCUPANCY].kill()
        await until(lambda: engine.raw("GET", "/ready").status == 503, 3)
        await some.pop().close()
        # Enough requests that each worker gets some.
        await until(lambda: all(engine.raw("GET", "/ready").status == 200 for _ in range(16)))
        gone = f"u{len(some)}"
        for client in some:
            # The one who left meanwhile is told as gone, once, and nobody else is told of.
            removed = await client.next("pusher_internal:member_removed", timeout_s=20)
            assert removed["data"] == f'{{"user_id":"{gone}"}}'
        newest = await stack.enter_async_context(connected(engine.ws_url))
        await newest.subscribe("presence-x", user_id="late")
        for client in some:
            await client.take(lambda f: f["event"].endswith("member_added") and "late" in f["data"])
            assert not [f for f in await client.settle() if "member" in f["event"]]
        for client in (*some, newest):
            await client.close()
        await until(
            lambda: receiver.names("/hook", "presence-x")[-1] == "channel_vacated",
            20,
            lambda: receiver.names("/hook", "presence-x"),
        )
