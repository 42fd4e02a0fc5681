"""The adapter between the workers of one host: finished frames through a log in shared memory.

Every worker, the publishing one included, delivers what it reads there, so all subscribers of a channel see one order.
Only for a cluster that is this host: the log does not leave it. All else is as with one server (`redis.py`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence

from engine._fast.envelope import pack_event, pack_terminate
from engine._fast.hub import Hub
from engine._fast.shared_log import SharedLog
from engine.adapter.redis import RedisAdapter
from engine.config.redis import RedisOptions
from engine.interfaces import ClusterEvents, Message
from engine.metrics.cluster import AdapterMetrics
from engine.protocol.channel import user_channel

#: Messages read in one go; then the loop breathes.
BATCH = 256

_log = logging.getLogger(__name__)


class SharedMemoryAdapter(RedisAdapter):
    """interfaces.Adapter over a shared log for events and terminations, and Redis for what its scripts announce.

    An event that is too long for the log, as one may be whose application was allowed longer ones after the start, goes
    through Redis; its place among the others is then not the same for all. So does what is kept: there the order is
    made where it is kept, and all events of such a channel that are kept come in that order (`history/redis.py`).

    :param log: not yet joined.
    :param waker: this worker's eventfd.
    """

    def __init__(
        self,
        hub: Hub,
        options: RedisOptions,
        topic_prefix: str,
        fallback_to_local: bool,
        events: ClusterEvents,
        metrics: AdapterMetrics,
        key_prefix: str,
        log: SharedLog,
        waker: int,
    ) -> None:
        super().__init__(hub, options, topic_prefix, fallback_to_local, events, metrics, key_prefix)
        self._shared = log
        self._waker = waker
        self._again = False
        self._missed = 0

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._shared.join()
        self._loop.add_reader(self._waker, self._on_woken)
        self._read()
        await super().start()

    async def stop(self) -> None:
        self._loop.remove_reader(self._waker)
        await super().stop()

    async def settle(self) -> None:
        self._catch_up()
        await super().settle()

    def subscribe(self, app_id: str, channel: str, done: Callable[[bool], None]) -> None:
        topic = self._topic(app_id, channel)
        if topic not in self._channels:
            self._shared.want(topic)
            # What was published before was not for these subscribers; this worker may not have cared to read it yet.
            self._catch_up()
        super().subscribe(app_id, channel, done)

    def unsubscribe(self, app_id: str, channel: str) -> None:
        topic = self._topic(app_id, channel)
        if topic in self._channels:
            self._shared.unwant(topic)
        super().unsubscribe(app_id, channel)

    async def publish(self, messages: Sequence[Message]) -> None:
        others = [message for message in messages if not self._append(message)]
        self._read()
        if others:
            await super().publish(others)

    def send(self, message: Message) -> None:
        if self._append(message):
            self._read()
        else:
            super().send(message)

    async def terminate(self, app_id: str, user_id: str, *, reconnect: bool = False) -> None:
        began_s = time.monotonic()
        self._shared.append(self._topic(app_id, user_channel(user_id)), pack_terminate(reconnect))
        self._metrics.sent.add(1, app_id)
        self._note_taken(app_id, began_s)
        self._read()

    def _append(self, message: Message) -> bool:
        """Whether it was short enough, and is not to be kept."""
        if message.retention is not None:
            return False
        began_s = time.monotonic()
        topic = self._topic(message.app_id, message.channel)
        taken = self._shared.append(topic, pack_event(message.except_socket_id.encode(), message.frame))
        if taken:
            self._metrics.sent.add(1, message.app_id)
            self._note_taken(message.app_id, began_s)
        return taken

    def _on_woken(self) -> None:
        os.eventfd_read(self._waker)
        self._read()

    def _read(self) -> None:
        """Deliver what is there, then sleep until woken."""
        if self._deliver() == BATCH or not self._shared.sleep():
            self._read_again()

    def _read_again(self) -> None:
        if not self._again:
            self._again = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._again = False
        self._read()

    def _catch_up(self) -> None:
        """Deliver all that was appended until now."""
        end = self._shared.end
        while self._shared.position < end:
            self._deliver()

    def _deliver(self) -> int:
        messages = self._shared.take(BATCH)
        for topic, message in messages:
            self._hear(topic, message)
        if self._shared.missed != self._missed:
            missed, self._missed = self._shared.missed - self._missed, self._shared.missed
            _log.warning("this worker was too slow: it missed %d messages", missed)
            self._metrics.missed.add(missed)
            self._events.on_missed(missed)
        return len(messages)
