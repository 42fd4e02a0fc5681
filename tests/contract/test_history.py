"""The contract of `HistoryStore` and of the adapter that fills it, run on every driver, and the bounds of each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from engine._fast.frame import payload_of, text_frame
from engine._fast.hub import Hub
from engine._fast.queues import FlushQueue
from engine.adapter.local import LocalAdapter
from engine.app import Retention
from engine.history.memory import MemoryHistory
from engine.history.redis import RedisHistory, streams_of_topics
from engine.interfaces import Adapter, Bounds, HistoryStore, Message, PageQuery, ReplayQuery
from engine.redis.pool import connect
from tests.adapter.workers import workers_on
from tests.contract.conftest import redis_options

MUCH = Retention(count=100, window_ms=60_000, bytes=1 << 20)
ALL = ReplayQuery()
NO_LIMIT = 1 << 30


@dataclass
class Made:
    """A store, the adapter that fills it, and a channel that nobody else uses."""

    store: HistoryStore
    adapter: Adapter
    app_id: str = "1"
    channel: str = "room"

    async def publish(self, *data: str, retention: Retention = MUCH, channel: str = "") -> None:
        channel = channel or self.channel
        frames = [text_frame(json.dumps({"event": "e", "channel": channel, "data": each}).encode()) for each in data]
        await self.adapter.publish([Message(self.app_id, channel, frame, "", retention) for frame in frames])

    async def kept(self, query: ReplayQuery = ALL, retention: Retention = MUCH, max_bytes: int = NO_LIMIT) -> list[str]:
        found = await self.store.replay(self.app_id, self.channel, retention, query, max_bytes)
        return [data_of(each.payload) for each in found.events]

    async def page(self, query: PageQuery, retention: Retention = MUCH) -> tuple[list[int], bool]:
        found = await self.store.page(self.app_id, self.channel, retention, query)
        return [each.serial for each in found.items], found.has_more


def data_of(frame: bytes) -> str:
    found = json.loads(payload_of(frame))["data"]
    assert isinstance(found, str)
    return found


@pytest.fixture(params=["memory", "redis", "redis-cluster"])
async def made(request: pytest.FixtureRequest) -> AsyncIterator[Made]:
    """Every driver in turn."""
    options = redis_options(request)
    if options is None:
        history = MemoryHistory()
        hub = Hub(FlushQueue(lambda callback: None, 1 << 20))
        yield Made(history, LocalAdapter(hub, lambda *_: None, history))
        return
    async with workers_on(options, count=1) as (worker,), aclosing(connect(options)) as client:
        yield Made(
            RedisHistory(client, streams_of_topics(worker.prefix, worker.prefix, worker.adapter.life_of)),
            worker.adapter,
        )


async def test_an_answered_publish_is_kept_in_order(made: Made) -> None:
    assert await made.kept() == []
    await made.publish("a", "b")
    await made.publish("c ☃ \u0000")
    assert await made.kept() == ["a", "b", "c ☃ \u0000"]
    found = await made.store.inspect("1", "room", MUCH)
    assert (found.serial, found.first, found.count) == (3, 1, 3)
    assert len(found.id) == 32 and found.gone_ms == found.broken_ms == 0
    assert found.first_ms <= found.last_ms <= found.now_ms
    assert found.bytes == sum(
        len(each.payload) for each in (await made.store.page("1", "room", MUCH, PageQuery(9))).items
    )


async def test_channels_and_apps_do_not_see_each_other(made: Made) -> None:
    await made.publish("a")
    await made.publish("b", channel="room2")
    other = replace(made, app_id="2")
    await other.publish("c")
    assert (await made.kept(), await other.kept()) == (["a"], ["c"])
    assert await replace(made, channel="room2").kept() == ["b"]
    assert (await made.store.inspect("1", "nowhere", MUCH)).id == ""


async def test_the_oldest_go_by_number(made: Made) -> None:
    few = replace(MUCH, count=3)
    for n in range(10):
        await made.publish(str(n), retention=few)
    assert await made.kept(retention=few) == ["7", "8", "9"]
    found = await made.store.inspect("1", "room", few)
    assert (found.serial, found.first, found.count) == (10, 8, 3)
    assert 0 < found.gone_ms <= found.first_ms


async def test_the_oldest_go_by_size_but_the_newest_stays(made: Made) -> None:
    little = replace(MUCH, bytes=1000)
    for n in range(5):
        await made.publish(f"{n}" + "x" * 300, retention=little)
    kept = [each[0] for each in await made.kept(retention=little)]
    assert kept == ["3", "4"] or kept == ["2", "3", "4"]
    assert (await made.store.inspect("1", "room", little)).bytes <= 1000
    await made.publish("y" * 5000, retention=little)
    assert await made.kept(retention=little) == ["y" * 5000]
    assert (await made.store.inspect("1", "room", little)).count == 1


async def test_a_smaller_retention_is_in_force_at_once(made: Made) -> None:
    await made.publish(*map(str, range(9)))
    assert await made.kept(retention=replace(MUCH, count=2)) == ["7", "8"]


async def test_what_is_too_old_is_not_there(made: Made) -> None:
    await made.publish("a", "b")
    last_ms = (await made.store.inspect("1", "room", MUCH)).last_ms
    short = replace(MUCH, window_ms=1)
    found = await made.store.inspect("1", "room", short)
    while found.now_ms <= last_ms + 1:
        found = await made.store.inspect("1", "room", short)
    assert await made.kept(retention=short) == []
    found = await made.store.inspect("1", "room", short)
    assert (found.serial, found.count, found.bytes, found.gone_ms) == (2, 0, 0, last_ms)


@pytest.mark.parametrize("looked", [True, False], ids=["looked at", "unseen"])
async def test_what_has_expired_as_a_whole_was_there(made: Made, looked: bool) -> None:
    """A silence longer than the window: nobody removed the events one by one, and they are missing all the same."""
    short = replace(MUCH, window_ms=1)
    await made.publish("a", "b", retention=short)
    last_ms = (await made.store.inspect("1", "room", MUCH)).last_ms
    while (await made.store.inspect("1", "nowhere", short)).now_ms <= last_ms + 1:
        pass
    if looked:
        found = await made.store.inspect("1", "room", short)
        assert (found.serial, found.first, found.gone_ms) == (2, 3, last_ms)
    await made.publish("c", retention=short)
    found = await made.store.inspect("1", "room", MUCH)
    # By now "c" may have expired too.
    assert found.serial == 3 and found.first >= 3 and found.gone_ms >= last_ms


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ReplayQuery(count=3), [197, 198, 199]),
        (ReplayQuery(after=195), [195, 196, 197, 198, 199]),
        (ReplayQuery(after=195, count=2), [198, 199]),
        (ReplayQuery(after=200), []),
        (ReplayQuery(after=5000), []),
        (ReplayQuery(window_ms=60_000, count=1), [199]),
        (ReplayQuery(after_ms=1), list(range(100, 200))),
        (ReplayQuery(after_ms=10**14), []),
        (ReplayQuery(after=50), list(range(100, 200))),
    ],
    ids=str,
)
async def test_a_replay_has_the_newest_within_all_bounds(made: Made, query: ReplayQuery, expected: list[int]) -> None:
    await made.publish(*map(str, range(200)))
    assert await made.kept(query) == list(map(str, expected))
    found = await made.store.replay("1", "room", MUCH, query, NO_LIMIT)
    assert found.cut == bool(query.count)
    assert [each.serial for each in found.events] == [n + 1 for n in expected]


async def test_a_replay_is_bounded_by_bytes(made: Made) -> None:
    await made.publish(*(f"{n}" * 100 for n in range(9)))
    size = len((await made.store.replay("1", "room", MUCH, ReplayQuery(count=1), NO_LIMIT)).events[0].payload)
    assert [each[0] for each in await made.kept(max_bytes=3 * size)] == ["6", "7", "8"]
    assert (await made.store.replay("1", "room", MUCH, ALL, 3 * size)).cut
    assert not (await made.store.replay("1", "room", MUCH, ALL, 9 * size)).cut
    assert len(await made.kept(max_bytes=1)) == 1  # rather one too long than none


async def test_pages_in_both_directions(made: Made) -> None:
    await made.publish(*map(str, range(150)))
    pages: list[int] = []
    after, more = None, True
    while more:
        found, more = await made.page(PageQuery(limit=40, newest_first=False, after=after))
        pages += found
        after = found[-1]
    assert pages == list(range(51, 151))
    newest, more = await made.page(PageQuery(limit=70))
    assert (newest, more) == (list(range(150, 80, -1)), True)
    assert await made.page(PageQuery(limit=70, after=newest[-1])) == (list(range(80, 50, -1)), False)
    assert await made.page(PageQuery(limit=0)) == ([], True)


async def test_pages_within_bounds(made: Made) -> None:
    await made.publish(*map(str, range(100)))
    assert await made.page(PageQuery(9, False, Bounds(start_serial=98))) == ([98, 99, 100], False)
    assert await made.page(PageQuery(9, False, Bounds(start_serial=98, end_serial=99))) == ([98, 99], False)
    assert await made.page(PageQuery(1, True, Bounds(end_serial=2))) == ([2], True)
    assert await made.page(PageQuery(9, True, Bounds(start_serial=101))) == ([], False)
    items = (await made.store.page("1", "room", MUCH, PageQuery(100, False))).items
    middle = items[50].time_ms
    later = [each.serial for each in items if each.time_ms >= middle]
    until = [each.serial for each in items if each.time_ms <= middle]
    assert (await made.page(PageQuery(100, False, Bounds(start_time_ms=middle))))[0] == later
    assert (await made.page(PageQuery(100, False, Bounds(end_time_ms=middle))))[0] == until
    assert await made.page(PageQuery(9, False, Bounds(start_time_ms=10**14))) == ([], False)
    assert await made.page(PageQuery(9, False, Bounds(end_time_ms=1))) == ([], False)


async def test_a_page_is_bounded_by_bytes(made: Made) -> None:
    await made.publish(*("x" * 1000 for _ in range(9)))
    found, more = await made.page(PageQuery(9, False, max_bytes=2500))
    assert (found, more) == ([1, 2], True)
    assert await made.page(PageQuery(9, False, max_bytes=1)) == ([1], True)


async def test_a_reset_begins_another_stream(made: Made) -> None:
    await made.publish("a", "b")
    before = await made.store.inspect("1", "room", MUCH)
    done = await made.store.reset("1", "room", MUCH)
    assert (done.before, done.count, done.bytes) == (before.id, 2, before.bytes)
    assert done.stream.id not in ("", before.id)
    assert (done.stream.serial, done.stream.count, done.stream.gone_ms) == (0, 0, before.last_ms)
    await made.publish("c")
    assert await made.kept() == ["c"]
    after = await made.store.inspect("1", "room", MUCH)
    assert (after.id, after.serial) == (done.stream.id, 1)


async def test_purging(made: Made) -> None:
    assert (await made.store.purge("1", "room", MUCH, None, None)).count == 0
    await made.publish(*map(str, range(9)))
    before = await made.store.inspect("1", "room", MUCH)
    done = await made.store.purge("1", "room", MUCH, 4, None)
    assert (done.count, done.before, done.stream.first) == (3, before.id, 4)
    assert done.bytes == before.bytes - done.stream.bytes > 0
    assert (await made.store.purge("1", "room", MUCH, None, before.first_ms)).count == 0
    assert await made.kept() == list(map(str, range(3, 9)))
    assert (await made.store.purge("1", "room", MUCH, None, 10**14)).count == 6
    found = await made.store.inspect("1", "room", MUCH)
    assert (found.id, found.serial, found.count, found.bytes) == (before.id, 9, 0, 0)
    await made.publish("x")
    assert await made.kept() == ["x"]
    assert (await made.store.purge("1", "room", MUCH, None, None)).count == 1


# --- memory


@asynccontextmanager
async def _memory(max_bytes: int, now_ms: Callable[[], int]) -> AsyncIterator[Made]:
    history = MemoryHistory(now_ms, max_bytes)
    yield Made(history, LocalAdapter(Hub(FlushQueue(lambda callback: None, 1 << 20)), lambda *_: None, history))


async def test_memory_is_bounded_whatever_the_rules_say() -> None:
    async with _memory(100_000, lambda: 1000) as made:
        for n in range(300):
            await made.publish("x" * 1000, channel=f"room-{n}")
        kept = [n for n in range(300) if (await made.store.inspect("1", f"room-{n}", MUCH)).count]
        assert kept == list(range(300 - len(kept), 300)) and 70 < len(kept) < 100


async def test_memory_forgets_channels_that_are_silent() -> None:
    now = [1000]
    async with _memory(1 << 30, lambda: now[0]) as made:
        await made.publish("x")
        now[0] += 2 * MUCH.window_ms + 1
        await made.publish("x", channel="other")
        assert (await made.store.inspect("1", "room", MUCH)).id == ""
        assert (await made.store.inspect("1", "other", MUCH)).count == 1
