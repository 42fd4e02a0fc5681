"""The adapter between workers over a real server: two hubs, one Valkey."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest
import redis
import uvloop

from engine._fast.frame import text_frame
from engine.adapter.redis import RedisAdapter
from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.interfaces import MemberChange, Message, TotalChange
from engine.protocol.channel import user_channel
from tests._fast.pair import Bench, bench
from tests.support.valkey import ValkeyServer


class Node:
    """One worker's hub and adapter."""

    def __init__(self, hub_bench: Bench, url: str, prefix: str, fallback: bool = True) -> None:
        self.bench = hub_bench
        self.members: list[MemberChange] = []
        self.totals: list[TotalChange] = []
        self.terminated: list[tuple[str, str, bool]] = []
        self.wakes = 0
        self.states: list[bool] = []
        self.adapter = RedisAdapter(
            hub_bench.hub,
            RedisOptions.parse(url),
            prefix,
            fallback,
            on_member_change=self.members.append,
            on_total_change=self.totals.append,
            on_terminate=lambda *user: self.terminated.append(user),
            on_wake=self._wake,
            on_change=self.states.append,
        )

    def _wake(self) -> None:
        self.wakes += 1

    async def subscribe(self, channel: str) -> None:
        done = asyncio.Event()
        self.adapter.subscribe("app", channel, done.set)
        await asyncio.wait_for(done.wait(), 5)


def run(url: str, scene: Callable[..., Awaitable[None]], nodes: int = 2, fallback: bool = True) -> None:
    async def play() -> None:
        prefix = f"t-{uuid.uuid4().hex}:"
        async with bench() as one, bench() as two:
            made = [Node(b, url, prefix, fallback) for b in (one, two)[:nodes]]
            for node in made:
                await node.adapter.start()
            try:
                await scene(prefix, *made)
            finally:
                for node in made:
                    await node.adapter.stop()

    uvloop.run(play())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_an_answered_publish_reaches_both_workers_in_order_and_passes_the_sender_over(redis_url: str) -> None:
    async def scene(prefix: str, a: Node, b: Node) -> None:
        (conn_a, peer_a), (conn_b, peer_b) = await a.bench.connect(), await b.bench.connect()
        for node, connection in ((a, conn_a), (b, conn_b)):
            node.bench.subscribe(connection, "room")
            await node.subscribe("room")
        for n in range(200):
            await (a, b)[n % 2].adapter.publish([Message("app", "room", text_frame(b"%d" % n))])
        # The excluded socket is found by its id on whatever worker it is; ids are per hub here, so both have "1.1".
        await a.adapter.publish([Message("app", "room", text_frame(b"excluded"), "1.1")])
        await a.adapter.publish([Message("app", "room", text_frame(b"last"))])
        await peer_a.until(lambda: "last" in peer_a.texts)
        await peer_b.until(lambda: "last" in peer_b.texts)
        assert peer_a.texts == peer_b.texts == [*map(str, range(200)), "last"]

    run(redis_url, scene)


def test_only_channels_with_subscribers_are_subscribed(redis_url: str) -> None:
    async def scene(prefix: str, a: Node, _: Node) -> None:
        client = redis.Redis.from_url(redis_url)
        try:
            topic = f"{prefix}app/room"
            await a.subscribe("room")
            assert client.pubsub_numsub(topic) == [(topic.encode(), 1)]
            # Leaving and coming back at once must not lose the subscription to its own UNSUBSCRIBE.
            for _ in range(20):
                a.adapter.unsubscribe("app", "room")
                await a.subscribe("room")
            assert client.pubsub_numsub(topic) == [(topic.encode(), 1)]
            a.adapter.unsubscribe("app", "room")
            await until(lambda: client.pubsub_numsub(topic) == [(topic.encode(), 0)])
        finally:
            client.close()

    run(redis_url, scene)


def test_what_the_scripts_tell_arrives(redis_url: str) -> None:
    async def scene(prefix: str, a: Node, _: Node) -> None:
        client = redis.Redis.from_url(redis_url)
        try:
            await a.subscribe("presence-x")
            await a.subscribe(user_channel("u/1"))
            client.publish(f"{prefix}app/presence-x", b"\x02" + bytes(7) + b"\x09\x00\x03ann{}")
            client.publish(f"{prefix}app/{user_channel('u/1')}", b"\x04\x00")
            client.publish(f"{prefix}wake", b"")
            client.publish(f"{prefix}app/presence-x", b"\x09 rubbish")
            client.publish(f"{prefix}app/presence-x", b"\x01\x00 no frame")
            await until(lambda: a.adapter.malformed == 2)
            assert a.members == [MemberChange("app", "presence-x", 9, True, "ann", "{}")]
            assert a.terminated == [("app", "u/1", False)]
            assert a.wakes == 1
        finally:
            client.close()

    run(redis_url, scene)


def test_termination_reaches_the_worker_that_has_the_user(redis_url: str) -> None:
    async def scene(prefix: str, a: Node, b: Node) -> None:
        await b.subscribe(user_channel("u1"))
        await a.adapter.terminate("app", "u1")
        await a.adapter.terminate("app", "u1", reconnect=True)
        await until(lambda: len(b.terminated) == 2)
        assert (a.terminated, b.terminated) == ([], [("app", "u1", False), ("app", "u1", True)])

    run(redis_url, scene)


@pytest.mark.parametrize("fallback", [True, False])
def test_without_redis_it_serves_locally_or_refuses_and_comes_back(fallback: bool) -> None:
    with ValkeyServer() as server:

        async def scene(prefix: str, a: Node) -> None:
            connection, peer = await a.bench.connect()
            a.bench.subscribe(connection, "room")
            await a.subscribe("room")
            server.kill()
            await until(lambda: not a.adapter.connected)
            if fallback:
                await a.adapter.publish([Message("app", "room", text_frame(b"alone"))])
                a.adapter.send(Message("app", "room", text_frame(b"event")))
                await a.subscribe("late")
                await peer.until(lambda: peer.texts == ["alone", "event"])
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
            await peer.until(lambda: peer.texts[-1:] == ["back"])

        run(server.url, scene, nodes=1, fallback=fallback)


def test_a_redis_that_hangs_is_noticed_within_three_seconds() -> None:
    with ValkeyServer() as server:

        async def scene(prefix: str, a: Node) -> None:
            loop = asyncio.get_running_loop()
            server.pause()
            started = loop.time()
            try:
                await until(lambda: not a.adapter.connected)
                assert loop.time() - started < 3.0
            finally:
                server.resume()
            await until(lambda: a.adapter.connected)

        run(server.url, scene, nodes=1)


def test_a_redis_that_is_not_there_stops_the_start() -> None:
    async def scene(prefix: str, a: Node) -> None:
        pytest.fail("started")

    with pytest.raises(StoreUnavailable, match="cannot reach Redis"):
        run("unix:///nonexistent/socket", scene, nodes=1)
