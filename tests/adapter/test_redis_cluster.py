"""The adapter on a cluster that changes under it: slots that move, shards that die, fail over or hang."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from engine._fast.frame import text_frame
from engine.interfaces import Message
from tests._fast.pair import Peer
from tests.adapter.workers import AdapterWorker, workers_on
from tests.support.valkey_cluster import SLOTS, ValkeyCluster
from tests.support.waiting import until


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    """Slots may be moved in it; nothing else."""
    with ValkeyCluster() as started:
        yield started


def event(text: str, channel: str = "room") -> Message:
    return Message("app", channel, text_frame(text.encode()))


async def subscribed(node: AdapterWorker, channel: str = "room") -> Peer:
    connection, peer = await node.server.connect()
    node.server.subscribe(connection, channel)
    await node.subscribe(channel)
    return peer


def channel_on(cluster: ValkeyCluster, prefix: str, number: int, stem: str = "c") -> str:
    """A channel whose events travel over the master of this number, by the slots as they were at the start."""
    names = (f"{stem}{n}" for n in range(1000))
    return next(name for name in names if key_slot(f"{prefix}app/{name}".encode()) * 3 // SLOTS == number)


async def test_a_slot_that_moves_loses_nothing_and_keeps_the_order(cluster: ValkeyCluster) -> None:
    async with workers_on(cluster.redis_options()) as (a, b):
        prefix = a.prefix
        peers = [await subscribed(a), await subscribed(b)]
        slot = key_slot(f"{prefix}app/room".encode())
        sent: list[str] = []

        async def publish() -> None:
            while not moved.is_set() or len(sent) < 200:
                sent.append(str(len(sent)))
                await a.adapter.publish([event(sent[-1])])
                await asyncio.sleep(0.001)

        moved = asyncio.Event()
        publishing = asyncio.create_task(publish())
        for target in cluster.masters:
            await until(lambda: len(peers[1].texts) >= 20)
            before = len(sent)
            await asyncio.to_thread(cluster.move, slot, target)
            await until(lambda before=before: len(sent) > before + 20)
        moved.set()
        await publishing
        for peer in peers:
            await until(lambda peer=peer: len(peer.texts) >= len(sent))
            assert peer.texts == sent


async def test_a_subscription_while_its_slot_moves_waits_for_the_new_shard(cluster: ValkeyCluster) -> None:
    async with workers_on(cluster.redis_options()) as (a, b):
        prefix = a.prefix
        slot = key_slot(f"{prefix}app/room".encode())
        source = cluster.owner(slot)
        target = next(member for member in cluster.masters if member is not source)
        await asyncio.to_thread(cluster.move, slot, target)
        # Neither of the two knows yet.
        peer = await subscribed(b)
        assert target.call("PUBSUB", "SHARDNUMSUB", f"{prefix}app/room")[1] == 1
        await a.adapter.publish([event("first")])
        await until(lambda: peer.texts == ["first"])


async def test_what_is_sent_without_waiting_follows_a_slot_too(cluster: ValkeyCluster) -> None:
    async with workers_on(cluster.redis_options()) as (a, b):
        prefix = a.prefix
        peer = await subscribed(b)
        slot = key_slot(f"{prefix}app/room".encode())
        source = cluster.owner(slot)
        await asyncio.to_thread(cluster.move, slot, next(m for m in cluster.masters if m is not source))
        for n in range(50):
            a.adapter.send(event(str(n)))
        await until(lambda: len(peer.texts) >= 50)
        assert peer.texts == [*map(str, range(50))]
        assert a.metrics.value("adapter_lost_messages_total", "app") == 0
        await until(lambda: a.adapter.connected and b.adapter.connected)


async def test_a_shard_that_hangs_takes_only_its_channels_along_until_its_replica_takes_over() -> None:
    with ValkeyCluster(replicas_of=[0]) as own:
        async with workers_on(own.redis_options()) as (a, b):
            prefix = a.prefix
            lost, kept = (channel_on(own, prefix, number) for number in (0, 1))
            here, there = await subscribed(a, lost), await subscribed(b, lost)
            other = await subscribed(b, kept)
            hung_at = time.monotonic()
            own.masters[0].pause()
            await until(lambda: not a.adapter.connected and not b.adapter.connected)
            assert time.monotonic() - hung_at < 3.0
            await a.adapter.publish([event("alone", lost)])
            await until(lambda: here.texts == ["alone"])
            # Whoever comes now is served by its worker alone, as with one Redis that is gone.
            late = channel_on(own, prefix, 0, "late")
            await b.subscribe(late)
            await a.adapter.publish([event("as ever", kept)])
            await until(lambda: other.texts == ["as ever"])

            await until(lambda: a.adapter.connected and b.adapter.connected)
            await a.adapter.publish([event("back", lost)])
            await until(lambda: there.texts[-1:] == ["back"])
            # Given up when nobody took the place in time, and otherwise late; never twice.
            assert there.texts[:-1] in ([], ["alone"]) and here.texts == ["alone", "back"]
            assert own.numsub(f"{prefix}app/{late}") == 1

            # What it was told before it does now, and announces it as news.
            before = len(a.missed), len(b.missed)
            own.masters[0].resume()
            await until(lambda: len(a.missed) > before[0] and len(b.missed) > before[1])


async def test_a_master_that_becomes_a_replica_goes_on_serving_and_is_left_when_it_ends() -> None:
    with ValkeyCluster(replicas_of=[0]) as own:
        async with workers_on(own.redis_options()) as (a, b):
            prefix = a.prefix
            channel = channel_on(own, prefix, 0)
            peer = await subscribed(b, channel)
            await asyncio.to_thread(own.replicas[0].call, "CLUSTER", "FAILOVER")
            await until(lambda: b"myself,slave" in own.masters[0].call("CLUSTER", "NODES"))
            await until(lambda: b.adapter.connected and own.numsub(f"{prefix}app/{channel}") == 1)
            sent = []
            for n in range(100):
                sent.append(str(n))
                await a.adapter.publish([event(sent[-1], channel)])
            await until(lambda: len(peer.texts) >= 100)
            own.masters[0].kill()
            await until(lambda: not b.adapter.connected)
            await until(lambda: a.adapter.connected and b.adapter.connected)
            await a.adapter.publish([event("last", channel)])
            await until(lambda: peer.texts == [*sent, "last"])


async def test_a_worker_starts_alone_while_no_node_of_the_cluster_is_there() -> None:
    with ValkeyCluster() as cluster:
        for master in cluster.masters:
            master.pause()
        async with workers_on(cluster.redis_options(), count=1) as (a,):
            connection, peer = await a.server.connect()
            a.server.subscribe(connection, "room")
            await a.subscribe("room")
            assert not a.adapter.connected
            await a.adapter.publish([event("alone")])
            for master in cluster.masters:
                master.resume()
            await until(lambda: a.adapter.connected)
            await a.adapter.publish([event("together")])
            await until(lambda: peer.texts == ["alone", "together"])
