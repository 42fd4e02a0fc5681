"""What only the Redis driver can get wrong: jobs in the commit, late and failing commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio

from engine.config.redis import RedisOptions
from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import MemberReport, Report
from engine.occupancy.declare_dead import declare_dead
from engine.occupancy.redis import RedisOccupancy
from tests.occupancy.clusters import InRedis
from tests.occupancy.stores import everything, held, opened, presence
from tests.support.valkey import ValkeyServer
from tests.support.waiting import PATIENCE_S

SETTLE_MS = 30_000


async def keys_of(cluster: InRedis) -> set[str]:
    base = cluster.keys.base
    return {key.decode().removeprefix(base) async for key in cluster.client.scan_iter(f"{cluster.name}*", 1000)}


async def test_commit_queues_jobs_in_order_or_nothing(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        queue = f"{cluster.name}-queue"
        jobs = [(queue, b"1"), (queue, b"2\x00\xff"), (queue, b"3")]
        await store.report("a", [presence(1)])
        told = (await store.due(10)).transitions
        assert not await store.commit("a", told, jobs)
        assert await cluster.client.llen(queue) == 0
        await store.acquire("a", 10_000)
        assert await store.commit("a", told, jobs)
        assert not await store.commit("a", told, jobs)
        assert await cluster.client.lrange(queue, 0, -1) == [b"1", b"2\x00\xff", b"3"]


async def test_commit_that_cannot_queue_takes_nothing(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        queue = f"{cluster.name}-queue"
        await cluster.client.set(queue, "not a list")
        await store.report("a", [presence(1)])
        await store.acquire("a", 10_000)
        told = (await store.due(10)).transitions
        with pytest.raises(StoreUnavailable):
            await store.commit("a", told, [(queue, b"1")])
        assert (await store.due(10)).transitions == told


async def test_nothing_is_left_behind(redis_url: str) -> None:
    """A cluster that everybody left holds no key but its clock, and what says that nothing settles."""
    async with opened(redis_url) as (cluster, store):
        await store.join("b")
        for name in ("a", "b"):
            members = (MemberReport("u", 1, "i", "1.1", "d"), MemberReport(name, 1))
            await store.report(
                name, [presence(2, *members, settle_ms=SETTLE_MS), Report("app", "#server-to-user-1", 1)]
            )
        await store.report("a", [presence(0, MemberReport("u", 0), MemberReport("a", 0), settle_ms=SETTLE_MS)])
        await store.report("a", [presence(1, MemberReport("u", 1), settle_ms=SETTLE_MS)])
        await store.join("last")
        await store.acquire("last", 60_000)
        for name in ("a", "b"):
            await store.leave(name)
            while await store.purge("last", name, everything, 2):
                pass
        await cluster.pass_ms(SETTLE_MS)
        assert await store.commit("last", (await store.due(100)).transitions, [])
        await store.leave("last")
        await store.acquire("x", 60_000)
        await store.purge("x", "last", everything, 2)
        await store.release("x")
        # Names and numbers of those who were undone are kept on purpose, and only so many of them.
        assert await keys_of(cluster) == {"reaped", "turns", "clock", "epoch", "life", "pending"}
        assert await cluster.client.hgetall(cluster.keys.base + "pending") == {b"": b"1"}


async def test_so_many_who_were_undone_are_remembered(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        reaped, turns = cluster.keys.base + "reaped", cluster.keys.base + "turns"
        await cluster.client.zadd(reaped, {f"old-{n}": n for n in range(10_000)})
        await cluster.client.hset(turns, mapping={f"old-{n}": 1 for n in range(10_000)})
        await store.report("a", [Report("app", "room", 1)])
        await store.leave("a")
        await store.acquire("leader", 60_000)
        while await store.purge("leader", "a", everything, 2):
            pass
        remembered = {b"a", *(b"old-%d" % n for n in range(1, 10_000))}
        assert set(await cluster.client.zrange(reaped, 0, -1)) == set(await cluster.client.hkeys(turns)) == remembered


class Recording(redis.asyncio.Redis):
    """Remembers the script calls that went out."""

    sent: list[tuple[Any, ...]]

    async def evalsha(self, *args: Any) -> Any:  # type: ignore[override]
        self.sent.append(args)
        return await super().evalsha(*args)


async def test_a_late_report_does_not_replace_a_newer_one(redis_url: str) -> None:
    """A report that timed out may still arrive, on a connection of its own, after the next one was applied."""
    async with opened(redis_url) as (cluster, _):
        client = Recording.from_url(redis_url)
        client.sent = []
        store = RedisOccupancy(client, f"{cluster.name}-key:", "", 10.0)
        await store.report("a", [Report("app", "room", 1)])
        late = client.sent[-1]
        await store.report("a", [Report("app", "room", 0), Report("app", "hall", 1)])
        assert await client.evalsha(*late) == 0
        assert await store.channels("app") == {"hall": 1}
        # The newest may be repeated by a client that lost the reply.
        assert await client.evalsha(*client.sent[-2]) == [0, 1]
        await client.aclose()


async def test_a_late_join_does_not_bring_back_who_was_undone(redis_url: str) -> None:
    """Else what a worker holds that goes on would be known to nobody: its name is, and so its heartbeats are taken."""
    async with opened(redis_url) as (cluster, _):
        client = Recording.from_url(redis_url)
        client.sent = []
        store = RedisOccupancy(client, f"{cluster.name}-key:", "", 10.0)
        await store.join("a")
        late = client.sent[-1]
        await store.report("a", [Report("app", "room", 1)])
        await store.leave("a")
        await store.join("leader")
        await store.acquire("leader", 60_000)
        while await store.purge("leader", "a", everything, 2):
            pass
        assert await client.evalsha(*late) == 0
        assert not await store.heartbeat("a")
        assert await store.channels("app") == {}
        await client.aclose()


@pytest.fixture
def own_server() -> Any:
    with ValkeyServer() as server:
        yield server


async def every_method(store: RedisOccupancy) -> list[str]:
    """Names of the methods that did not raise StoreUnavailable."""
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "join": lambda: store.join("a"),
        "heartbeat": lambda: store.heartbeat("a"),
        "leave": lambda: store.leave("a"),
        "report": lambda: store.report("a", [presence(1)]),
        "held": lambda: held(store, "a"),
        "channels": lambda: store.channels("app"),
        "counts": lambda: store.counts("app", ["room"]),
        "members": lambda: store.members("app", "room"),
        "acquire": lambda: store.acquire("a", 1000),
        "release": lambda: store.release("a"),
        "expired": lambda: store.expired(1000),
        "purge": lambda: store.purge("a", "b", everything, 1),
        "due": lambda: store.due(1),
        "commit": lambda: store.commit("a", [], []),
    }
    survived = []
    for name, call in calls.items():
        try:
            await call()
        except StoreUnavailable:
            continue
        survived.append(name)
    return survived


async def test_a_hung_or_dead_redis_is_unavailable_within_the_timeout(own_server: ValkeyServer) -> None:
    client = redis.asyncio.Redis.from_url(own_server.url)
    store, patient = (RedisOccupancy(client, "k:", "t:", timeout_s=each) for each in (0.05, 10))
    await patient.join("a")
    own_server.pause()
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await every_method(store) == []
    assert loop.time() - start < 14 * 0.5
    own_server.resume()
    await patient.join("b")
    assert [a.total for a in await patient.report("b", [Report("app", "hall", 1)])] == [1]
    own_server.kill()
    assert await every_method(store) == []
    await client.aclose()


async def test_a_replica_and_a_full_redis_are_unavailable_and_unchanged(own_server: ValkeyServer) -> None:
    client = redis.asyncio.Redis.from_url(own_server.url)
    store = RedisOccupancy(client, "k:", "t:", timeout_s=5)
    await store.join("a")
    await store.report("a", [Report("app", "hall", 1)])
    report = presence(2, MemberReport("u", 1, "i"))
    for make, undo in (
        (lambda: client.replicaof("127.0.0.1", 1), lambda: client.replicaof("NO", "ONE")),
        (lambda: client.config_set("maxmemory", "1mb"), lambda: client.config_set("maxmemory", "0")),
    ):
        await make()
        for call in (store.report("a", [report]), store.join("b"), store.acquire("a", 1000)):
            with pytest.raises(StoreUnavailable):
                await call
        assert await store.channels("app") == {"hall": 1}
        await undo()
    assert [a.total for a in await store.report("a", [report])] == [2]
    await client.aclose()


async def test_scripts_unknown_to_a_restarted_redis_are_sent_again(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        await cluster.client.script_flush()
        assert [a.total for a in await store.report("a", [presence(1)])] == [1]


async def test_after_a_flush_everybody_starts_anew_and_sequences_go_on(own_server: ValkeyServer) -> None:
    client = redis.asyncio.Redis.from_url(own_server.url)
    store = RedisOccupancy(client, "k:", "t:", timeout_s=5)
    await store.join("a")
    await store.report("a", [presence(1)])
    before = (await store.due(1)).transitions[0].seq
    await client.flushall()
    with pytest.raises(IncarnationGone):
        await store.report("a", [presence(1)])
    await store.join("a2")
    await store.report("a2", [presence(1)])
    assert (await store.due(1)).transitions[0].seq > before
    await client.aclose()


async def test_a_clock_that_stepped_back_delays_nothing(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        await store.report("a", [presence(1)])
        # A year ahead and back again: the sequence must go on from there, and what settles not wait for a year.
        await cluster.pass_ms(365 * 86_400_000)
        await store.report("a", [presence(0, settle_ms=20)])
        await store.report("a", [Report("app", "other", 1, watched=True)])
        async with asyncio.timeout(PATIENCE_S):
            while len((due := await store.due(10)).transitions) < 3:
                assert due.next_due_in_ms is not None
                assert due.next_due_in_ms <= 20
                await asyncio.sleep(due.next_due_in_ms / 1000)
        names = [(t.name, t.channel) for t in due.transitions if t.channel == "presence-x"]
        assert names == [("channel_occupied", "presence-x"), ("channel_vacated", "presence-x")]
        first, *_, last = sorted(due.transitions, key=lambda t: t.seq)
        assert last.seq - first.seq > 364 * 86_400_000_000
        assert abs(last.time_ms - first.time_ms) < 60_000


async def test_the_supervisor_declares_a_worker_dead(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        await store.join("b")
        await store.acquire("a", 60_000)
        declare_dead(RedisOptions.parse(redis_url), f"{cluster.name}-key:", cluster.topic_prefix, "a", 5.0)
        assert (await cluster.heard())[1] == 1
        assert await store.expired(10_000) == ["a"]
        assert await store.acquire("b", 1000)
        assert not await store.heartbeat("a")


def test_declaring_dead_without_redis_is_an_error_of_ours() -> None:
    with pytest.raises(StoreUnavailable):
        declare_dead(RedisOptions(path="/nonexistent"), "k:", "t:", "a", 1.0)
