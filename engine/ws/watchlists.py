"""Watchlists: a signed-in connection hears which users of its list come online and go offline (docs/protocol.md 4.4).

A watcher is a subscriber of each watched user's `#watch-` channel, on which the occupancy store announces that user's
coming and going. Never asks about a user whom this worker watches already.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine._fast.hub import Channel, Hub, Pending
from engine.errors import StoreUnavailable
from engine.interfaces import Adapter, OccupancyStore, TotalChange
from engine.protocol import messages
from engine.protocol.channel import WATCH_PREFIX, user_channel, watch_channel
from engine.tasks import cancel, spawn

#: Users asked about at once, and the pause after an answer that did not come.
MAX_ASKED = 500
RETRY_S = 1.0


class _Watched:
    """One user whom some connection of this worker watches.

    `online` is None until the store has said so; `version` is that of the last word.
    """

    __slots__ = ("channel", "online", "user_id", "version", "waiting")

    def __init__(self, channel: Channel, user_id: str) -> None:
        self.channel = channel
        self.user_id = user_id
        self.online: bool | None = None
        self.version = 0
        self.waiting: list[_Watcher] = []


class _Watcher:
    """A connection between its sign-in and its first frame; `unknown` users are still being asked about."""

    __slots__ = ("connection", "list", "unknown")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.list: list[tuple[_Watched, Pending]] = []
        self.unknown = 0


class Watchlists:
    """Who of this worker's connections watches whom."""

    def __init__(self, hub: Hub, adapter: Adapter, store: OccupancyStore) -> None:
        self._hub = hub
        self._adapter = adapter
        self._store = store
        #: (app id, `#watch-` channel) -> the user.
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._waiting: dict[Connection, _Watcher] = {}
        self._unasked: dict[_Watched, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = spawn(self._run(), "watchlists")

    async def stop(self) -> None:
        await cancel(self._task)

    def watch(self, connection: Connection, user_ids: Sequence[str]) -> None:
        """Notify the connection of who of these is online now, and from then on of every change."""
        watcher = self._waiting[connection] = _Watcher(connection)
        for user_id in user_ids:
            watched = self._open(connection.app.id, user_id)
            watcher.list.append((watched, Pending(watched.channel, connection)))
            if watched.online is None:
                watched.waiting.append(watcher)
                watcher.unknown += 1
        if not watcher.unknown:
            self._begin(watcher)

    def drop(self, connection: Connection) -> None:
        """The connection is gone."""
        watcher = self._waiting.pop(connection, None)
        if watcher is not None:
            for watched, pending in watcher.list:
                pending.cancel()
                if watcher in watched.waiting:
                    watched.waiting.remove(watcher)
                self._close_if_empty(watched.channel)
        for channel in self._hub.channels_of(connection):
            if channel.name.startswith(WATCH_PREFIX):
                self._hub.leave(connection, channel)
                self._close_if_empty(channel)

    def changed(self, change: TotalChange) -> None:
        """A watched user came or went, somewhere in the cluster."""
        watched = self._watched.get((change.app_id, change.channel))
        if watched is not None and change.version > watched.version:
            self._learn(watched, change.version, change.total > 0)

    def resync(self) -> None:
        """Changes may have been missed: ask about everybody again."""
        self._unasked.update(dict.fromkeys(self._watched.values()))
        self._wake.set()

    # --- the channels

    def _open(self, app_id: str, user_id: str) -> _Watched:
        name = watch_channel(user_id)
        watched = self._watched.get((app_id, name))
        if watched is None:
            watched = self._watched[app_id, name] = _Watched(self._hub.open(app_id, name), user_id)
            # Asked only once changes are heard, so that none falls in between.
            self._adapter.subscribe(app_id, name, functools.partial(self._ask, watched))
        return watched

    def _close_if_empty(self, channel: Channel) -> None:
        if self._hub.close_if_empty(channel):
            watched = self._watched.pop((channel.app_id, channel.name), None)
            if watched is not None:
                self._unasked.pop(watched, None)
            self._adapter.unsubscribe(channel.app_id, channel.name)

    # --- what is known

    def _ask(self, watched: _Watched, _: bool) -> None:
        if self._watched.get((watched.channel.app_id, watched.channel.name)) is watched:
            self._unasked[watched] = None
            self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unasked:
                first = next(iter(self._unasked)).channel.app_id
                asked = [watched for watched in self._unasked if watched.channel.app_id == first][:MAX_ASKED]
                try:
                    await self._look_up(first, asked)
                except StoreUnavailable:
                    self._learn_here(asked)
                    await asyncio.sleep(RETRY_S)

    async def _look_up(self, app_id: str, asked: Sequence[_Watched]) -> None:
        version, totals = await self._store.totals(app_id, [user_channel(watched.user_id) for watched in asked])
        for watched, total in zip(asked, totals, strict=True):
            self._unasked.pop(watched, None)
            if version >= watched.version:
                self._learn(watched, version, total > 0)

    def _learn_here(self, asked: Sequence[_Watched]) -> None:
        """Nobody answers: for now, online is who is signed in on this worker."""
        for watched in asked:
            if watched.online is None:
                here = self._hub.channel(watched.channel.app_id, user_channel(watched.user_id))
                self._learn(watched, 0, here is not None)

    def _learn(self, watched: _Watched, version: int, online: bool) -> None:
        known, watched.online, watched.version = watched.online, online, version
        if known is None:
            waiting, watched.waiting = watched.waiting, []
            for watcher in waiting:
                watcher.unknown -= 1
                if not watcher.unknown:
                    self._begin(watcher)
        elif known != online:
            # Watchers that have not begun yet will read it in their first frame.
            watched.channel.broadcast(_frame([watched]), None, max(1, version))

    def _begin(self, watcher: _Watcher) -> None:
        """The first frame, and everything after it."""
        del self._waiting[watcher.connection]
        watcher.connection.send(_frame([watched for watched, _ in watcher.list]))
        for watched, pending in watcher.list:
            pending.activate(max(1, watched.version), [])


def _frame(users: Sequence[_Watched]) -> bytes:
    online = [watched.user_id for watched in users if watched.online]
    return text_frame(messages.watchlist_events(online, [w.user_id for w in users if not w.online]))
