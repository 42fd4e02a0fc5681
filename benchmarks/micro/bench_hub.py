"""Subscribing and leaving, among others who stay: what one subscriber's coming and going costs does not grow."""

from __future__ import annotations

from typing import Any

import pytest

from engine._fast.connection import Connection
from engine._fast.hub import Hub, Pending
from engine._fast.queues import FlushQueue


def _connection(hub: Hub, number: int) -> Connection:
    return Connection(f"1.{number}", None, hub.traffic("app"), None, hub.flush_queue, 65536)  # type: ignore[arg-type]


@pytest.mark.parametrize("subscribers", [1, 100, 1_000, 10_000])
def bench_subscribe_and_leave(benchmark: Any, subscribers: int) -> None:
    """Among so many subscribers of the channel."""
    hub = Hub(FlushQueue(lambda callback: None, 1 << 20))
    channel = hub.open("app", "bench-0")
    for number in range(subscribers - 1):
        Pending(channel, _connection(hub, number)).activate(0, [])
    newcomer = _connection(hub, subscribers)

    def come_and_go() -> None:
        Pending(channel, newcomer).activate(0, [])
        hub.leave(newcomer, channel)

    benchmark.extra_info["subscribers"] = subscribers
    benchmark(come_and_go)
    assert len(channel) == subscribers - 1


@pytest.mark.parametrize("channels", [1, 100, 1_000, 10_000])
def bench_find_a_channel(benchmark: Any, channels: int) -> None:
    """Among so many channels of others."""
    hub = Hub(FlushQueue(lambda callback: None, 1 << 20))
    for number in range(channels):
        Pending(hub.open("app", f"bench-{number}"), _connection(hub, number)).activate(0, [])
    benchmark.extra_info["channels"] = channels
    found = benchmark(hub.channel, "app", f"bench-{channels // 2}")
    assert found is not None
