"""The adapter over a shared log: what it does without Redis, when a worker does not read, and on the way in."""

from __future__ import annotations

import logging

import pytest

from engine._fast.frame import text_frame
from engine._fast.log_link import BATCH
from engine.adapter.shared_memory_files import ARENA_BYTES, PLACES
from engine.config.redis import RedisOptions
from engine.interfaces import Message
from engine.protocol.channel import user_channel
from tests.adapter.workers import workers_on
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until


def event(text: str, channel: str = "room") -> Message:
    return Message("app", channel, text_frame(text.encode()))


async def test_events_and_terminations_need_no_redis() -> None:
    with ValkeyServer() as server:
        async with workers_on(RedisOptions.parse(server.url), host=True) as (a, b):
            connection, peer = await b.server.connect()
            b.server.subscribe(connection, "room")
            await b.subscribe("room")
            await b.subscribe(user_channel("u1"))
            server.kill()
            await until(lambda: not a.adapter.connected and not b.adapter.connected)
            await a.adapter.publish([event("published")])
            a.adapter.send(event("sent"))
            await a.adapter.terminate("app", "u1")
            await until(lambda: peer.texts == ["published", "sent"])
            await until(lambda: b.terminated == [("app", "u1", False)])
            server.start()
            await until(lambda: a.adapter.connected and b.adapter.connected)


async def test_redis_carries_no_event() -> None:
    with ValkeyServer() as server:
        async with workers_on(RedisOptions.parse(server.url), host=True) as (a, b):
            connection, peer = await b.server.connect()
            b.server.subscribe(connection, "room")
            await b.subscribe("room")
            for n in range(50):
                await a.adapter.publish([event(str(n))])
            await until(lambda: len(peer.texts) == 50)
            with server.client() as client:
                # One subscriber of each worker's own echo, of what the scripts tell and of traces; none of a channel.
                topics = {topic.removeprefix(a.prefix.encode()) for topic in client.pubsub_channels()}
                assert not [topic for topic in topics if not topic.startswith((b"echo:", b"wake", b"app/", b"trace"))]
                published = client.info("commandstats").get("cmdstat_publish", {"calls": 0})["calls"]
                assert published < 50, "echoes only, two a second"


async def test_a_subscriber_gets_nothing_of_before_its_subscription_and_everything_of_after(redis_url: str) -> None:
    async with workers_on(RedisOptions.parse(redis_url), host=True) as (a, b):
        connection, peer = await b.server.connect()
        for n in range(3 * BATCH):
            a.adapter.send(event(f"early {n}"))
        # The channel is there, but nobody had asked the log for it: nothing has made this worker read.
        b.server.subscribe(connection, "room")
        b.adapter.subscribe("app", "room", lambda _: None)
        a.adapter.send(event("late"))
        await until(lambda: peer.texts)
        await b.adapter.settle()
        assert peer.texts == ["late"]


async def test_much_at_once_arrives_whole_and_in_order(redis_url: str) -> None:
    async with workers_on(RedisOptions.parse(redis_url), host=True) as (a, b):
        connection, peer = await b.server.connect()
        b.server.subscribe(connection, "room")
        await b.subscribe("room")
        for n in range(5 * BATCH + 1):
            a.adapter.send(event(str(n)))
        await until(lambda: len(peer.texts) == 5 * BATCH + 1)
        assert peer.texts == [str(n) for n in range(5 * BATCH + 1)]


async def test_a_worker_that_was_too_slow_says_so_and_goes_on(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    missed: list[int] = []
    with caplog.at_level(logging.WARNING):
        async with workers_on(RedisOptions.parse(redis_url), host=True) as (a, b):
            connection, peer = await b.server.connect()
            b.server.subscribe(connection, "room")
            await b.subscribe("room")
            for n in range(PLACES + 10):
                a.adapter.send(event(str(n), "elsewhere"))  # the loop does not turn: as if this worker were stuck
            a.adapter.send(event("after"))
            await until(lambda: peer.texts == ["after"])
            missed.append(sum(b.missed))
    assert "too slow" in caplog.text
    assert missed[0] > 10


async def test_an_event_that_is_too_long_for_the_log_goes_through_redis(redis_url: str) -> None:
    async with workers_on(RedisOptions.parse(redis_url), host=True) as (a, b):
        connection, peer = await b.server.connect()
        b.server.subscribe(connection, "room")
        await b.subscribe("room")
        long = "x" * (ARENA_BYTES // 4)
        await a.adapter.publish([event("1"), event(long), event("2")])
        await until(lambda: len(peer.texts) == 3)
        a.adapter.send(event(long + "y"))
        await until(lambda: len(peer.texts) == 4)
        assert sorted(peer.texts, key=len) == ["1", "2", long, long + "y"]
