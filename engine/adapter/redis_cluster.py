"""The adapter between workers on a Redis Cluster: each channel's events travel over the shard of its topic's slot.

What the occupancy scripts announce travels over the one shard where occupancy is, under a topic of its own, which is
subscribed to only for channels of which something is announced. Everything else is as with one server (`redis.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from redis.crc import key_slot

from engine._fast.hub import Hub
from engine.adapter.redis import RedisAdapter
from engine.config.redis import RedisOptions
from engine.history.redis import KEEP
from engine.interfaces import ClusterEvents
from engine.metrics.cluster import AdapterMetrics
from engine.protocol.channel import WATCH_PREFIX, channel_kind, is_server_owned
from engine.redis.pubsub.shard_publisher import ShardPublisher
from engine.redis.pubsub.shard_subscriber import ShardSubscriber
from engine.redis.pubsub.topology import Topology
from engine.trace.follow import TRACE

#: Names looked at for one in a slot of each master; a master with a thousandth of the slots is found by then.
MAX_SLOTS_TRIED = 5_000


class RedisClusterAdapter(RedisAdapter):
    """:param announced: whether the totals of a channel, given by app id and name, are announced to workers."""

    _publish_word, _message_word = "SPUBLISH", b"smessage"

    def __init__(
        self,
        hub: Hub,
        options: RedisOptions,
        topic_prefix: str,
        fallback_to_local: bool,
        events: ClusterEvents,
        metrics: AdapterMetrics,
        key_prefix: str,
        announced: Callable[[str, str], bool],
    ) -> None:
        self._topology = Topology(options, self._on_slots_moved, self._on_replica)
        super().__init__(hub, options, topic_prefix, fallback_to_local, events, metrics, key_prefix)
        self._announced = announced
        self._announced_prefix = options.beside_occupancy(topic_prefix).encode()
        self._wake_topic = self._announced_prefix + b"wake"
        self._trace_topic = self._announced_prefix + TRACE
        self._echoes: list[bytes] = []
        self._started = False

    async def start(self) -> None:
        await self._topology.start()
        self._started = True
        await super().start()

    async def stop(self) -> None:
        await self._topology.stop()
        await super().stop()

    def subscribe(self, app_id: str, channel: str, done: Callable[[bool], None]) -> None:
        topics = self._topics(app_id, channel)
        opened = self._hub.open(app_id, channel)
        missing = len(topics)
        all_live = True

        def on_done(live: bool) -> None:
            nonlocal missing, all_live
            missing -= 1
            all_live &= live
            if not missing:
                done(all_live)

        for topic in topics:
            self._channels[topic] = opened
            self._coalescing.subscribe(topic, on_done)

    def unsubscribe(self, app_id: str, channel: str) -> None:
        # Whatever it was subscribed to: what is announced of a channel may have changed since.
        for prefix in (self._prefix, self._announced_prefix):
            topic = prefix + f"{app_id}/{channel}".encode()
            if self._channels.pop(topic, None) is not None:
                self._coalescing.unsubscribe(topic)

    def _topics(self, app_id: str, channel: str) -> list[bytes]:
        announced = self._announced_prefix + f"{app_id}/{channel}".encode()
        if channel.startswith(WATCH_PREFIX):
            return [announced]
        topic = self._topic(app_id, channel)
        if is_server_owned(channel):
            return [topic]
        has_announcements = channel_kind(channel).is_presence or self._announced(app_id, channel)
        return [topic, announced] if has_announcements else [topic]

    def _links(self, options: RedisOptions) -> tuple[ShardPublisher, ShardSubscriber]:
        return (
            ShardPublisher(options, self._topology, self._changed, KEEP, self._count_loss),
            ShardSubscriber(
                options,
                self._topology,
                self._on_message,
                self._changed,
                self._count_loss,
                self._on_hole,
                self._make_reader,
            ),
        )

    def _use_echoes(self, topics: list[bytes]) -> None:
        """One for each master, in a slot that it has; the first of a kind that do, so most stay as they are."""
        (stem,) = topics
        missing, found = set(self._topology.masters), []
        for number in range(MAX_SLOTS_TRIED):
            if not missing:
                break
            topic = stem + b"{%d}" % number
            master = self._topology.master(key_slot(topic))
            if master in missing:
                missing.remove(master)
                found.append(topic)
        for topic in set(self._echoes) - set(found):
            self._subscriber.unsubscribe(topic)
        self._echoes = found
        super()._use_echoes(found)

    def _on_replica(self) -> None:
        """Perhaps a master that was away: what had reached it before, it has done when it came back, and announced as
        news. Nothing was lost; but what was heard may be wrong."""
        self._events.on_missed(0)

    def _on_slots_moved(self, moved: frozenset[int]) -> None:
        assert isinstance(self._publisher, ShardPublisher) and isinstance(self._subscriber, ShardSubscriber)
        # Subscribers first: what is published is held until they have followed.
        self._subscriber.on_slots_moved(moved)
        self._publisher.on_slots_moved(moved)
        if self._started:
            self._use_echoes([self._echo_stem])
