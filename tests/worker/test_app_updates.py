"""Another set of applications in a worker: asked for, waited for, and followed by everybody."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from engine.app import App
from engine.app_manager import AppManager
from engine.webhooks.senders.registry import Senders
from engine.worker import app_updates as module
from engine.worker.app_updates import AppUpdates
from engine.worker.catch_up import CATCH_UP_S, CatchUp
from tests.webhooks.making import make_app, make_endpoint


class Connection:
    def __init__(self, app: App) -> None:
        self.app = app
        self.closing = False


class Hub:
    def __init__(self) -> None:
        self.here: list[Connection] = []

    def connections(self) -> list[Connection]:
        return list(self.here)


class Handlers:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def apply_app(self, connection: Connection, app: App) -> None:
        connection.app = app
        self.told.append(("apply_app", app.id))

    def orphan(self, connection: Connection, remains: App) -> None:
        connection.app = remains
        self.told.append(("orphan", remains.id))


class Watchlists:
    asked = 0

    def resync(self) -> None:
        self.asked += 1


class UpdatedWorker:
    def __init__(self, *apps: App) -> None:
        self.apps = AppManager(apps)
        self.hub, self.handlers, self.watchlists = Hub(), Handlers(), Watchlists()
        self.catch_up = CatchUp()
        self.app_updates = AppUpdates(
            self.apps,
            Senders(allow_private_targets=True),
            self.hub,  # type: ignore[arg-type]
            self.handlers,  # type: ignore[arg-type]
            self.watchlists,  # type: ignore[arg-type]
            self.catch_up,
        )


def an_app(app_id: str, **fields: Any) -> App:
    return dataclasses.replace(make_app(make_endpoint(), app_id=app_id), key=f"key-{app_id}", **fields)


async def test_connections_follow_their_application_and_no_other_is_touched() -> None:
    steady, changing, going = an_app("s"), an_app("c"), an_app("g")
    worker = UpdatedWorker(steady, changing, going)
    worker.hub.here = [Connection(app) for app in (steady, changing, going) for _ in range(1000)]
    newer = an_app("c", enabled=False)
    await worker.app_updates.replace([an_app("s"), newer])
    assert sorted(set(worker.handlers.told)) == [("apply_app", "c"), ("orphan", "g")]
    assert len(worker.handlers.told) == 2000
    assert [connection.app for connection in worker.hub.here[:2000:1000]] == [steady, newer]
    remains = worker.hub.here[-1].app
    assert (remains.enabled, remains.endpoints) == (False, ())
    worker.handlers.told.clear()
    await worker.app_updates.replace([an_app("s"), newer])
    assert worker.handlers.told == []


async def test_many_connections_leave_the_loop_to_others() -> None:
    worker = UpdatedWorker(an_app("1"))
    worker.hub.here = [Connection(worker.apps.all()[0]) for _ in range(5000)]
    following = asyncio.create_task(worker.app_updates.replace([an_app("1", enabled=False)]))
    turns = 0
    while not following.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 5000 / module.SLICE


async def test_whoever_watches_asks_again_when_watchlists_are_switched_on() -> None:
    worker = UpdatedWorker(an_app("1"))
    await worker.app_updates.replace([an_app("1"), an_app("2")])
    await worker.app_updates.replace([an_app("1", enabled=False), an_app("2")])
    assert worker.watchlists.asked == 0
    await worker.app_updates.replace([an_app("1", watchlist_events=True), an_app("2")])
    assert worker.watchlists.asked == 1


async def test_what_is_unknown_is_waited_for_until_the_next_set_comes() -> None:
    worker = UpdatedWorker(an_app("1"))
    waiting = asyncio.create_task(worker.catch_up.wait(["2"]))
    await asyncio.sleep(0)
    await worker.app_updates.replace([an_app("1"), an_app("2")])
    await asyncio.wait_for(waiting, CATCH_UP_S / 2)
