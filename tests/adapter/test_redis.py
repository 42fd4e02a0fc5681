"""The adapter between workers over a real server: two hubs, one Valkey, one cluster of them, or one host's log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Protocol

import pytest
import redis

from engine._fast.envelope import read_event
from engine._fast.frame import text_frame
from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.interfaces import MemberChange, Message, TotalChange
from engine.protocol.channel import user_channel
from tests.adapter.workers import workers_on
from tests.support.valkey import ValkeyServer
from tests.support.valkey_cluster import ValkeyCluster
from tests.support.waiting import until


class Server(Protocol):
    """What carries topics, as a test sees it from outside."""

    options: RedisOptions
    #: Events go through the log of one host.
    host: bool

    def numsub(self, topic: str) -> int: ...

    def publish(self, topic: str, message: bytes) -> None: ...

    def told(self, prefix: str) -> str:
        """The prefix of the topics on which the occupancy scripts tell."""


class Single:
    def __init__(self, url: str, host: bool) -> None:
        self.host = host
        self.options = RedisOptions.parse(url)
        self.client = redis.Redis.from_url(url)

    def numsub(self, topic: str) -> int:
        return int(self.client.pubsub_numsub(topic)[0][1])

    def publish(self, topic: str, message: bytes) -> None:
        self.client.publish(topic, message)

    def close(self) -> None:
        self.client.close()

    def told(self, prefix: str) -> str:
        return prefix


class Clustered:
    host = False

    def __init__(self, cluster: ValkeyCluster) -> None:
        self.options = cluster.redis_options()
        self.numsub = cluster.numsub
        self.publish = cluster.publish

    def told(self, prefix: str) -> str:
        return prefix + "{0}:"


@pytest.fixture(params=["one", "cluster", "host"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "cluster":
        yield Clustered(request.getfixturevalue("redis_cluster"))
    else:
        url = request.getfixturevalue("redis_url")
        with contextlib.closing(Single(url, host=request.param == "host")) as single:
            yield single


async def test_an_answered_publish_reaches_both_workers_in_order_and_passes_the_sender_over(server: Server) -> None:
    async with workers_on(server.options, host=server.host) as (a, b):
        (conn_a, peer_a), (conn_b, peer_b) = await a.server.connect(), await b.server.connect()
        for node, connection in ((a, conn_a), (b, conn_b)):
            node.server.subscribe(connection, "room")
            await node.subscribe("room")
        for n in range(200):
            await (a, b)[n % 2].adapter.publish([Message("app", "room", text_frame(b"%d" % n))])
        # The excluded socket is found by its id on whatever worker it is; ids are per hub here, so both have "1.1".
        await a.adapter.publish([Message("app", "room", text_frame(b"excluded"), "1.1")])
        await a.adapter.publish([Message("app", "room", text_frame(b"last"))])
        await until(lambda: "last" in peer_a.texts)
        await until(lambda: "last" in peer_b.texts)
        assert peer_a.texts == peer_b.texts == [*map(str, range(200)), "last"]


async def test_who_overhears_hears_what_is_delivered_and_changes_nothing(server: Server) -> None:
    async with workers_on(server.options, host=server.host) as (a, b):
        connection, peer = await b.server.connect()
        b.server.subscribe(connection, "room")
        await b.subscribe("room")
        heard: list[tuple[str, tuple[str, bytes] | None]] = []
        b.adapter.overhear(lambda channel, envelope: heard.append((channel.name, read_event(envelope))))
        frames = [text_frame(text) for text in (b"one", b"two", b"three")]
        await a.adapter.publish([Message("app", "room", frames[0], "7.7")])
        await a.adapter.publish([Message("app", "elsewhere", frames[1])])
        await until(lambda: peer.texts == ["one"])
        assert heard == [("room", ("7.7", frames[0]))]
        b.adapter.overhear(None)
        await a.adapter.publish([Message("app", "room", frames[2])])
        await until(lambda: peer.texts == ["one", "three"])
        assert len(heard) == 1


async def test_only_channels_with_subscribers_are_subscribed(server: Server) -> None:
    async with workers_on(server.options, host=server.host) as (a, _):
        prefix = a.prefix
        topic = f"{prefix}app/room"
        await a.subscribe("room")
        assert server.numsub(topic) == 1
        # Leaving and coming back at once must not lose the subscription to its own UNSUBSCRIBE.
        for _ in range(20):
            a.adapter.unsubscribe("app", "room")
            await asyncio.sleep(0)  # within one turn it would not even be asked for
            await a.subscribe("room")
        assert server.numsub(topic) == 1
        a.adapter.unsubscribe("app", "room")
        await until(lambda: server.numsub(topic) == 0)


async def test_what_the_scripts_tell_arrives(server: Server) -> None:
    async with workers_on(server.options, host=server.host) as (a, _):
        prefix = a.prefix
        told = server.told(prefix)
        for channel in ("presence-x", "counted", "#watch-u/1", user_channel("u/1")):
            await a.subscribe(channel)
        server.publish(f"{told}app/presence-x", b"\x02" + bytes(7) + b"\x09\x00\x03ann{}")
        server.publish(f"{told}app/counted", b"\x05" + bytes(7) + b"\x03\x00\x00\x00\x02")
        server.publish(f"{told}app/#watch-u/1", b"\x05" + bytes(7) + b"\x04\x00\x00\x00\x01")
        server.publish(f"{prefix}app/{user_channel('u/1')}", b"\x04\x00")
        server.publish(f"{told}wake", b"")
        server.publish(f"{told}app/presence-x", b"\x09 rubbish")
        server.publish(f"{told}app/presence-x", b"\x01\x00 no frame")
        await until(lambda: a.metrics.value("adapter_malformed_messages_total") == 2 and a.terminated)
        assert a.members == [MemberChange("app", "presence-x", 9, True, "ann", "{}")]
        assert a.totals == [TotalChange("app", "counted", 3, 2), TotalChange("app", "#watch-u/1", 4, 1)]
        assert a.terminated == [("app", "u/1", False)]
        assert a.wakes == 1


async def test_termination_reaches_the_worker_that_has_the_user(server: Server) -> None:
    async with workers_on(server.options, host=server.host) as (a, b):
        await b.subscribe(user_channel("u1"))
        await a.adapter.terminate("app", "u1")
        await a.adapter.terminate("app", "u1", reconnect=True)
        await until(lambda: len(b.terminated) == 2)
        assert (a.terminated, b.terminated) == ([], [("app", "u1", False), ("app", "u1", True)])


@pytest.mark.parametrize("fallback", [True, False])
async def test_without_redis_it_serves_locally_or_refuses_and_comes_back(fallback: bool) -> None:
    with ValkeyServer() as server:
        async with workers_on(RedisOptions.parse(server.url), count=1, fallback=fallback) as (a,):
            prefix = a.prefix
            connection, peer = await a.server.connect()
            a.server.subscribe(connection, "room")
            await a.subscribe("room")
            server.kill()
            await until(lambda: not a.adapter.connected)
            if fallback:
                await a.adapter.publish([Message("app", "room", text_frame(b"alone"))])
                a.adapter.send(Message("app", "room", text_frame(b"event")))
                await a.subscribe("late")
                await until(lambda: peer.texts == ["alone", "event"])
            else:
                with pytest.raises(StoreUnavailable):
                    await a.adapter.publish([Message("app", "room", text_frame(b"alone"))])
            server.start()
            await until(lambda: a.adapter.connected)
            client = server.client()
            topics = [f"{prefix}app/room"] + [f"{prefix}app/late"] * fallback
            await until(lambda: client.pubsub_numsub(*topics) == [(topic.encode(), 1) for topic in topics])
            client.close()
            await a.adapter.publish([Message("app", "room", text_frame(b"back"))])
            await until(lambda: peer.texts[-1:] == ["back"])


async def test_a_redis_that_hangs_is_noticed_within_three_seconds() -> None:
    with ValkeyServer() as server:
        async with workers_on(RedisOptions.parse(server.url), count=1) as (a,):
            loop = asyncio.get_running_loop()
            server.pause()
            started = loop.time()
            try:
                await until(lambda: not a.adapter.connected)
                assert loop.time() - started < 3.0
            finally:
                server.resume()
            await until(lambda: a.adapter.connected)


async def test_a_worker_starts_alone_while_redis_is_away_and_joins_the_others_when_it_is_there() -> None:
    with ValkeyServer() as server:
        server.kill()
        async with workers_on(RedisOptions.parse(server.url), count=1) as (a,):
            connection, peer = await a.server.connect()
            a.server.subscribe(connection, "room")
            await a.subscribe("room")
            assert not a.adapter.connected
            assert a.states and not any(a.states), "it says so from the beginning"
            await a.adapter.publish([Message("app", "room", text_frame(b"alone"))])
            server.start()
            await until(lambda: a.adapter.connected)
            await a.adapter.publish([Message("app", "room", text_frame(b"together"))])
            await until(lambda: peer.texts == ["alone", "together"])
