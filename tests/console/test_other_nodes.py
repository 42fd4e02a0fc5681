"""A console and the workers of another node, over a real Redis."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from engine.config.redis import RedisOptions
from engine.console import events as module
from engine.console import other_nodes
from engine.console.events import Events
from engine.console.known_apps import KnownApps
from engine.console.other_nodes import OtherNodes
from engine.console.workers import Workers
from engine.metrics.metrics import Metrics
from engine.metrics.values import MappedValues
from engine.redis.pool import connect
from engine.redis.pubsub.subscriber import SubscribeLink
from engine.tap.tap import Tap
from engine.trace.follow import TRACE
from engine.worker.remote_looks import RemoteLooks
from tests.config.support import apps, loaded
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until

PREFIX = f"other-nodes-{os.getpid()}#"


class Elsewhere:
    """The other node's one worker, which hears questions as a worker does."""

    def __init__(self, client: Redis, options: RedisOptions, directory: Path) -> None:
        async def publish(topic: bytes, message: bytes) -> int:
            return int(await client.publish(topic, message))

        self.client = client
        self.tap = Tap()
        self.values = MappedValues(directory, 0)
        self.metrics = Metrics(self.values)
        self.looks = RemoteLooks(publish, PREFIX, "elsewhere:1", self.tap, directory, 0)
        self.link = SubscribeLink(options, "elsewhere", self._on_message)

    def _on_message(self, _: bytes, message: bytes) -> None:
        self.looks.begin(message)


@pytest.fixture
def options(redis_server: ValkeyServer) -> RedisOptions:
    return RedisOptions(path=str(redis_server.socket))


@pytest.fixture
async def elsewhere(options: RedisOptions, tmp_path: Path) -> AsyncIterator[Elsewhere]:
    client = connect(options)
    made = Elsewhere(client, options, tmp_path)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.aclose)
        stack.callback(made.values.close)
        stack.push_async_callback(made.looks.stop)
        stack.push_async_callback(made.link.stop)
        await made.link.start()
        live = asyncio.Event()
        made.link.subscribe(PREFIX.encode() + TRACE, lambda _: live.set())
        await live.wait()
        yield made


async def test_figures_come_while_somebody_looks_and_nothing_is_left(
    options: RedisOptions, elsewhere: Elsewhere
) -> None:
    others = OtherNodes(elsewhere.client, options, PREFIX, "life")
    elsewhere.metrics.connections.open.set(4, "1")
    elsewhere.metrics.flush()
    async with others.listening(), others.listening():
        assert await others.ask_figures() == 1
        found: list[dict[str, Any]] = []
        await until(lambda: found.extend(others.take_figures()) or found)  # type: ignore[func-returns-value]
        assert (found[0]["node"], found[0]["figures"]["sums"]["connected"]) == ("elsewhere:1", 4)
        assert others.take_figures() == []
        assert await elsewhere.client.pubsub_channels(f"{PREFIX}console:*")
    await until(lambda: _is_silent(elsewhere.client))


async def _is_silent(client: Redis) -> bool:
    return not await client.pubsub_channels(f"{PREFIX}console:*")


async def test_the_stream_shows_what_happens_elsewhere(
    options: RedisOptions, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE_S", 0.001)
    empty = tmp_path / "no-workers-here"
    known = KnownApps(loaded(apps({"id": "1", "key": "k"})).config)
    events = Events(known, Workers(empty), OtherNodes(elsewhere.client, options, PREFIX, "life"))
    stream = events.listen({"app": "1"})
    seen: list[dict[str, Any]] = []

    async def until_told(kind: str, **about: Any) -> dict[str, Any]:
        async for piece in stream:
            seen.extend(orjson.loads(piece))
            for event in seen:
                if event["kind"] == kind and about.items() <= event.items():
                    return event
        raise AssertionError("the stream has ended")

    assert (await until_told("watching", elsewhere=1))["nodes"] == 1
    elsewhere.tap.note("published", "1", channel="room", event="hello", data="{}")
    assert (await until_told("published", channel="room"))["node"] == "elsewhere:1"
    await stream.aclose()  # type: ignore[attr-defined]
    elsewhere.tap.note("connected", "1")
    await until(lambda: not elsewhere.tap.active)
    await until(lambda: _is_silent(elsewhere.client))


@pytest.mark.parametrize("message", [b"", b"x", b"[]", b"{}", b'{"life":"a","look":1}', b"null", b"\xff"])
async def test_what_is_no_answer_is_passed_over_and_so_is_a_redis_that_is_away(tmp_path: Path, message: bytes) -> None:
    options = RedisOptions(path=str(tmp_path / "no.sock"))
    client = connect(options)
    others = OtherNodes(client, options, PREFIX, "life")
    try:
        async with others.listening():
            others._on_message(b"", message)
            assert await others.ask_figures() == 0
            assert others.take_figures() == []
    finally:
        await client.aclose()


def test_the_figures_of_only_so_many_nodes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_nodes, "MAX_NODES", 2)
    others = OtherNodes(Redis(), RedisOptions(), "p#", "ours")
    for life, number in (("a", 1), ("b", 1), ("c", 1), ("a", 2)):
        others._on_message(b"", orjson.dumps({"life": life, "number": number}))
    assert others.take_figures() == [{"life": "a", "number": 2}, {"life": "b", "number": 1}]
