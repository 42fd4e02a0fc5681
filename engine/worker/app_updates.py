"""Another set of applications becomes that of a running worker, and every connection follows its application.

Called with what SIGHUP or the database brought. Connections of applications that stay as they are notice nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Collection, Sequence

from engine._fast.hub import Hub
from engine.app import App
from engine.apps.registry import Changes, MemoryAppManager
from engine.webhooks.senders.registry import Senders
from engine.ws.handlers import Handlers
from engine.ws.watchlists import Watchlists

#: Connections looked at between two turns of the event loop; some are closed.
SLICE = 200
#: What something unknown is waited for, when another worker may have heard of it first.
CATCH_UP_S = 1.0
#: It is waited for again only so much later: a read of the database costs others nothing, a wait for the supervisor
#: holds up their webhooks.
READ_AGAIN_S = 1.0
WAIT_AGAIN_S = 10.0
#: Unknown names remembered for that.
MAX_UNKNOWN = 10_000


class Changeover:
    """:ivar refresh: asks the database for the newest; None where another set comes from the supervisor."""

    def __init__(self, apps: MemoryAppManager, senders: Senders) -> None:
        self._apps = apps
        self._senders = senders
        self._turn = asyncio.Lock()
        self._replaced = asyncio.Event()
        #: What was waited for in vain, and when it may be again.
        self._unknown: dict[str, float] = {}
        self.refresh: Callable[[], Awaitable[None]] | None = None

    def connect(self, hub: Hub, handlers: Handlers, watchlists: Watchlists) -> None:
        """Whom it works on; they are built after those who ask it to catch up."""
        self._hub, self._handlers, self._watchlists = hub, handlers, watchlists

    async def start(self) -> None:
        """Make ready what the first applications need."""
        await self._senders.prepare(self._apps.all())

    async def stop(self) -> None:
        """Nothing of it goes on by itself."""

    async def replace(self, apps: Sequence[App]) -> Changes:
        """Know these applications and no others; returns when every connection has followed."""
        async with self._turn:
            await self._senders.prepare(apps)
            changes = self._apps.replace(apps)
            if changes:
                self._unknown.clear()
                self._replaced.set()
                self._replaced.clear()  # it wakes those who wait now, and nobody later
                await self._follow()
            if any(new.watchlist_events and not old.watchlist_events for old, new in changes.changed):
                # Nobody was told who came and went while they were off.
                self._watchlists.resync()
            return changes

    async def catch_up(self, names: Collection[str]) -> None:
        """Something names applications or webhooks that are unknown here; another worker may have heard of them first.

        Returns when what is known is as new as can be had, soon in any case; at once when none of the names is new."""
        loop = asyncio.get_running_loop()
        if all(self._unknown.get(name, 0.0) > loop.time() for name in names):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_S):
                await (self._replaced.wait() if self.refresh is None else self.refresh())
        if len(self._unknown) + len(names) > MAX_UNKNOWN:
            self._unknown.clear()
        again_at = loop.time() + (WAIT_AGAIN_S if self.refresh is None else READ_AGAIN_S)
        self._unknown |= dict.fromkeys(names, again_at)

    async def _follow(self) -> None:
        """In slices; whoever connects meanwhile has the new applications already."""
        remains: dict[str, App] = {}
        connections = self._hub.connections()
        for at in range(0, len(connections), SLICE):
            for connection in connections[at : at + SLICE]:
                before: App = connection.app
                app = self._apps.by_id(before.id)
                if app is not None and app is not before:
                    self._handlers.follow(connection, app)
                elif app is None and before is not remains.get(before.id):
                    # No webhook is left that could be told of the end.
                    gone = remains.setdefault(before.id, dataclasses.replace(before, enabled=False, endpoints=()))
                    self._handlers.forsake(connection, gone)
            await asyncio.sleep(0)
