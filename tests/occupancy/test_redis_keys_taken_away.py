"""Somebody else deletes or overwrites a key of the shared state: all comes right, and what is told ends as it is."""

from __future__ import annotations

import functools
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import MemberReport, Report
from engine.occupancy.redis import RedisOccupancy
from tests.occupancy.clusters import InRedis
from tests.occupancy.stores import everything, held, opened, presence
from tests.support.stories import read

SETTLE_MS = 30_000
KEYS = [
    *("channels:app", "internal:app", "members:app/presence-x", "worker:a", "worker-members:a", "worker:b"),
    *(
        "worker-members:b",
        "transitions",
        "pending",
        "workers",
        "turns",
        "purging",
        "epoch",
        "clock",
        "counts",
        "reaped",
    ),
]
GONE = {
    "deleted": lambda client, key: client.delete(key),
    "of another type": lambda client, key: client.set(key, "x"),
}
LASTING = {"reaped", "turns", "clock", "epoch", "life", "pending", "lease", "workers"}


class Worker:
    """As the reporter goes about it: reports what changes, and all that it holds as soon as the epoch is another."""

    def __init__(self, cluster: InRedis, name: str) -> None:
        self._stem, self._lives = name, 0
        self.store: RedisOccupancy = cluster.store()
        self.name = name
        self.epoch = ""
        self.users: set[str] = set()

    async def set(self, *users: str) -> None:
        gone, self.users = self.users - {*users}, {*users}
        await self.say(gone)

    async def say(self, gone: Collection[str] = ()) -> None:
        here = [MemberReport(user, 1, f"info {user}", since_us=1) for user in sorted(self.users)]
        left = [MemberReport(user, 0) for user in sorted(gone)]
        mine = presence(len(self.users), *here, *left, settle_ms=SETTLE_MS)
        await self.store.report(
            self.name, [replace(mine, counted=True), Report("app", "#server-to-user-1", len(self.users))]
        )

    async def beat(self) -> None:
        """A heartbeat, and now and then what the reconciler does."""
        if not self.epoch or not await self.store.heartbeat(self.name):
            self._lives += 1
            self.name = f"{self._stem}{self._lives}" if self.epoch else self.name
            self.epoch = await self.store.join(self.name)
            await self.say()
        if self.store.epoch != self.epoch:
            self.epoch = self.store.epoch
            await self.say()
        facts = await held(self.store, self.name)
        wanted = {("app", "presence-x", user): 1 for user in self.users}
        if self.users:
            wanted |= {
                ("app", "presence-x", None): len(self.users),
                ("app", "#server-to-user-1", None): len(self.users),
            }
        if facts != wanted:
            await self.say({user for _, _, user in facts if user} - self.users)


async def audit(leader: Worker) -> None:
    assert await leader.store.acquire("leader", 60_000)
    for _ in range(3):
        await leader.store.audit("leader", ["app"], everything, 100)
    for name in await leader.store.expired(10**9):
        while await leader.store.purge("leader", name, everything, 100):
            continue


async def tell(cluster: InRedis, leader: Worker, told: list[dict[str, Any]]) -> None:
    """Once all has settled."""
    await cluster.pass_ms(SETTLE_MS)
    assert await leader.store.acquire("leader", 60_000)
    while due := (await leader.store.due(100)).transitions:
        assert await leader.store.commit("leader", due, [])
        told += [{"name": t.name, "channel": t.channel, "user_id": t.user_id, "seq": t.seq} for t in due]


@pytest.mark.parametrize("how", GONE)
@pytest.mark.parametrize("key", KEYS)
async def test_all_comes_right_whatever_key_others_take_away(redis_url: str, key: str, how: str) -> None:
    chance = random.Random(f"{key} {how}")
    grows = key != "clock"
    told: list[dict[str, Any]] = []
    async with opened(redis_url) as (cluster, _):
        a, b = Worker(cluster, "a"), Worker(cluster, "b")
        for worker in (a, b):
            await worker.beat()
        await a.set("u", "v")
        await b.set("u")
        await tell(cluster, b, told)
        # One departure is settling.
        await a.set("u")
        await GONE[how](cluster.client, cluster.keys.base + key)
        steps: list[Callable[[], Awaitable[None]]] = [
            a.set,
            functools.partial(b.set, "u", "w"),
            functools.partial(b.set, "w", "v"),
            functools.partial(audit, b),
            a.beat,
            b.beat,
        ]
        for step in chance.sample(steps, k=len(steps)):
            try:
                await step()
            except (IncarnationGone, StoreUnavailable):
                # The reporter takes another name, or waits and tries again.
                await a.beat()
                await b.beat()
                await step()
        for _ in range(3):
            await audit(b)
            await a.beat()
            await b.beat()
        await tell(cluster, b, told)
        here = {user: f"info {user}" for user in a.users | b.users}
        total = len(a.users) + len(b.users)
        assert await b.store.counts("app", ["presence-x"]) == [(total, len(here))]
        assert (await b.store.totals("app", ["#server-to-user-1"]))[1] == [total]
        assert await b.store.members("app", "presence-x") == here
        belief, faults = read(told, repeats=True, grows=grows)
        assert not faults
        assert belief.occupied == {"presence-x"}
        assert belief.members == {"presence-x": {*here}}

        for worker in (a, b):
            await worker.set()
        await tell(cluster, b, told)
        belief, faults = read(told, repeats=True, grows=grows)
        assert not faults
        assert not belief.occupied
        assert not belief.members["presence-x"]
        await audit(b)
        base = cluster.keys.base
        left = {name.decode().removeprefix(base) async for name in cluster.client.scan_iter(f"{base}*", 1000)}
        assert left <= LASTING
        assert (await cluster.client.hgetall(base + "pending")).keys() <= {b""}


async def test_what_was_tampered_with_is_counted_and_said_once(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(redis_url) as (cluster, _):
        a = Worker(cluster, "a")
        await a.beat()
        await a.set("u", "v")
        for _ in range(2):
            await audit(a)
            assert cluster.metrics.value("occupancy_tampered_keys_total") == 0
        for n in range(2):
            await cluster.client.set(cluster.keys.members("app", "presence-x"), "x")
            await audit(a)
            await a.beat()
            assert cluster.metrics.value("occupancy_tampered_keys_total") > n
            assert await a.store.members("app", "presence-x") == {"u": "info u", "v": "info v"}
    assert [record.message for record in caplog.records if "(members)" in record.message] == [
        f"somebody else has deleted or overwritten keys of the shared state (members); they are restored from what"
        f" workers hold. Give the engine a Redis or a prefix of its own (keys under {cluster.keys.base} are its own),"
        " with maxmemory-policy noeviction"
    ]
