"""One event to all subscribers of a channel on real sockets; the clock stops when the last outbox is empty."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.micro.sockets import sockets
from engine._fast.frame import text_frame

FRAME = text_frame(b'{"event":"tick","channel":"bench-0","data":"' + b"x" * 100 + b'"}')


@pytest.mark.parametrize("subscribers", [1, 100, 1_000, 10_000])
def bench_broadcast_and_flush(benchmark: Any, subscribers: int) -> None:
    with sockets(subscribers) as (made, client):
        benchmark.extra_info["subscribers"] = subscribers
        benchmark(made.broadcast, FRAME)
        assert made.all_arrived(client)
