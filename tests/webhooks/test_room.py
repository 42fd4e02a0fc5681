"""An endpoint that does not keep up takes no more than its share of bytes: the rest is dropped, counted and told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine.interfaces import Job, WebhookQueue
from engine.metrics.metrics import Metrics
from engine.webhooks.queues.memory import MemoryQueue
from engine.webhooks.queues.redis import RedisQueue
from engine.webhooks.room import Limits, Room, share

KIB = 1024
SMALL = Limits(lane_bytes=100 * KIB, app_bytes=150 * KIB, dead_bytes=100 * KIB)
Open = Callable[[Metrics], WebhookQueue]


def job(name: str, endpoint: str = "slow", app: str = "a", size: int = 20 * KIB) -> Job:
    return Job(name, app, endpoint, "x" * size, ("room",), 1)


@pytest.fixture(params=["memory", "redis"])
async def opened(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Open]:
    if request.param == "memory":
        yield lambda metrics: MemoryQueue(metrics=metrics, limits=SMALL)
        return
    client = Redis.from_url(redis_url)
    prefix = f"{uuid4().hex}:"
    yield lambda metrics: RedisQueue(client, prefix, "one", lease_s=60.0, metrics=metrics, limits=SMALL)
    await client.aclose()


async def test_what_waits_for_one_endpoint_is_bounded(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    queue = opened(metrics)
    await queue.attach()
    for n in range(20):
        await queue.put([job(f"{n}"), job(f"other-{n}", endpoint="fast", size=100)])
        fine = await queue.reserve(10, {"a/slow"})
        assert [each.id for each in fine.jobs] == [f"other-{n}"], "the other endpoint notices nothing"
        await queue.ack(fine.jobs[0])
    kept = [each.id for each in (await queue.resume("a/slow", 50)).jobs]
    assert kept == [f"{n}" for n in range(len(kept))] and 3 <= len(kept) <= 5, "the oldest, in their order"
    assert metrics.value("webhook_requests_dropped_total", "a", "slow") == 20 - len(kept)
    assert metrics.value("webhook_requests_dropped_total", "a", "fast") == 0
    assert sum("endpoint slow of app a has no room left" in record.message for record in caplog.records) == 1
    await queue.detach()


async def test_and_so_is_what_waits_for_one_application(opened: Open) -> None:
    metrics = Metrics()
    queue = opened(metrics)
    await queue.attach()
    full = {f"a/{endpoint}" for endpoint in "123"} | {"b/1"}
    for endpoint in "123":
        await queue.put([job(f"{endpoint}-{n}", endpoint=endpoint) for n in range(4)])
        await queue.reserve(10, full)
    await queue.put([job("another", endpoint="1", app="b")])
    await queue.reserve(10, full)
    kept = [each.id for endpoint in "123" for each in (await queue.resume(f"a/{endpoint}", 50)).jobs]
    assert 5 <= len(kept) <= 8
    assert sum(int(metrics.value("webhook_requests_dropped_total", "a", e) or 0) for e in "123") == 12 - len(kept)
    assert [each.id for each in (await queue.resume("b/1", 5)).jobs] == ["another"]
    await queue.detach()


async def test_dead_letters_are_bounded_and_the_newest_stay(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    queue = opened(metrics)
    await queue.attach()
    for n in range(20):
        await queue.put([job(f"{n}")])
        for each in (await queue.reserve(1)).jobs:
            await queue.bury(each)
    dead = [each.id for each in await queue.dead_letters(50)]
    assert dead == [f"{n}" for n in range(19, 19 - len(dead), -1)] and 3 <= len(dead) <= 5
    assert metrics.value("webhook_dead_letters_dropped_total") == 20 - len(dead)
    assert "bytes of" in caplog.text
    assert await queue.purge_dead_letters() == len(dead)
    await queue.detach()


async def test_room_is_given_back_on_every_way_out() -> None:
    """In memory, where it is counted and not looked at."""
    metrics = Metrics()
    queue = MemoryQueue(metrics=metrics, limits=SMALL)
    for n in range(30):
        await queue.put([job(f"{n}")])
        (taken,) = (await queue.reserve(1)).jobs
        match n % 3:
            case 0:
                await queue.ack(taken)
            case 1:
                await queue.retry(taken, 0)
                (again,) = (await queue.reserve(1)).jobs
                await queue.ack(again)
            case _:
                await queue.bury(taken)
                assert await queue.requeue(taken.id) == 1
                (again,) = (await queue.reserve(1)).jobs
                await queue.ack(again)
    assert metrics.value("webhook_requests_dropped_total", "a", "slow") == 0
    assert metrics.value("webhook_dead_letters_dropped_total") == 0


async def test_dead_letters_that_have_no_room_stay_dead() -> None:
    queue = MemoryQueue(limits=SMALL)
    await queue.put([job(f"{n}") for n in range(4)])
    for each in (await queue.reserve(4)).jobs:
        await queue.bury(each)
    await queue.put([job(f"new-{n}") for n in range(3)])
    assert await queue.requeue(None) == 1
    assert len(await queue.dead_letters(10)) == 3


def test_a_room_knows_who_fills_it() -> None:
    room = Room(lane_bytes=3 * KIB, app_bytes=4 * KIB)
    first, second = ("a", "slow", 2 * KIB + 512), ("a", "other", 2 * KIB + 512)
    room.take(*first)
    assert not room.has(*first) and room.lane_full(*first)
    assert not room.has(*second) and not room.lane_full(*second)
    room.give_back(*first)
    assert room.has(*second)


@pytest.mark.parametrize(
    ("sizes", "total", "most"),
    [([1, 2, 3], 6, 6), ([1, 2, 30], 13, 10), ([10, 10], 9, 4), ([], 5, 5), ([100], 7, 7), ([0, 50, 50], 40, 20)],
)
def test_who_has_less_than_a_share_leaves_room_to_the_others(sizes: list[int], total: int, most: int) -> None:
    assert share(sizes, total) == most
    assert sum(min(size, most) for size in sizes) <= total
