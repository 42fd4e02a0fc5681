"""OpenTelemetry in a worker, if it is asked for; its libraries are imported then only. Decides nothing."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from engine._fast.sampler import Sampler
from engine.config.telemetry import Telemetry
from engine.machine.collector import resting
from engine.metrics.metrics import Metrics

if TYPE_CHECKING:
    from engine.worker.spans import Spans
    from engine.worker.trace_taps import Followed


def build_spans(asked: Telemetry | None, worker: int, port: int, followed: Followed, metrics: Metrics) -> list[Spans]:
    """None or one. :param worker: its number in the node. :param port: the node's."""
    if asked is None:
        return []
    with resting():
        from engine.spans.export import Export
        from engine.worker.spans import Spans
    export = Export(f"{socket.gethostname()}:{port}/{worker}", asked.queue_spans, metrics.spans)
    return [Spans(followed, Sampler(asked.ratio, asked.heeds_callers), export, worker)]
