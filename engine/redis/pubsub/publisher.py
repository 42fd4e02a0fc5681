"""PUBLISH commands of a loop turn in one write, each with its answer to wait for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.redis.pubsub.link import RedisLink


class PublishLink(RedisLink):
    """PUBLISH, with one future for each command, resolved in order.

    :param timeout_s: how long a publish waits for its reply before it counts as not taken, give or take a ping.
    """

    def __init__(
        self, options: RedisOptions, name: str, timeout_s: float, on_change: Callable[[bool], None] | None = None
    ) -> None:
        super().__init__(options, name, on_change)
        self._timeout_s = timeout_s
        #: Future (None: nobody asks for that reply) and when it was sent. One look at the oldest with every ping costs
        #: less than a timer for each publish.
        self._waiting: deque[tuple[asyncio.Future[int] | None, float]] = deque()

    def publish(self, topic: bytes, message: bytes) -> asyncio.Future[int]:
        """The future gives how many connections got it, or raises StoreUnavailable."""
        future: asyncio.Future[int] = self._loop.create_future()
        if self.connected:
            self._waiting.append((future, self._loop.time()))
            super().send(b"PUBLISH", topic, message)
        else:
            future.set_exception(StoreUnavailable("no connection to Redis"))
        return future

    def send(self, *command: bytes | str | int) -> None:
        if not self._greeting:
            self._waiting.append((None, self._loop.time()))
        super().send(*command)

    def on_reply(self, reply: Any) -> None:
        future, _ = self._waiting.popleft()
        if future is None or future.done():
            return
        if isinstance(reply, int):
            future.set_result(reply)
        else:
            future.set_exception(StoreUnavailable(str(reply)))

    def on_tick(self) -> None:
        sent_before = self._loop.time() - self._timeout_s
        for future, sent in self._waiting:
            if sent > sent_before:
                break
            if future is not None and not future.done():
                future.set_exception(StoreUnavailable("Redis did not take the event in time"))

    def on_lost(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for future, _ in waiting:
            if future is not None and not future.done():
                future.set_exception(StoreUnavailable("connection to Redis lost"))
