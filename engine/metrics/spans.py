"""What becomes of the spans of OpenTelemetry. Declarations only."""

from __future__ import annotations

from engine.metrics.registry import Registry


class SpanMetrics:
    """Counted where spans are made only."""

    def __init__(self, declare: Registry) -> None:
        self.sent = declare.counter("spans_sent_total", "Spans that a collector of OpenTelemetry has taken.")
        self.lost = declare.counter("spans_lost_total", "Spans that it did not take, or that had no room to wait.")
