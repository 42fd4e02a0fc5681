"""The batcher: one window for each endpoint, everything handed over in order, nothing grows without limit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.app import Filter
from engine.config.webhooks import Batching
from engine.errors import StoreUnavailable
from engine.interfaces import Job
from engine.metrics.metrics import Metrics
from engine.webhooks.batcher import ENDPOINT_SHARE, Batcher
from engine.webhooks.queues.memory import MemoryQueue
from engine.webhooks.room import OVERHEAD_BYTES
from tests.support.waiting import until
from tests.webhooks.making import make_app, make_endpoint, make_event

LONG_MS = 60_000


class Inbox(MemoryQueue):
    """Keeps what it is given; refuses while `broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self.calls: list[int] = []
        self.broken = False

    async def put(self, jobs: Sequence[Job]) -> None:
        self.calls.append(len(jobs))
        if self.broken:
            raise StoreUnavailable("broken")
        self.jobs += jobs

    def channels(self, endpoint_id: str = "e1") -> list[list[str]]:
        return [
            [event["channel"] for event in json.loads(job.body)["events"]]
            for job in self.jobs
            if job.endpoint_id == endpoint_id
        ]


async def test_a_window_ends_after_its_duration() -> None:
    inbox = Inbox()
    batcher = Batcher(inbox, Batching(duration=30), Metrics(), now_ms=lambda: 1234)
    await batcher.start()
    for name in ("a", "b"):
        batcher.add(make_app(make_endpoint()), make_event(name))
        await asyncio.sleep(0)
    assert inbox.jobs == []
    await until(lambda: inbox.jobs)
    assert inbox.channels() == [["a", "b"]]
    assert inbox.jobs[0].time_ms == 1234
    batcher.add(make_app(make_endpoint()), make_event("c"))
    await until(lambda: inbox.channels() == [["a", "b"], ["c"]])
    await batcher.stop()


async def test_a_window_ends_at_its_size_and_a_flush_ends_all() -> None:
    inbox, metrics = Inbox(), Metrics()
    batcher = Batcher(inbox, Batching(duration=LONG_MS, size=3), metrics)
    await batcher.start()
    app = make_app(make_endpoint("e1"), make_endpoint("e2", filter=Filter(channel_prefix="c")))
    for name in "abcd":
        batcher.add(app, make_event(name))
    await until(lambda: inbox.jobs)
    assert (inbox.channels("e1"), inbox.channels("e2")) == ([["a", "b", "c"]], [])
    assert await batcher.flush(5)
    assert (inbox.channels("e1"), inbox.channels("e2")) == ([["a", "b", "c"], ["d"]], [["c"]])
    assert metrics.value("webhook_events_total", "app-1", "e1", "cache_miss") == 4
    await batcher.stop()


async def test_what_fills_fast_is_divided_by_channel_and_stays_in_order() -> None:
    inbox = Inbox()
    batcher = Batcher(inbox, Batching(duration=LONG_MS, size=10), Metrics(), concurrency=5)
    await batcher.start()
    app, channels = make_app(make_endpoint()), [f"room-{n}" for n in range(40)]
    for at in range(30):
        for name in channels:
            batcher.add(app, make_event(name, time_ms=at))
    assert await batcher.flush(5)
    groups: list[set[str]] = []
    for names in inbox.channels()[-20:-4]:
        apart = [group for group in groups if group.isdisjoint(names)]
        groups = [*apart, set(names).union(*(group for group in groups if group not in apart))]
    assert len(groups) == 4, "so many could be sent at a time"
    times: dict[str, list[int]] = {name: [] for name in channels}
    for job in inbox.jobs:
        for event in json.loads(job.body)["events"]:
            times[event["channel"]].append(event["time_ms"])
    assert all(found == list(range(30)) for found in times.values())
    await batcher.stop()


async def test_what_fills_no_more_comes_together_again() -> None:
    inbox = Inbox()
    batcher = Batcher(inbox, Batching(duration=200, size=10), Metrics(), concurrency=2)
    await batcher.start()
    app, channels = make_app(make_endpoint()), ["room-2", "room-3", "room-4", "room-5"]

    def add(*names: str) -> None:
        for name in names:
            batcher.add(app, make_event(name))

    # What the queue does not take keeps the endpoint known here.
    inbox.broken = True
    add(*["room-0"] * 10)
    add(*channels)
    await until(lambda: inbox.calls and inbox.calls[-1] == 3)
    add(*channels)
    await until(lambda: inbox.calls[-1] == 4)
    inbox.broken = False
    await until(lambda: inbox.jobs)
    _, *apart, together = inbox.channels()
    assert sorted(apart[0] + apart[1]) == together == channels
    await batcher.stop()


async def test_without_batching_each_event_leaves_at_once() -> None:
    inbox = Inbox()
    batcher = Batcher(inbox, Batching(enabled=False, duration=LONG_MS), Metrics())
    await batcher.start()
    for name in "ab":
        batcher.add(make_app(make_endpoint()), make_event(name))
    await until(lambda: inbox.channels() == [["a"], ["b"]])
    await batcher.stop()


async def test_nobody_gets_what_another_app_or_endpoint_is_told() -> None:
    inbox = Inbox()
    batcher = Batcher(inbox, Batching(duration=LONG_MS), Metrics())
    await batcher.start()
    for app_id in ("app-1", "app-2"):
        app = make_app(make_endpoint("e1", event_types=frozenset({"cache_miss"})), app_id=app_id)
        batcher.add(app, make_event(f"room-of-{app_id}", app_id))
    batcher.add(make_app(make_endpoint(event_types=frozenset({"client_event"}))), make_event())
    await batcher.flush(5)
    assert [(job.app_id, job.channels) for job in inbox.jobs] == [
        ("app-1", ("room-of-app-1",)),
        ("app-2", ("room-of-app-2",)),
    ]
    await batcher.stop()


async def test_what_the_queue_refuses_waits_in_order(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox()
    inbox.broken = True
    batcher = Batcher(inbox, Batching(enabled=False), Metrics())
    await batcher.start()
    for n in range(250):
        batcher.add(make_app(make_endpoint()), make_event(str(n)))
    await until(lambda: len(inbox.calls) >= 3)
    assert not await batcher.flush(0.01)
    inbox.broken = False
    assert await batcher.flush(5)
    assert inbox.channels() == [[str(n)] for n in range(250)]
    await batcher.stop()
    assert sum("wait in this worker" in record.message for record in caplog.records) == 1


async def test_too_much_is_dropped_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    inbox, metrics = Inbox(), Metrics()
    inbox.broken = True
    size = len(make_event("room").payload) + OVERHEAD_BYTES
    batcher = Batcher(inbox, Batching(enabled=False), metrics, max_pending_bytes=int(2 * size / ENDPOINT_SHARE))
    await batcher.start()
    app = make_app(make_endpoint())
    for _ in range(5):
        batcher.add(app, make_event("room"))
    assert metrics.value("webhook_events_dropped_total", "app-1", "e1") == 3
    inbox.broken = False
    assert await batcher.flush(5)
    assert len(inbox.jobs) == 2
    # There is room again.
    batcher.add(app, make_event("room"))
    batcher.add(app, make_event("room"))
    assert await batcher.flush(5)
    assert len(inbox.jobs) == 4
    assert metrics.value("webhook_events_dropped_total", "app-1", "e1") == 3
    await batcher.stop()
    assert sum("dropped so far" in record.message for record in caplog.records) == 1


async def test_neither_an_endpoint_nor_an_application_fills_the_room_of_others() -> None:
    inbox, metrics = Inbox(), Metrics()
    inbox.broken = True
    size = len(make_event("room").payload) + OVERHEAD_BYTES
    batcher = Batcher(inbox, Batching(enabled=False), metrics, max_pending_bytes=int(2 * size / ENDPOINT_SHARE))
    await batcher.start()
    greedy = make_app(*(make_endpoint(name) for name in ("e1", "e2", "e3")))
    for _ in range(5):
        batcher.add(greedy, make_event("room"))
    dropped = [metrics.value("webhook_events_dropped_total", "app-1", name) for name in ("e1", "e2", "e3")]
    assert dropped == [3, 4, 4], "two of an endpoint, four of the application"
    other = replace(make_app(make_endpoint()), id="app-2")
    batcher.add(other, make_event("room", "app-2"))
    assert metrics.value("webhook_events_dropped_total", "app-2", "e1") == 0
    inbox.broken = False
    assert await batcher.flush(5)
    assert len(inbox.jobs) == 5
    batcher.add(greedy, make_event("room"))
    assert await batcher.flush(5)
    assert len(inbox.jobs) == 8, "there is room again"
    await batcher.stop()


async def test_stopping_says_what_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox()
    inbox.broken = True
    batcher = Batcher(inbox, Batching(duration=LONG_MS), Metrics())
    await batcher.start()
    batcher.add(make_app(make_endpoint()), make_event())
    await batcher.stop(0.05)
    assert "1 requests are lost" in caplog.text
