"""What Redis took and could not say so: delivered here alone, or heard from Redis, and in either case once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import redis

from engine._fast.client_event import PlainClientEvents
from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine.config.redis import RedisOptions
from engine.interfaces import Message
from engine.metrics.metrics import Metrics
from engine.ws.client_events import are_reported, only_sent
from engine.ws.state import ConnectionState
from tests._fast.pair import Peer
from tests._fast.test_client_event import app
from tests.adapter.workers import AdapterWorker, workers_on
from tests.support.bad_proxy import BadProxy, Mode
from tests.support.valkey import ValkeyServer
from tests.support.waiting import free_port, until

ROOM = "private-room"
EVENTS = 5
#: How much later than the end of its connection an event is taken, or the other way round.
APART_S = 0.2
#: In each event, and in nothing else that a worker sends: only connections that publish are harmed.
WORD = b"fragile"


class Scene:
    """A worker, a client of it that sends, and one that hears; and the worker's connection that publishes breaks."""

    def __init__(self, worker: AdapterWorker, sender: Connection, peer: Peer, observer: redis.client.PubSub) -> None:
        self.worker = worker
        self._peer = peer
        self._sender = sender
        self._observer = observer
        self._taken = self._failed = 0
        events, awaited = Metrics().events.by_clients, worker.adapter.awaited
        self._plain = PlainClientEvents(worker.server.hub, None, events, only_sent, are_reported, awaited=awaited)

    async def publish(self, number: int) -> None:
        """By Python."""
        frame = text_frame(b"%s-%d" % (WORD, number))
        await self.worker.adapter.publish([Message("app", ROOM, frame)])

    async def trigger(self, number: int) -> None:
        """By C."""
        data = b'{"event":"client-x","channel":"%s","data":"%s-%d"}' % (ROOM.encode(), WORD, number)
        assert self._plain.take(self._sender, data)

    def failed(self) -> int:
        """How many Redis has not confirmed."""
        self._failed += int(sum(dict(self.worker.metrics.adapter.failed.of("app").take()).values()))
        return self._failed

    def heard(self) -> list[int]:
        """Numbers, by the client."""
        return [int(text.rpartition("fragile-")[2].rstrip('}"')) for text in self._peer.texts]

    def taken(self) -> int:
        """How many Redis has passed on, the last one included."""
        while self._observer.get_message() is not None:
            self._taken += 1
        return self._taken


@asynccontextmanager
async def scene(proxy: BadProxy, server: ValkeyServer) -> AsyncIterator[Scene]:
    async with workers_on(RedisOptions.parse(f"redis://127.0.0.1:{proxy.port}"), count=1) as (worker,):
        (sender, _), (hearer, peer) = await worker.server.connect(), await worker.server.connect()
        for each in (sender, hearer):
            each.app, each.state = app(), ConnectionState()
            worker.server.subscribe(each, ROOM)
        await worker.subscribe(ROOM)
        with contextlib.closing(server.client()) as client, client.pubsub() as observer:
            observer.subscribe(f"{worker.prefix}app/{ROOM}")
            await until(observer.get_message)
            yield Scene(worker, sender, peer, observer)


@pytest.mark.parametrize("mode", ["unanswered", "late"])
@pytest.mark.parametrize("send", [Scene.publish, Scene.trigger], ids=["python", "c"])
async def test_it_is_heard_once(send: Callable[[Scene, int], Awaitable[None]], mode: Mode) -> None:
    port = free_port()
    with (
        ValkeyServer(("--port", str(port), "--bind", "127.0.0.1")) as server,
        BadProxy(port, APART_S, WORD) as proxy,
    ):
        async with scene(proxy, server) as made:
            proxy.mode = mode
            for number in range(EVENTS):
                await until(lambda: made.worker.adapter.connected)
                await send(made, number)
                await until(lambda count=number + 1: made.failed() == count)  # type: ignore[misc]
            await until(lambda: made.taken() == EVENTS, what="Redis took all of them")
            proxy.mode = "carry"
            await until(lambda: made.worker.adapter.connected)
            await send(made, EVENTS)
            await until(lambda: EVENTS in made.heard())
            assert made.heard() == list(range(EVENTS + 1))
