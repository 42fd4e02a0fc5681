"""Sends spans away, in a thread of the SDK's, in batches: what a collector does not take harms nobody and is counted.

Makes no span. The SDK reads from the environment where to send them, and with what patience.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from engine.log.notices import Notices
from engine.metrics.spans import SpanMetrics
from engine.tasks import within

#: What is still to be sent at the end has so long; the rest is lost.
STOP_TIMEOUT_S = 2.0

_log = logging.getLogger(__name__)


class Export:
    """:param instance: which worker of which node.
    :param queue_spans: finished spans that may wait.
    """

    def __init__(self, instance: str, queue_spans: int, metrics: SpanMetrics) -> None:
        self._metrics = metrics
        self._instance = instance
        self._queue_spans = queue_spans
        self._theirs = logging.getLogger("opentelemetry")
        self._listener = _Listener()

    def start(self) -> Tracer:
        self._theirs.addHandler(self._listener)
        self._theirs.propagate = False
        # What there is to be a span of is decided before one is made.
        self._provider = TracerProvider(ALWAYS_ON, _resource(self._instance), shutdown_on_exit=False)
        loop = asyncio.get_running_loop()

        def count(sent: int, lost: int) -> None:
            # Once the loop has ended nobody reads it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._count, sent, lost)

        exporter = _Counting(OTLPSpanExporter(), count)
        self._provider.add_span_processor(_Batches(exporter, self._queue_spans, count))
        return self._provider.get_tracer("engine", version("engine"))

    async def stop(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

        # No thread of an executor, whose end the process would wait for: a collector may hold it up for long.
        threading.Thread(target=end, name="spans-end", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with within(STOP_TIMEOUT_S):
                await ended.wait()
        self._theirs.removeHandler(self._listener)
        self._theirs.propagate = True

    def _count(self, sent: int, lost: int) -> None:
        self._metrics.sent.add(sent)
        self._metrics.lost.add(lost)


class _Counting(SpanExporter):
    """:ivar taken: spans that came out of the queue."""

    def __init__(self, inner: SpanExporter, count: Callable[[int, int], None]) -> None:
        self._inner = inner
        self._count = count
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        finally:
            sent = result is SpanExportResult.SUCCESS
            self._count(len(spans) if sent else 0, 0 if sent else len(spans))
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


class _Batches(BatchSpanProcessor):
    """Counts as well what has no room to wait in."""

    def __init__(self, exporter: _Counting, queue_spans: int, count: Callable[[int, int], None]) -> None:
        super().__init__(exporter, max_queue_size=queue_spans, max_export_batch_size=min(512, queue_spans))
        self._exporter = exporter
        self._room = queue_spans
        self._count = count
        self._ended = self._dropped = 0

    def on_end(self, span: ReadableSpan) -> None:
        if self._ended - self._dropped - self._exporter.taken >= self._room:
            self._dropped += 1  # the oldest makes room
            self._count(0, 1)
        self._ended += 1
        super().on_end(span)


class _Listener(logging.Handler):
    """What the SDK complains of, each kind once a minute."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._notices = Notices(_log)

    def emit(self, record: logging.LogRecord) -> None:
        self._notices.note(logging.WARNING, str(record.msg), f"OpenTelemetry: {record.getMessage()}")


def _resource(instance: str) -> Resource:
    ours = {
        "service.name": "engine",
        "service.version": version("engine"),
        "service.instance.id": instance,
        "host.name": socket.gethostname(),
    }
    said = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    names = {pair.partition("=")[0].strip() for pair in said.split(",")}
    if os.environ.get("OTEL_SERVICE_NAME"):
        names.add("service.name")
    return Resource.create({name: value for name, value in ours.items() if name not in names})
