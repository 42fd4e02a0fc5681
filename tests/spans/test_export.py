"""Sending spans away where the collector does not answer. That they arrive is shown in integration/test_otel.py."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from engine.metrics.metrics import Metrics
from engine.spans import export
from tests.support.waiting import until, wait_until


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A collector that connections can be made to, and that says nothing."""
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
        yield
        # What a thread logs later would be another test's.
        wait_until(lambda: set(threading.enumerate()) <= before, what=threading.enumerate)


async def test_its_silence_holds_no_process_up(silent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "STOP_TIMEOUT_S", 0.01)
    before = set(threading.enumerate())
    sending = export.Export("host:1/0", 2, Metrics().spans)
    sending.start().start_span("one").end()
    await sending.stop()
    assert all(thread.daemon for thread in set(threading.enumerate()) - before)


async def test_what_has_no_room_to_wait_is_counted(silent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "STOP_TIMEOUT_S", 0.01)
    metrics = Metrics()
    sending = export.Export("host:1/0", 2, metrics.spans)
    tracer = sending.start()
    # Each is lost once: the oldest for want of room, the others when the collector's time is over.
    for _ in range(10):
        tracer.start_span("one").end()
    await until(lambda: metrics.value("spans_lost_total") >= 10)
    await sending.stop()
    assert metrics.value("spans_sent_total") == 0
