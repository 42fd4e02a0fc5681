"""The stream of what happens in an application, from all workers of this node, and events that the operator makes.

Keeps nothing: what the browser does not take in time is dropped and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from engine.console.audit import audit
from engine.console.known_apps import KnownApps
from engine.console.workers import Workers, watch
from engine.errors import ApiError
from engine.tasks import cancel

#: Between two looks at who there is to watch, and between two pieces for the browser.
LOOK_S, PIECE_S = 1.0, 0.2
#: Events that wait for the browser.
MAX_WAITING = 2_000


class Events:
    """Answers for `GET /api/events` and `POST /api/publish`."""

    def __init__(self, apps: KnownApps, workers: Workers) -> None:
        self._apps = apps
        self._workers = workers

    async def publish(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Publish `event` with `data` to `channel`, under the application's own limits."""
        app = await self._apps.find(asked)
        channel, event, data = (asked.get(name) for name in ("channel", "event", "data"))
        if not isinstance(channel, str) or not isinstance(event, str) or not isinstance(data, str):
            raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", "channel, event and data must be texts")
        await self._workers.ask("publish", changes=True, app=app.id, channels=[channel], event=event, data=data)
        audit(f"an event was published to app {app.id}")
        return {}

    async def listen(self, asked: dict[str, Any]) -> AsyncIterator[bytes]:
        """What happens, as a JSON list in each piece; also, whenever it changes, how many workers are watched."""
        app_id = str(asked.get("app", ""))
        stream = _Stream(app_id)
        try:
            while True:
                stream.look(self._workers.sockets)
                if piece := stream.take():
                    yield orjson.dumps(piece)
                await stream.wait()
        finally:
            await stream.stop()


class _Stream:
    """One browser's."""

    def __init__(self, app_id: str) -> None:
        self._app_id = app_id
        self._watching: dict[Path, asyncio.Task[None]] = {}
        #: Workers that have said that they tell.
        self._live: set[Path] = set()
        self._waiting: list[dict[str, Any]] = []
        self._dropped = 0
        self._workers = -1
        self._looked_at = 0.0

    def look(self, sockets: list[Path]) -> None:
        """Watch those workers that are not watched yet."""
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        self._looked_at = time.monotonic()
        for path in sockets:
            if path not in self._watching or self._watching[path].done():
                self._watching[path] = asyncio.create_task(self._watch(path), name="console-watch")

    def take(self) -> list[dict[str, Any]]:
        taken, self._waiting = self._waiting, []
        taken.sort(key=lambda event: event["time_ms"])
        if len(self._live) != self._workers:
            self._workers = len(self._live)
            taken.insert(0, _told("watching", workers=self._workers))
        if self._dropped:
            taken.append(_told("dropped", number=self._dropped))
            self._dropped = 0
        return taken

    async def wait(self) -> None:
        """Some events in one piece are easier on a browser."""
        await asyncio.sleep(PIECE_S)

    async def stop(self) -> None:
        for task in self._watching.values():
            await cancel(task)

    async def _watch(self, path: Path) -> None:
        try:
            await watch(path, self._app_id, partial(self._on_events, path))
        finally:
            self._live.discard(path)

    def _on_events(self, path: Path, events: list[dict[str, Any]]) -> None:
        self._live.add(path)
        room = MAX_WAITING - len(self._waiting)
        self._waiting += events[:room]
        self._dropped += max(0, len(events) - room)


def _told(kind: str, **details: Any) -> dict[str, Any]:
    return {"time_ms": time.time_ns() // 1_000_000, "kind": kind, **details}
