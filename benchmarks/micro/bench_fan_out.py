"""One event to all subscribers of a channel on real sockets; the clock stops when the last outbox is empty."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.micro.sockets import sockets
from engine._fast.frame import text_frame

FRAME = text_frame(b'{"event":"tick","channel":"bench-0","data":"' + b"x" * 100 + b'"}')


#: Events after which the reader may catch up; that many fit into a socket's buffer many times over.
CATCH_UP = 200


@pytest.mark.parametrize(("subscribers", "rounds"), [(1, 10_000), (100, 3_000), (1_000, 500), (10_000, 80)])
def bench_broadcast_and_flush(benchmark: Any, subscribers: int, rounds: int) -> None:
    with sockets(subscribers) as (made, client):

        def catch_up() -> None:
            if made.sent % CATCH_UP == 0:
                assert made.all_arrived(client)

        benchmark.extra_info["subscribers"] = subscribers
        benchmark.pedantic(made.broadcast, (FRAME,), setup=catch_up, rounds=rounds, warmup_rounds=10)
        assert made.all_arrived(client)
