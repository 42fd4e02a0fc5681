"""What travels between workers: packing an event, and handing it to subscribers (without sockets) on the other side."""

from __future__ import annotations

from typing import Any

import pytest

from engine._fast.connection import Connection
from engine._fast.envelope import deliver_event, pack_event
from engine._fast.frame import text_frame
from engine._fast.hub import Hub, Pending
from engine._fast.queues import FlushQueue

FRAME = text_frame(b'{"event":"tick","channel":"bench-0","data":"' + b"x" * 100 + b'"}')


def bench_pack(benchmark: Any) -> None:
    benchmark(pack_event, b"1234567890.9876543210", FRAME)


@pytest.mark.parametrize("subscribers", [1, 100, 1_000, 10_000])
def bench_deliver(benchmark: Any, subscribers: int) -> None:
    """From the envelope to every outbox, and the outboxes emptied."""
    due: list[Any] = []
    hub = Hub(FlushQueue(due.append, 1 << 20))
    channel = hub.open("app", "bench-0")
    for number in range(subscribers):
        connection = Connection(f"1.{number}", None, hub.traffic("app"), None, hub.flush_queue, 65536)  # type: ignore[arg-type]
        hub.add(connection)
        Pending(channel, connection).activate(0, [])
    envelope = pack_event(b"", FRAME)

    def deliver() -> None:
        assert deliver_event(hub, channel, envelope)
        while due:
            due.pop()()

    benchmark.extra_info["subscribers"] = subscribers
    benchmark(deliver)
