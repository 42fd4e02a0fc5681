"""The adapter between workers: finished frames over Redis pub/sub, one topic for each occupied channel.

Every worker, the publishing one included, delivers what comes back on its subscriber connection, so all subscribers of
a channel see one order. All of a loop turn goes to Redis in one write. It never looks into a frame.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial

from engine._fast.awaited_link import AwaitedLink
from engine._fast.envelope import (
    deliver_event,
    pack_event,
    pack_terminate,
    parse_member_change,
    parse_terminate,
    parse_total,
)
from engine._fast.hub import Channel, Hub
from engine._fast.log_link import LogLink
from engine._fast.recent_events import RecentEvents
from engine._fast.topic_events import TopicEvents
from engine.adapter.coalescing import CoalescingSubscriber
from engine.adapter.echo import Echo
from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable, Unconfirmed
from engine.history.redis import KEEP, keep_arguments
from engine.interfaces import ClusterEvents, MemberChange, Message, TotalChange
from engine.log.setup import Seldom
from engine.metrics.cluster import AdapterMetrics
from engine.protocol.channel import user_channel, user_of
from engine.redis.pubsub.link import Reader
from engine.redis.pubsub.publisher import PublishLink
from engine.redis.pubsub.shard_publisher import ShardPublisher
from engine.redis.pubsub.shard_subscriber import ShardSubscriber
from engine.redis.pubsub.subscriber import SubscribeLink
from engine.trace.follow import TRACE

#: How long a publish waits for Redis before it counts as not taken.
PUBLISH_TIMEOUT_S = 3.0
#: How long a drain waits for what is on its way from other workers.
SETTLE_TIMEOUT_S = 1.0

#: What a mark begins with (`_fast/envelope.pyx`).
MARK = b"\x07"

_log = logging.getLogger(__name__)


class RedisAdapter:
    """interfaces.Adapter over Redis pub/sub.

    :param metrics: counts what is sent here; what is received is counted by the hub (`Traffic.delivered`).
    :param topic_prefix: put before ``app/channel``.
    :param fallback_to_local: with Redis gone, deliver to this worker's own subscribers instead of refusing.
    :param key_prefix: start of the keys of what is kept.
    """

    #: By which C sends what need not be waited for; None where all is.
    link: LogLink | None = None

    #: By which it sends what Redis answers; None where there is another way.
    awaited: AwaitedLink | None = None

    #: With what a script publishes, and with what that comes.
    _publish_word, _message_word = "PUBLISH", b"message"

    def __init__(
        self,
        hub: Hub,
        options: RedisOptions,
        topic_prefix: str,
        fallback_to_local: bool,
        events: ClusterEvents,
        metrics: AdapterMetrics,
        key_prefix: str,
    ) -> None:
        self._hub = hub
        self._key_prefix = key_prefix
        self._prefix = topic_prefix.encode()
        self._fallback = fallback_to_local
        self._events = events
        self._metrics = metrics
        self._wake_topic = self._prefix + b"wake"
        self._trace_topic = self._prefix + TRACE
        #: Of this worker alone.
        self._echo_stem = self._prefix + b"echo:" + secrets.token_hex(8).encode()
        self._channels: dict[bytes, Channel] = {}
        self._recent = RecentEvents()
        self._topic_events = TopicEvents(hub, self._channels, self._recent)
        self._publisher, self._subscriber = self._links(options)
        if isinstance(self._publisher, PublishLink):
            carry = self._publisher.carry
            self.awaited = AwaitedLink(hub, carry, self._prefix, fallback_to_local, metrics, self._recent)
        self._coalescing = CoalescingSubscriber(self._subscriber)
        self._echo = Echo(self._publisher.publish, self._tell)
        self._was_linked = False
        self._holes_logged = Seldom()
        self._hear = self._on_message
        self._on_mark: Callable[[Channel, bytes], None] = lambda channel, mark: None

    @property
    def connected(self) -> bool:
        return self._linked and self._echo.proved

    @property
    def trouble(self) -> str:
        """Why it is not connected, in a few words."""
        refusal = self._subscriber.refusal or (self._echo.refusal if self._linked else "")
        if refusal:
            return f"Redis refuses what goes between workers ({refusal})"
        if self._linked:
            return "what is published through Redis is not heard"
        return "other workers cannot be reached"

    async def start(self) -> None:
        """Connects; where that cannot be done now it goes on trying, and this worker serves alone."""
        await self._publisher.start()
        await self._subscriber.start()
        self._subscriber.subscribe(self._wake_topic)
        self._subscriber.subscribe(self._trace_topic)
        self._use_echoes([self._echo_stem])
        self._echo.begin()
        if self._linked:
            # A worker that is well begins by saying so.
            await self._echo.until_proved(SETTLE_TIMEOUT_S)
        self._tell()

    def overhear(self, heard: Callable[[Channel, bytes], None] | None) -> None:
        def hear(topic: bytes, message: bytes) -> None:
            channel = self._channels.get(topic)
            if channel is not None and heard is not None:
                heard(channel, message)
            self._on_message(topic, message)

        self._topic_events.overheard = heard is not None
        self._hear = self._on_message if heard is None else hear
        self._subscriber.hand_to(self._hear)

    async def stop(self) -> None:
        await self._echo.stop()
        await self._publisher.stop()
        await self._subscriber.stop()

    async def settle(self) -> None:
        await self._subscriber.settle(SETTLE_TIMEOUT_S)

    def subscribe(self, app_id: str, channel: str, done: Callable[[bool], None]) -> None:
        topic = self._topic(app_id, channel)
        self._channels[topic] = self._hub.open(app_id, channel)
        self._coalescing.subscribe(topic, done)

    def unsubscribe(self, app_id: str, channel: str) -> None:
        topic = self._topic(app_id, channel)
        self._channels.pop(topic, None)
        self._coalescing.unsubscribe(topic)

    async def publish(self, messages: Sequence[Message]) -> None:
        began_s = time.monotonic()
        under_way = [self._publish(message) for message in messages]
        refused: StoreUnavailable | None = None
        # One after the other costs nothing: replies come in that order, and each wait is bounded by the link.
        for message, (envelope, future) in zip(messages, under_way, strict=True):
            try:
                await future
            except StoreUnavailable as error:
                self._metrics.failed.add(1, message.app_id)
                # What has to be kept must not reach some and be forgotten: the sender gets the failure and repeats it.
                if self._fallback and message.retention is None:
                    self._deliver_here(message, envelope, error)
                else:
                    refused = error
            except asyncio.CancelledError:
                # Nobody asks any more; a future that fails unasked would be logged.
                for _, each in under_way:
                    each.cancel()
                raise
            else:
                self._note_taken(message.app_id, began_s)
        if refused is not None:
            raise refused

    def send(self, message: Message) -> None:
        began_s = time.monotonic()

        def on_done(done: asyncio.Future[int]) -> None:
            if done.cancelled():
                return
            error = done.exception()
            if error is None:
                self._note_taken(message.app_id, began_s)
                return
            self._metrics.failed.add(1, message.app_id)
            self._metrics.lost.add(1, message.app_id)
            if self._fallback and message.retention is None:
                self._deliver_here(message, envelope, error)

        envelope, future = self._publish(message)
        future.add_done_callback(on_done)

    def mark(self, message: Message, mark: bytes) -> None:
        # Looked at, so that it is not logged as a failure that nobody asked about.
        self._publisher.publish(self._topic(message.app_id, message.channel), mark).add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )

    def hear_marks(self, heard: Callable[[Channel, bytes], None]) -> None:
        self._on_mark = heard

    async def terminate(self, app_id: str, user_id: str, *, reconnect: bool = False) -> None:
        topic = self._topic(app_id, user_channel(user_id))
        self._metrics.sent.add(1, app_id)
        began_s = time.monotonic()
        try:
            await self._publisher.publish(topic, pack_terminate(reconnect))
            self._note_taken(app_id, began_s)
        except StoreUnavailable:
            self._metrics.failed.add(1, app_id)
            if not self._fallback:
                raise
            self._events.on_terminate(app_id, user_id, reconnect)

    def _links(self, options: RedisOptions) -> tuple[PublishLink | ShardPublisher, SubscribeLink | ShardSubscriber]:
        return (
            PublishLink(options, "publisher", PUBLISH_TIMEOUT_S, self._changed, KEEP, self._count_loss),
            SubscribeLink(
                options,
                "subscriber",
                self._on_message,
                self._changed,
                self._count_loss,
                self._on_hole,
                self._make_reader,
            ),
        )

    def _make_reader(self) -> Reader:
        """What delivers plain events by itself."""
        return self._topic_events.reader(self._message_word)

    def life_of(self, topic: str) -> str:
        """The life of the data that the server has on which this topic is, "" when it is not known now."""
        return self._publisher.life_of(topic.encode())

    def _use_echoes(self, topics: list[bytes]) -> None:
        for topic in topics:
            self._subscriber.subscribe(topic)
        self._echo.use(topics)

    def _topic(self, app_id: str, channel: str) -> bytes:
        return self._prefix + f"{app_id}/{channel}".encode()

    def _publish(self, message: Message) -> tuple[bytes, asyncio.Future[int]]:
        """What is sent, and how that ends."""
        topic = self._topic(message.app_id, message.channel)
        self._metrics.sent.add(1, message.app_id)
        envelope = pack_event(message.except_socket_id.encode(), message.frame)
        if message.retention is None:
            return envelope, self._publisher.publish(topic, envelope)
        given = (self._key_prefix, topic.decode(), message.retention, envelope, self._publish_word)
        return envelope, self._publisher.run(topic, partial(keep_arguments, *given))

    def _note_taken(self, app_id: str, began_s: float) -> None:
        self._metrics.resolved.add(1, app_id)
        self._metrics.resolve_time_ms.observe((time.monotonic() - began_s) * 1000, app_id)

    def _deliver_here(self, message: Message, envelope: bytes, error: BaseException) -> None:
        """Not what Redis has taken, and sent here, before it could not be reached."""
        found = self._hub.channel(message.app_id, message.channel)
        if found is not None and self._recent.miss(found, envelope, isinstance(error, Unconfirmed)):
            excluded = self._hub.get(message.except_socket_id)
            self._hub.deliver(found, message.frame, excluded)

    def _on_message(self, topic: bytes, message: bytes) -> None:
        channel = self._channels.get(topic)
        if channel is None:
            if topic == self._wake_topic:
                self._events.on_wake()
            elif topic == self._trace_topic:
                self._events.on_trace(message)
            else:
                self._echo.heard(topic)
            return
        self._on_channel_message(channel, message)

    def _on_channel_message(self, channel: Channel, message: bytes) -> None:
        try:
            if not self._recent.hear(channel, message) or deliver_event(self._hub, channel, message):
                return
            self._metrics.received.add(1, channel.app_id)
            change = parse_member_change(message)
            if change is not None:
                added, version, user_id, user_info = change
                self._events.on_member_change(
                    MemberChange(channel.app_id, channel.name, version, added, user_id, user_info)
                )
            elif (total := parse_total(message)) is not None:
                self._events.on_total_change(TotalChange(channel.app_id, channel.name, *total))
            elif (reconnect := parse_terminate(message)) is not None and (user_id := user_of(channel.name) or ""):
                self._events.on_terminate(channel.app_id, user_id, reconnect)
            elif message[:1] == MARK:
                self._on_mark(channel, message)
            else:
                self._metrics.malformed.add(1)
        except ValueError:
            self._metrics.malformed.add(1)

    def _changed(self, _: bool) -> None:
        linked = self._linked
        if linked and not self._was_linked:
            self._echo.doubt()
        self._was_linked = linked
        self._tell()

    @property
    def _linked(self) -> bool:
        return self._publisher.connected and self._subscriber.renewed

    def _tell(self) -> None:
        connected = self.connected
        self._events.on_connected(connected, "" if connected else self.trouble)

    def _count_loss(self) -> None:
        self._metrics.losses.add(1)

    def _on_hole(self, seconds: float) -> None:
        """The subscriber connection was away, and others published meanwhile."""
        self._metrics.holes.add(1)
        self._metrics.hole_seconds.add(seconds)
        if self._holes_logged.due():
            _log.warning("what others published in %.2f s was not heard: Redis had cut this worker off", seconds)
