"""PUBLISH commands of a loop turn in one write, each with its answer to wait for; and what a script publishes, in line
with them.

What is under way when the connection is lost fails: whether it arrived is not known, so it is never sent again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.redis.pubsub.link import RedisLink
from engine.redis.scripts import Script

#: Makes a script's arguments, number of keys first, for the life of the server that it will run on.
Arguments = Callable[[str], tuple[bytes | str | int, ...]]


class PublishLink(RedisLink):
    """PUBLISH, with one future for each command, resolved in order.

    :param timeout_s: how long a publish waits for its reply before it counts as not taken, give or take a ping.
    :param script: what `run` runs.
    """

    def __init__(
        self,
        options: RedisOptions,
        name: str,
        timeout_s: float,
        on_change: Callable[[bool], None] | None = None,
        script: Script | None = None,
    ) -> None:
        super().__init__(options, name, on_change, script)
        self._timeout_s = timeout_s
        #: Future (None: nobody asks for that reply) and when it was sent. One look at the oldest with every ping costs
        #: less than a timer for each publish.
        self._waiting: deque[tuple[asyncio.Future[int] | None, float]] = deque()
        #: Scripts that were not answered yet.
        self._running: dict[asyncio.Future[int], Arguments] = {}

    def publish(self, topic: bytes, message: bytes) -> asyncio.Future[int]:
        """The future gives how many connections got it, or raises StoreUnavailable."""
        future: asyncio.Future[int] = self._loop.create_future()
        if self.connected:
            self._waiting.append((future, self._loop.time()))
            super().send(b"PUBLISH", topic, message)
        else:
            future.set_exception(StoreUnavailable("no connection to Redis"))
        return future

    def run(self, topic: bytes, arguments: Arguments) -> asyncio.Future[int]:
        """Run the script in line with what is published; the future as with `publish`.

        :param topic: whose server it runs on, where there are several."""
        future: asyncio.Future[int] = self._loop.create_future()
        if self.connected and self._script is not None:
            self._running[future] = arguments
            future.add_done_callback(self._running.pop)
            self._waiting.append((future, self._loop.time()))
            super().send(b"EVALSHA", self._script.sha, *arguments(self.life))
        else:
            future.set_exception(StoreUnavailable("no connection to Redis"))
        return future

    def life_of(self, topic: bytes) -> str:
        """The life of the server that has the topic, "" when that is not known now."""
        return self.life if self.connected else ""

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
        elif future in self._running and str(reply).startswith("NOSCRIPT") and self._script is not None:
            # The server's scripts were emptied (SCRIPT FLUSH) since the connection was made.
            self._waiting.append((future, self._loop.time()))
            super().send(b"EVAL", self._script.source, *self._running[future](self.life))
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
