"""The stream of what happens in an application, from all workers of the cluster, and events that the operator makes.

Keeps nothing: what the browser does not take in time is dropped and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from engine.console.audit import audit
from engine.console.known_apps import KnownApps
from engine.console.other_nodes import OtherNodes
from engine.console.workers import Workers, watch
from engine.errors import ApiError
from engine.tasks import cancel

#: Between two looks at who there is to watch, and between two pieces for the browser.
LOOK_S, PIECE_S = 1.0, 0.2
#: Events that wait for the browser.
MAX_WAITING = 2_000
#: Between two questions to other nodes, and after which silence a worker there counts as gone.
ASK_S, SILENT_S = 2.0, 7.0
#: Events a second of all other nodes together, and workers of them.
PER_SECOND_ELSEWHERE, MAX_ELSEWHERE = 500, 1_000


class Events:
    """Answers for `GET /api/events` and `POST /api/publish`. :param others: other nodes, where there may be any."""

    def __init__(self, apps: KnownApps, workers: Workers, others: OtherNodes | None = None) -> None:
        self._apps = apps
        self._workers = workers
        self._others = others

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
        async with AsyncExitStack() as stack:
            stack.push_async_callback(stream.stop)
            if self._others is not None:
                look = await stack.enter_async_context(self._others.look(stream.hear))
                asking = asyncio.create_task(self._ask_others(self._others, look, stream), name="console-others")
                stack.push_async_callback(cancel, asking)
            while True:
                stream.look(self._workers.sockets)
                if piece := stream.take():
                    yield orjson.dumps(piece)
                await stream.wait()

    async def _ask_others(self, others: OtherNodes, look: int, stream: _Stream) -> None:
        while True:
            await others.ask_events(look, stream.app_id, stream.share())
            await asyncio.sleep(ASK_S)


class _Stream:
    """One browser's."""

    def __init__(self, app_id: str) -> None:
        self.app_id = app_id
        self._watching: dict[Path, asyncio.Task[None]] = {}
        #: Workers that have said that they tell.
        self._live: set[Path] = set()
        self._elsewhere: dict[tuple[str, int], _Elsewhere] = {}
        self._waiting: list[dict[str, Any]] = []
        self._dropped = 0
        self._watched: dict[str, int] = {}
        self._looked_at = 0.0

    def look(self, sockets: list[Path]) -> None:
        """Watch those workers that are not watched yet."""
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        self._looked_at = time.monotonic()
        for path in sockets:
            if path not in self._watching or self._watching[path].done():
                self._watching[path] = asyncio.create_task(self._watch(path), name="console-watch")

    def hear(self, answer: dict[str, Any]) -> None:
        """Of a worker of another node. Raises ValueError and the like for what is no answer."""
        worker = str(answer["life"]), int(answer["slot"])
        if worker not in self._elsewhere and len(self._elsewhere) >= MAX_ELSEWHERE:
            return
        self._elsewhere[worker] = _Elsewhere(time.monotonic(), bool(answer.get("full")))
        self._keep([event | {"node": answer["node"]} for event in answer.get("events", ())])

    def share(self) -> int:
        """Events a second of each worker elsewhere, so that all of them together are not too many."""
        return max(1, PER_SECOND_ELSEWHERE // max(1, len(self._elsewhere)))

    def take(self) -> list[dict[str, Any]]:
        taken, self._waiting = self._waiting, []
        taken.sort(key=lambda event: event["time_ms"])
        watched = self._count()
        if watched != self._watched:
            self._watched = watched
            taken.insert(0, _notice("watching", **watched))
        if self._dropped:
            taken.append(_notice("dropped", number=self._dropped))
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
            await watch(path, self.app_id, partial(self._on_events, path))
        finally:
            self._live.discard(path)

    def _on_events(self, path: Path, events: list[dict[str, Any]]) -> None:
        self._live.add(path)
        self._keep(events)

    def _keep(self, events: list[dict[str, Any]]) -> None:
        room = MAX_WAITING - len(self._waiting)
        self._waiting += events[:room]
        self._dropped += max(0, len(events) - room)

    def _count(self) -> dict[str, int]:
        """Workers that report, of this node and of others; how many others; and who reports too many already."""
        since = time.monotonic() - SILENT_S
        self._elsewhere = {worker: each for worker, each in self._elsewhere.items() if each.heard_s > since}
        reporting = [life for (life, _), each in self._elsewhere.items() if not each.full]
        full = len(self._elsewhere) - len(reporting)
        return {"workers": len(self._live), "elsewhere": len(reporting), "nodes": len(set(reporting)), "full": full}


class _Elsewhere(NamedTuple):
    """A worker of another node: when it was heard last, and whether it is watched by too many to tell us anything."""

    heard_s: float
    full: bool


def _notice(kind: str, **details: Any) -> dict[str, Any]:
    return {"time_ms": time.time_ns() // 1_000_000, "kind": kind, **details}
