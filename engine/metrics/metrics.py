"""Every metric of a process, by area (docs/protocol.md 8). An area is handed to each part that counts in it.

Nothing here can fail or block: numbers go to memory, are passed on by `flush`, and `page.py` puts those of all workers
together.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.metrics.cluster import AdapterMetrics, AppMetrics, OccupancyMetrics, PeerMetrics, SupervisorMetrics
from engine.metrics.families import Family
from engine.metrics.process import ProcessMetrics
from engine.metrics.registry import Registry
from engine.metrics.spans import SpanMetrics
from engine.metrics.traffic import ChannelMetrics, ConnectionMetrics, EventMetrics, HttpMetrics, LimitMetrics
from engine.metrics.values import MemoryValues, Values
from engine.metrics.webhooks import WebhookMetrics


class Metrics:
    """:param values: where the numbers go; without one they stay in this process.
    :param channel_types: of a worker, which counts subscriptions: all that there are.

    `flush` makes all that was counted so far readable for others; `value` is one number of this process.
    """

    def __init__(self, values: Values | None = None, channel_types: tuple[str, ...] = ()) -> None:
        registry = Registry(MemoryValues() if values is None else values)
        self.connections = ConnectionMetrics(registry)
        self.channels = ChannelMetrics(registry, channel_types)
        self.events = EventMetrics(registry)
        self.http = HttpMetrics(registry)
        self.limits = LimitMetrics(registry)
        self.adapter = AdapterMetrics(registry)
        self.peers = PeerMetrics(registry)
        self.occupancy = OccupancyMetrics(registry)
        self.apps = AppMetrics(registry)
        self.supervisor = SupervisorMetrics(registry)
        self.process = ProcessMetrics(registry)
        self.webhooks = WebhookMetrics(registry)
        self.spans = SpanMetrics(registry)
        #: What is declared, in order, for the page.
        self.families: Sequence[Family] = registry.families
        self.flush = registry.flush
        self.value = registry.value
