"""Moves the plain counters of the hot path to where the metrics page finds them. Owned by the worker's parts."""

from __future__ import annotations

from engine._fast.hub import Hub
from engine._fast.traffic import Traffic
from engine.metrics.metrics import Metrics
from engine.metrics.values import BufferedValues
from engine.occupancy.reporter import Reporter


class Figures:
    """:param values: what `metrics` writes to."""

    def __init__(self, hub: Hub, reporter: Reporter, metrics: Metrics, values: BufferedValues) -> None:
        self._hub = hub
        self._reporter = reporter
        self._metrics = metrics
        self._values = values
        self._told: dict[str, tuple[int, ...]] = {}
        self._told_slow = self._told_drift = 0

    def sync(self) -> None:
        """Tell what was added since the last call."""
        for traffic in self._hub.all_traffic():
            now = _counted(traffic)
            before = self._told.get(traffic.app_id, (0,) * len(now))
            self._told[traffic.app_id] = now
            grown = [a - b for a, b in zip(now, before, strict=True)]
            self._metrics.add_traffic(
                traffic.app_id,
                connections=traffic.connections,
                opened=grown[0],
                closed=grown[1],
                received_bytes=grown[2],
                received_messages=grown[3],
                sent_bytes=grown[4],
                sent_messages=grown[5],
            )
            if grown[6]:
                self._metrics.http_call(traffic.app_id, received_bytes=grown[7], sent_bytes=grown[8], count=grown[6])
                self._metrics.broadcast(traffic.app_id, grown[9])
        slow, drift = self._hub.turn.slow_consumers, self._reporter.drift
        self._metrics.add_slow_consumers(slow - self._told_slow)
        self._metrics.add_drift(drift - self._told_drift)
        self._told_slow, self._told_drift = slow, drift
        self._values.flush()


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
    )
