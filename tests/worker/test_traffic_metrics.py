"""What the hot path counts by itself is found in the metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.micro.worker import subscribe
from engine._fast.envelope import deliver_event, pack_event
from engine._fast.frame import text_frame
from engine._fast.hub import Hub
from engine._fast.queues import FlushQueue
from engine.metrics.metrics import Metrics
from engine.worker.traffic_metrics import latency_of

NAME = "broadcast_latency_ms"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def due() -> list[Callable[[], Any]]:
    return []


@pytest.fixture
def hub(metrics: Metrics, due: list[Callable[[], Any]]) -> Hub:
    return Hub(FlushQueue(due.append, 1 << 20), latency_of(metrics.events))


def counted(metrics: Metrics, *labels: str) -> float:
    """Broadcasts of an application whose id is "app-id", in all buckets together."""
    return sum(metrics.value(f"{NAME}_bucket", "app-id", *labels, str(bucket)) for bucket in range(14))


@pytest.mark.parametrize(
    ("channel", "subscribers", "labels"),
    [
        ("room", 1, ("public", "xs")),
        ("room", 10, ("public", "xs")),
        ("private-room", 11, ("private", "sm")),
        ("presence-cache-room", 101, ("presence_cache", "md")),
        ("room", 1001, ("public", "lg")),
        ("room", 10001, ("public", "xl")),
    ],
)
def test_a_broadcast_is_timed_when_its_sockets_are_written_to(
    hub: Hub, metrics: Metrics, due: list[Callable[[], Any]], channel: str, subscribers: int, labels: tuple[str, str]
) -> None:
    subscribe(hub, channel, subscribers)
    while due:
        due.pop()()
    assert deliver_event(hub, hub.open("app-id", channel), pack_event(b"", text_frame(b"a")))
    assert counted(metrics, *labels) == 0
    while due:
        due.pop()()
    assert counted(metrics, *labels) == 1
    assert 0 <= metrics.value(f"{NAME}_sum", "app-id", *labels) < 60_000


def test_it_is_timed_from_its_publish_and_not_before_it(
    hub: Hub, metrics: Metrics, due: list[Callable[[], Any]]
) -> None:
    subscribe(hub, "room", 1)
    channel = hub.open("app-id", "room")
    envelope = pack_event(b"", text_frame(b"a"))
    for at in (b"\0" * 7 + b"\1", b"\x7f" + b"\xff" * 7):
        assert deliver_event(hub, channel, envelope[:2] + at + envelope[10:])
        due.pop()()
        total = metrics.value(f"{NAME}_sum", "app-id", "public", "xs")
        # In the second case the clock of the machine that published is ahead: nothing is added.
        assert total > 50 * 365 * 86_400_000
    assert counted(metrics, "public", "xs") == 2


def test_what_only_its_sender_could_get_is_not_timed(hub: Hub, metrics: Metrics, due: list[Callable[[], Any]]) -> None:
    subscribe(hub, "room", 1)
    channel = hub.open("app-id", "room")
    (only,) = channel.connections()
    hub.add(only)
    assert deliver_event(hub, channel, pack_event(only.socket_id.encode(), text_frame(b"a")))
    assert deliver_event(hub, hub.open("app-id", "nobody"), pack_event(b"", text_frame(b"a")))
    assert not due
    assert counted(metrics, "public", "xs") == 0
