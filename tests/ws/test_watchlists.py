"""Watchlists of one worker: what is told when the store is slow, away, or had missed something."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest

from engine._fast.connection import Connection
from engine.adapter.local import LocalAdapter
from engine.errors import StoreUnavailable
from engine.history.memory import MemoryHistory
from engine.interfaces import Report, TotalChange
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_state import MemoryState
from engine.protocol.channel import user_channel, watch_channel
from engine.ws import watchlists
from engine.ws.watchlists import Watchlists
from tests._fast.pair import HubServer, Peer, hub_server
from tests.support.waiting import until
from tests.webhooks.making import make_app

ONLINE, OFFLINE = "online", "offline"


class FailingStore(MemoryOccupancy):
    """Can be out of reach, and answers only when it may."""

    there = True

    def __init__(self, cluster: MemoryState) -> None:
        super().__init__(cluster)
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked: list[list[str]] = []

    async def totals(self, app_id: str, channels: Sequence[str]) -> tuple[int, list[int]]:
        self.asked.append(list(channels))
        answer = await super().totals(app_id, channels)
        await self.may_answer.wait()
        if not self.there:
            raise StoreUnavailable("away")
        return answer


class WatchingWorker:
    def __init__(self, made: HubServer) -> None:
        self.server = made
        self.app = make_app(app_id="app")
        self.deaf = False
        self.cluster = MemoryState(lambda _: None, lambda: None, on_total_change=self._changed)
        self.store = FailingStore(self.cluster)
        self.watchlists = Watchlists(made.hub, LocalAdapter(made.hub, lambda *_: None, MemoryHistory()), self.store)

    async def sign_in(self, user: str, there: bool = True) -> None:
        """Somewhere else in the cluster, or the end of it."""
        self.cluster.report("other", [Report("app", user_channel(user), int(there), announced=True)])

    async def watcher(self, *users: str) -> tuple[Connection, Peer]:
        connection, peer = await self.server.connect()
        connection.app = self.app
        self.watchlists.watch(connection, users)
        return connection, peer

    def _changed(self, change: TotalChange) -> None:
        if not self.deaf:
            self.watchlists.changed(change)


@pytest.fixture
async def worker() -> AsyncIterator[WatchingWorker]:
    async with hub_server() as made:
        worker = WatchingWorker(made)
        worker.cluster.join("other")
        await worker.watchlists.start()
        try:
            yield worker
        finally:
            await worker.watchlists.stop()


async def heard(peer: Peer, count: int) -> list[list[tuple[str, list[str]]]]:
    await until(lambda: len(peer.texts) >= count)
    frames = [json.loads(json.loads(text)["data"])["events"] for text in peer.texts]
    return [[(event["name"], event["user_ids"]) for event in events] for events in frames]


async def test_a_change_while_the_store_is_asked_is_told_once(worker: WatchingWorker) -> None:
    worker.store.may_answer.clear()
    _, peer = await worker.watcher("ada", "bob")
    await until(lambda: worker.store.asked)
    # The answer under way is older than this.
    await worker.sign_in("ada")
    worker.store.may_answer.set()
    assert await heard(peer, 1) == [[(ONLINE, ["ada"]), (OFFLINE, ["bob"])]]
    await worker.sign_in("bob")
    assert (await heard(peer, 2))[1:] == [[(ONLINE, ["bob"])]]


async def test_a_user_watched_here_already_is_not_asked_about(worker: WatchingWorker) -> None:
    await worker.sign_in("ada")
    _, first = await worker.watcher("ada")
    await heard(first, 1)
    _, second = await worker.watcher("ada")
    assert await heard(second, 1) == [[(ONLINE, ["ada"])]]
    _, third = await worker.watcher("ada", "bob")
    assert await heard(third, 1) == [[(ONLINE, ["ada"]), (OFFLINE, ["bob"])]]
    assert worker.store.asked == [[user_channel("ada")], [user_channel("bob")]]


async def test_without_the_store_online_is_who_is_here_and_the_rest_is_told_later(
    worker: WatchingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchlists, "RETRY_S", 0.01)
    worker.store.there = False
    await worker.sign_in("ada")
    worker.server.hub.open("app", user_channel("bob"))
    _, peer = await worker.watcher("ada", "bob")
    assert await heard(peer, 1) == [[(ONLINE, ["bob"]), (OFFLINE, ["ada"])]]
    worker.store.there = True
    assert sorted((await heard(peer, 3))[1:]) == [[(OFFLINE, ["bob"])], [(ONLINE, ["ada"])]]


async def test_what_was_missed_is_told_by_asking_again(worker: WatchingWorker) -> None:
    await worker.sign_in("ada")
    _, peer = await worker.watcher("ada", "bob", "carol")
    await heard(peer, 1)
    worker.deaf = True
    await worker.sign_in("ada", there=False)
    await worker.sign_in("bob")
    worker.deaf = False
    worker.watchlists.resync()
    assert sorted((await heard(peer, 3))[1:]) == [[(OFFLINE, ["ada"])], [(ONLINE, ["bob"])]]


@pytest.mark.parametrize("answered", [False, True], ids=["while it waits", "later"])
async def test_nothing_is_kept_of_who_is_gone(worker: WatchingWorker, answered: bool) -> None:
    if not answered:
        worker.store.may_answer.clear()
    (one, peer), (two, _) = await worker.watcher("ada", "bob"), await worker.watcher("ada")
    if answered:
        await heard(peer, 1)
    await until(lambda: worker.store.asked)
    worker.watchlists.drop(one)
    assert worker.server.hub.channel("app", watch_channel("bob")) is None
    assert worker.server.hub.channel("app", watch_channel("ada")) is not None
    worker.watchlists.drop(two)
    assert worker.server.hub.channel("app", watch_channel("ada")) is None
    assert not worker.watchlists._watched
    worker.store.may_answer.set()
    await worker.sign_in("ada")
    _, peer = await worker.watcher("ada")
    assert await heard(peer, 1) == [[(ONLINE, ["ada"])]]
