"""What operators see of a worker, put together: its taps, what each trace begins with, and what other nodes' consoles
are told. Nothing is decided here."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from engine.control import WorkerSpec
from engine.tap.tap import Tap
from engine.worker import trace_taps
from engine.worker.remote_looks import RemoteLooks
from engine.worker.remote_traces import RemoteTraces
from engine.worker.trace_state import describe
from engine.worker.trace_taps import Followed
from engine.worker.trace_webhooks import WebhookTaps
from engine.worker.tracing import Taps, Tracing

if TYPE_CHECKING:
    from engine.worker.redis_drivers import RedisDrivers


def build_tracing(worker: int, followed: Followed, redis: RedisDrivers | None, spec: WorkerSpec, tap: Tap) -> Tracing:
    """:param worker: its number in the node, as the log shows it. :param redis: over which other nodes may ask."""
    config = spec.loaded.config

    def place(taps: Taps, tracing: Tracing) -> None:
        trace_taps.place(followed, taps, tracing)
        WebhookTaps(followed, tracing).place(taps)

    tracing = Tracing(worker, place, lambda follow: describe(followed, follow))
    if redis is not None:
        node = f"{socket.gethostname()}:{config.port}"
        prefix = redis.options.beside_occupancy(config.adapter.redis.prefix)
        tracing.remote = RemoteTraces(redis.publish, prefix, node, tracing.begin)
        tracing.looks = RemoteLooks(redis.publish, prefix, node, tap, Path(spec.metrics_dir), worker)
    return tracing
