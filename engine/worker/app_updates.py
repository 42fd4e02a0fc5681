"""Another set of applications becomes that of a running worker, and each is applied to its connections.

The set comes from SIGHUP or from the database. Connections of applications that stay as they are notice nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from engine._fast.hub import Hub
from engine.app import App
from engine.app_manager import AppManager, Changes
from engine.webhooks.senders.registry import Senders
from engine.worker.catch_up import CatchUp
from engine.ws.handlers import Handlers
from engine.ws.watchlists import Watchlists

#: Connections looked at between two turns of the event loop; some are closed.
SLICE = 200


class AppUpdates:
    """:param catch_up: called with each set that differs from the one before."""

    def __init__(
        self,
        apps: AppManager,
        senders: Senders,
        hub: Hub,
        handlers: Handlers,
        watchlists: Watchlists,
        catch_up: CatchUp,
    ) -> None:
        self._apps = apps
        self._senders = senders
        self._hub = hub
        self._handlers = handlers
        self._watchlists = watchlists
        self._catch_up = catch_up
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Make ready what the first applications need."""
        await self._senders.prepare(self._apps.all())

    async def stop(self) -> None:
        """Nothing of it goes on by itself."""

    async def replace(self, apps: Sequence[App]) -> Changes:
        """Know these applications and no others; returns when it is applied to every connection."""
        async with self._turn:
            await self._senders.prepare(apps)
            changes = self._apps.replace(apps)
            if changes:
                self._catch_up.replaced()
                await self._apply_apps()
            if any(new.watchlist_events and not old.watchlist_events for old, new in changes.changed):
                # No webhook was emitted for who came and went while they were off.
                self._watchlists.resync()
            return changes

    async def _apply_apps(self) -> None:
        """In slices; a client that connects meanwhile has the new applications already."""
        remains: dict[str, App] = {}
        connections = self._hub.connections()
        for at in range(0, len(connections), SLICE):
            for connection in connections[at : at + SLICE]:
                before = connection.app
                app = self._apps.by_id(before.id)
                if app is not None and app is not before:
                    self._handlers.apply_app(connection, app)
                elif app is None and before is not remains.get(before.id):
                    # No webhook is left to emit the end to.
                    gone = remains.setdefault(before.id, dataclasses.replace(before, enabled=False, endpoints=()))
                    self._handlers.orphan(connection, gone)
            await asyncio.sleep(0)
