"""Connects what the hot path counts by itself with the metrics.

Counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable

from engine._fast.counting import Sizes
from engine._fast.hub import Hub
from engine._fast.traffic import Traffic
from engine.metrics.metrics import Metrics
from engine.metrics.traffic import RECIPIENTS, EventMetrics
from engine.occupancy.reporter import Reporter
from engine.protocol.channel import channel_kind


def latency_of(events: EventMetrics) -> Callable[[str, str, int], Sizes]:
    """What the hub counts the latencies of a channel's broadcasts in; see there."""

    def found(app_id: str, channel: str, size_class: int) -> Sizes:
        return events.latency_ms.of(app_id, channel_kind(channel).label, RECIPIENTS[size_class])

    return found


class TrafficMetrics:
    """What the hub and the reporter count by themselves, because it happens too often or they know no metrics."""

    def __init__(self, hub: Hub, reporter: Reporter, metrics: Metrics) -> None:
        self._hub = hub
        self._reporter = reporter
        self._metrics = metrics
        counted = metrics.connections
        #: In the order of `_counted`.
        self._counters = (
            counted.opened,
            counted.closed,
            counted.received_bytes,
            counted.received,
            counted.sent_bytes,
            counted.sent,
            metrics.http.calls,
            metrics.http.received_bytes,
            metrics.http.sent_bytes,
            metrics.events.published,
            metrics.adapter.received,
            metrics.adapter.sent,
            metrics.adapter.resolved,
        )
        self._counted: dict[str, tuple[int, ...]] = {}
        self._counted_slow = self._counted_drift = 0

    def sync(self) -> None:
        """Pass on what was added since the last call."""
        for traffic in self._hub.all_traffic():
            now = _counted(traffic)
            before = self._counted.get(traffic.app_id, (0,) * len(now))
            self._counted[traffic.app_id] = now
            for counter, a, b in zip(self._counters, now, before, strict=True):
                counter.add(a - b, traffic.app_id)
            if taken := now[-1] - before[-1]:
                # Memory takes them without being waited for.
                self._metrics.adapter.resolve_time_ms.of(traffic.app_id).observe(0, taken)
            self._metrics.connections.open.set(traffic.connections, traffic.app_id)
            self._metrics.channels.present.set(self._reporter.present(traffic.app_id), traffic.app_id)
        slow, drift = self._hub.flush_queue.slow_consumers, self._reporter.drift
        self._metrics.connections.slow.add(slow - self._counted_slow)
        self._metrics.occupancy.mended.add(drift - self._counted_drift)
        self._counted_slow, self._counted_drift = slow, drift
        self._metrics.flush()


def _counted(traffic: Traffic) -> tuple[int, ...]:
    return (
        traffic.opened,
        traffic.closed,
        traffic.received_bytes,
        traffic.received_messages,
        traffic.sent_bytes,
        traffic.sent_messages,
        traffic.publishes,
        traffic.publish_received_bytes,
        traffic.publish_sent_bytes,
        traffic.broadcasts,
        traffic.delivered,
        traffic.shared,
        traffic.shared,
    )
