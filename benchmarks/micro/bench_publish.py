"""A publish without sockets: the API alone, and the whole road from the gate to the answer."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.micro.worker import local_api, publish_request, publish_target, subscribe, worker
from engine._fast.hub import Hub
from engine._fast.queues import FlushQueue

PIPELINED = 64


def bench_api_handle(benchmark: Any) -> None:
    """Signature, digest, body, frame; one subscriber without a socket."""
    due: list[Any] = []
    hub = Hub(FlushQueue(due.append, 1 << 20))
    subscribe(hub, "bench-0", 1)
    api = local_api(hub)
    body = b'{"name":"tick","channels":["bench-0"],"data":"' + b"x" * 100 + b'"}'
    target = publish_target(body).encode()

    def handle() -> int:
        try:
            api.handle("POST", target, body).send(None)  # waits for nobody, so it ends at once
        except StopIteration as done:
            due.pop()()
            return int(done.value.status)
        return 0

    assert benchmark(handle) == 200


@pytest.mark.parametrize("subscribers", [1, 100, 1_000, 10_000])
def bench_gate_to_answer(benchmark: Any, subscribers: int) -> None:
    """64 pipelined requests, from their bytes to the bytes of their answers, subscribers without sockets."""
    with worker() as made:
        subscribe(made.parts.hub, "bench-0", subscribers)
        requests = publish_request("bench-0") * PIPELINED
        benchmark.extra_info |= {"per_round": PIPELINED, "subscribers": subscribers}
        answer = benchmark(made.serve, requests, PIPELINED)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
