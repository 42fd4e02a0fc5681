"""PUBLISH commands of a loop turn in one write, each with its answer to wait for; and what a script publishes, in line
with them.

What is under way when the connection is lost fails: whether it arrived is not known, so it is never sent again.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import hiredis

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable, Unconfirmed
from engine.redis.pubsub.link import LOOK_EVERY_S, SILENCE_S, RedisLink
from engine.redis.scripts import Script

#: What waits while the connection is looked at or made anew, at one time.
MAX_HELD = 10_000

#: Makes a script's arguments, number of keys first, for the life of the server that it will run on.
Arguments = Callable[[str], tuple[bytes | str | int, ...]]


class Waiting(Protocol):
    """Hears how one command has ended, as an `asyncio.Future` does."""

    def done(self) -> bool: ...

    def set_result(self, receivers: int) -> None: ...

    def set_exception(self, error: Exception) -> None: ...


#: Sends what waits for the future.
Carry = Callable[[Any], None]


class PublishLink(RedisLink):
    """PUBLISH, with one future for each command, resolved in order.

    An event is not given to a connection that may be dead although nobody has noticed: after this process was stopped,
    and after a loss until it has been tried once to connect again, events wait.

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
        count_loss: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(options, name, on_change, script, count_loss)
        self._timeout_ticks = math.ceil(timeout_s / LOOK_EVERY_S)
        self._tick = 0
        #: Future (None: nobody asks for that reply) and the tick in which it was sent. One look at the oldest with
        #: every tick costs less than a timer for each publish; and a tick is no second, see `link.MAX_SILENT`.
        self._waiting: deque[tuple[Waiting | None, int]] = deque()
        #: Scripts that were not answered yet.
        self._running: dict[Waiting, Arguments] = {}
        self._held: list[tuple[Waiting, Carry]] = []
        self._holding = False
        #: Replies to come until the one that shows that the connection is well; 0 when none is waited for.
        self._until_well = 0

    def publish(self, topic: bytes, message: bytes) -> asyncio.Future[int]:
        """The future gives how many connections got it, or raises StoreUnavailable."""
        future: asyncio.Future[int] = self._loop.create_future()
        self.carry(topic, message, future)
        return future

    def carry(self, topic: bytes, message: bytes, waiting: Waiting) -> None:
        """The same for who brings what is told of the end, now or later."""
        if self.connected and not self._holding and self._loop.time() - self._turned_at <= SILENCE_S:
            # As nearly always: without a thing made for later.
            self._waiting.append((waiting, self._tick))
            super().send(b"PUBLISH", topic, message)
        else:
            self._take(waiting, partial(self._carry, topic, message))

    def run(self, topic: bytes, arguments: Arguments) -> asyncio.Future[int]:
        """Run the script in line with what is published; the future as with `publish`.

        :param topic: whose server it runs on, where there are several."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._take(future, partial(self._carry_script, arguments))
        return future

    def life_of(self, topic: bytes) -> str:
        """The life of the server that has the topic, "" when that is not known now."""
        return self.life if self.connected else ""

    def send(self, *command: bytes | str | int) -> None:
        if not self._greeting:
            self._waiting.append((None, self._tick))
        super().send(*command)

    def on_connected(self) -> None:
        self._release()
        super().on_connected()

    def on_unreachable(self, reason: str) -> None:
        self._give_back(reason)

    def on_reply(self, reply: Any) -> None:
        if not self._waiting:
            self.give_up("Redis sent a reply that nobody waits for")
            return
        future, _ = self._waiting.popleft()
        if future is not None and not future.done():
            if isinstance(reply, int):
                future.set_result(reply)
            elif future in self._running and str(reply).startswith("NOSCRIPT") and self._script is not None:
                # The server's scripts were emptied (SCRIPT FLUSH) since the connection was made.
                self._waiting.append((future, self._tick))
                super().send(b"EVAL", self._script.source, *self._running[future](self.life))
            elif isinstance(reply, hiredis.ReplyError):
                future.set_exception(StoreUnavailable(str(reply)))
            else:
                future.set_exception(StoreUnavailable("Redis gave another answer than to PUBLISH"))
                self.give_up("Redis sent something unexpected on the publisher connection")
        if self._until_well:
            self._until_well -= 1
            if not self._until_well:
                self._release()

    def on_tick(self) -> None:
        self._tick += 1
        for future, sent in self._waiting:
            if sent > self._tick - 1 - self._timeout_ticks:
                break
            if future is not None and not future.done():
                future.set_exception(Unconfirmed("Redis did not take the event in time"))

    def on_lost(self) -> None:
        # Until it was tried to connect again.
        self._holding, self._until_well = not self._stopped, 0
        waiting, self._waiting = self._waiting, deque()
        for future, _ in waiting:
            if future is not None and not future.done():
                future.set_exception(Unconfirmed("connection to Redis lost"))
        if self._stopped:
            self._give_back("this worker ends")

    def _take(self, waiting: Waiting, carry: Carry) -> None:
        """Send it when the connection is known to be well."""
        if self.connected and not self._holding and self._loop.time() - self._turned_at > SILENCE_S:
            # This process was stopped; what the server did meanwhile is not known yet.
            self._holding = True
            self.ask_alive()
            self._until_well = len(self._waiting)
        if self._holding:
            if len(self._held) < MAX_HELD:
                self._held.append((waiting, carry))
            else:
                waiting.set_exception(StoreUnavailable("too much waits for Redis"))
        elif self.connected:
            carry(waiting)
        else:
            waiting.set_exception(StoreUnavailable("no connection to Redis"))

    def _carry(self, topic: bytes, message: bytes, waiting: Waiting) -> None:
        self._waiting.append((waiting, self._tick))
        super().send(b"PUBLISH", topic, message)

    def _carry_script(self, arguments: Arguments, future: asyncio.Future[int]) -> None:
        assert self._script is not None
        self._running[future] = arguments
        future.add_done_callback(self._running.pop)
        self._waiting.append((future, self._tick))
        super().send(b"EVALSHA", self._script.sha, *arguments(self.life))

    def _release(self) -> None:
        """The connection is well: what was held goes on."""
        held, self._held, self._holding = self._held, [], False
        self._turned_at = self._loop.time()
        for future, carry in held:
            if not future.done():
                carry(future)

    def _give_back(self, reason: str) -> None:
        held, self._held, self._holding = self._held, [], False
        for future, _ in held:
            if not future.done():
                future.set_exception(StoreUnavailable(reason))
