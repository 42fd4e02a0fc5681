"""The other nodes of the cluster, asked over the Redis that all share: their figures, and what happens there.

On the road of `python -m engine trace`: workers hear questions anyway, and answer on a topic of this console's own,
which is subscribed to while somebody looks. Nothing is asked otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
from redis.asyncio import Redis

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.redis.pool import publish
from engine.redis.pubsub.shard_subscriber import ShardSubscriber
from engine.redis.pubsub.subscriber import SubscribeLink
from engine.redis.pubsub.topology import Topology
from engine.redis.scripts import bounded
from engine.tap.question import ANSWERS, EVENTS, FIGURES, Question
from engine.tasks import within
from engine.trace.follow import TRACE

#: Whose figures are kept until they are taken.
MAX_NODES = 1_000
#: For Redis to take a question.
TIMEOUT_S = 1.0
#: For the first subscription of a page to stand.
SUBSCRIBE_TIMEOUT_S = 2.0

_log = logging.getLogger(__name__)

#: Given an answer of a worker (`worker/remote_looks.py`): its node's `life` and name, `node`; its `slot`, and more.
Hear = Callable[[dict[str, Any]], None]


class OtherNodes:
    """:param client: to publish with. :param prefix: of topics. :param life: this node's, which is not asked."""

    def __init__(self, client: Redis, options: RedisOptions, prefix: str, life: str) -> None:
        base = options.beside_occupancy(prefix).encode()
        self._client = client
        self._options = options
        self._life = life
        self._id = secrets.token_hex(16)
        self._questions, self._answers = base + TRACE, base + ANSWERS + self._id.encode()
        self._lock = asyncio.Lock()
        self._listeners = 0
        self._open: AsyncExitStack | None = None
        self._looks: dict[int, Hear] = {}
        self._next_look = 0
        self._number = 0
        #: Life of a node -> its newest figures.
        self._came: dict[str, dict[str, Any]] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answers are heard meanwhile; where Redis is away, from when it is back."""
        async with self._lock:
            self._listeners += 1
            if self._listeners == 1:
                self._open = await self._subscribe()
        try:
            yield
        finally:
            async with self._lock:
                self._listeners -= 1
                if not self._listeners and self._open is not None:
                    opened, self._open = self._open, None
                    await opened.aclose()

    async def ask_figures(self) -> int:
        """Of every node; how many workers hear it, this node's among them. To be asked again every second or so."""
        self._number += 1
        return await self._ask(Question(FIGURES, self._id, self._life, number=self._number))

    def take_figures(self) -> list[dict[str, Any]]:
        """What has come since this was called last, of each node the newest."""
        came, self._came = self._came, {}
        return list(came.values())

    @asynccontextmanager
    async def look(self, hear: Hear) -> AsyncIterator[int]:
        """Have this called with what comes of a page's own question. Gives the number to ask with."""
        self._next_look += 1
        number = self._next_look
        self._looks[number] = hear
        try:
            async with self.listening():
                yield number
        finally:
            del self._looks[number]

    async def ask_events(self, look: int, app_id: str, per_second: int) -> None:
        """To be asked again every two seconds."""
        await self._ask(Question(EVENTS, self._id, self._life, look=look, app=app_id, per_second=per_second))

    async def _ask(self, question: Question) -> int:
        """How many hear it: nobody, where Redis is away, which is shown elsewhere."""
        try:
            async with bounded("console", TIMEOUT_S):
                return await publish(self._client, self._options, self._questions, question.encode())
        except StoreUnavailable as error:
            _log.debug("other nodes cannot be asked: %s", error)
            return 0

    async def _subscribe(self) -> AsyncExitStack:
        async with AsyncExitStack() as stack:
            subscriber = await (self._to_shards(stack) if self._options.nodes else self._to_server(stack))
            live = asyncio.Event()
            subscriber.subscribe(self._answers, lambda _: live.set())
            try:
                async with within(SUBSCRIBE_TIMEOUT_S):
                    await live.wait()
            except TimeoutError:
                _log.debug("other nodes are not heard yet")
            return stack.pop_all()

    async def _to_server(self, stack: AsyncExitStack) -> SubscribeLink:
        subscriber = SubscribeLink(self._options, "console", self._on_message)
        stack.push_async_callback(subscriber.stop)
        await subscriber.start()
        return subscriber

    async def _to_shards(self, stack: AsyncExitStack) -> ShardSubscriber:
        def on_moved(moved: frozenset[int]) -> None:
            subscriber.on_slots_moved(moved)

        topology = Topology(self._options, on_moved)
        subscriber = ShardSubscriber(self._options, topology, self._on_message, lambda _: None)
        stack.push_async_callback(topology.stop)
        await topology.start()
        stack.push_async_callback(subscriber.stop)
        await subscriber.start()
        return subscriber

    def _on_message(self, _: bytes, message: bytes) -> None:
        try:
            answer = orjson.loads(message)
            life, look = str(answer["life"]), answer.get("look")
            if look is None and (life in self._came or len(self._came) < MAX_NODES):
                self._came[life] = answer
            elif look is not None and (hear := self._looks.get(look)) is not None:
                hear(answer)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _log.debug("another node answers what cannot be read: %r", error)
