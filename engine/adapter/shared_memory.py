"""The adapter between the workers of one host: finished frames through a log in shared memory.

Every worker, the publishing one included, delivers what it reads there, so all subscribers of a channel see one order.
Only for a cluster that is this host: the log does not leave it. All else is as with one server (`redis.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from engine._fast.envelope import pack_terminate
from engine._fast.hub import Channel, Hub
from engine._fast.log_link import LogLink
from engine._fast.shared_log import SharedLog
from engine.adapter.redis import RedisAdapter
from engine.config.redis import RedisOptions
from engine.interfaces import ClusterEvents, Message
from engine.metrics.cluster import AdapterMetrics
from engine.protocol.channel import user_channel

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
        self.awaited = None
        self._waker = waker
        self.link: LogLink = LogLink(log, hub, self._on_channel_message, self._on_missed)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.link.log.join()
        self._loop.add_reader(self._waker, self.link.on_woken, self._waker)
        self.link.read()
        await super().start()

    async def stop(self) -> None:
        self._loop.remove_reader(self._waker)
        await super().stop()

    def overhear(self, heard: Callable[[Channel, bytes], None] | None) -> None:
        self.link.overhear(heard)
        super().overhear(heard)

    async def settle(self) -> None:
        self.link.catch_up()
        await super().settle()

    def subscribe(self, app_id: str, channel: str, done: Callable[[bool], None]) -> None:
        self.link.listen(self._hub.open(app_id, channel))
        super().subscribe(app_id, channel, done)

    def unsubscribe(self, app_id: str, channel: str) -> None:
        self.link.unlisten(app_id, channel)
        super().unsubscribe(app_id, channel)

    async def publish(self, messages: Sequence[Message]) -> None:
        others = [message for message in messages if not self._share(message)]
        if others:
            await super().publish(others)

    def send(self, message: Message) -> None:
        if not self._share(message):
            super().send(message)

    def mark(self, message: Message, mark: bytes) -> None:
        # By the way that the message took; one that was too long for the log is marked too early.
        if message.retention is not None or not self.link.say(message.app_id, message.channel, mark):
            super().mark(message, mark)

    async def terminate(self, app_id: str, user_id: str, *, reconnect: bool = False) -> None:
        self.link.say(app_id, user_channel(user_id), pack_terminate(reconnect))

    def _share(self, message: Message) -> bool:
        """Whether it was short enough, and is not to be kept."""
        return message.retention is None and self.link.publish(
            message.app_id, message.channel, message.frame, message.except_socket_id
        )

    def _on_missed(self, missed: int) -> None:
        _log.warning("this worker was too slow: it missed %d messages", missed)
        self._metrics.missed.add(missed)
        self._events.on_missed(missed)
