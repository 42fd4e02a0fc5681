"""What happens in a worker, told to whoever looks on; nobody does, as a rule, and then it costs one look at a flag.

Nothing is kept, and nobody who looks on can hold anything up: what comes too fast for them is dropped and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

#: Characters of an event's data that are told.
MAX_DATA = 2_000
#: Of one watcher, in a second and waiting to be taken.
MAX_PER_SECOND = 500
MAX_WAITING = 1_000


class Watcher:
    """Looks at one application. :ivar dropped: so many were not told since the last `take`.

    :param per_second: events at most; the others are counted. :param max_data: characters of an event's data.
    """

    def __init__(self, app_id: str, per_second: int = MAX_PER_SECOND, max_data: int = MAX_DATA) -> None:
        self.app_id = app_id
        self.per_second = per_second
        self._max_data = max_data
        self.dropped = 0
        self._waiting: list[dict[str, Any]] = []
        self._some = asyncio.Event()
        self._second = self._noted = 0

    def note(self, kind: str, details: dict[str, Any]) -> None:
        now_ms = time.time_ns() // 1_000_000
        if now_ms // 1000 != self._second:
            self._second, self._noted = now_ms // 1000, 0
        if self._noted >= self.per_second or len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._noted += 1
        data = details.get("data")
        if isinstance(data, str) and len(data) > self._max_data:
            details = {**details, "data": data[: self._max_data], "data_length": len(data)}
        self._waiting.append({"time_ms": now_ms, "kind": kind, **details})
        self._some.set()

    async def take(self) -> list[dict[str, Any]]:
        """What has happened since, in order, as soon as there is something."""
        await self._some.wait()
        self._some.clear()
        taken, self._waiting = self._waiting, []
        if self.dropped:
            taken.append({"time_ms": time.time_ns() // 1_000_000, "kind": "dropped", "number": self.dropped})
            self.dropped = 0
        return taken


class Tap:
    """:ivar active: whether anybody looks on: to be asked before `note` is called.
    :ivar on_change: called with `active` when that changes.
    """

    __slots__ = ("_watchers", "active", "on_change")

    def __init__(self) -> None:
        self.active = False
        self.on_change: Callable[[bool], None] = lambda active: None
        self._watchers: list[Watcher] = []

    def note(self, kind: str, app_id: str, **details: Any) -> None:
        """:param details: as JSON: `channel`, `socket_id`, `event`, `data` and what else belongs to the kind."""
        for watcher in self._watchers:
            if watcher.app_id == app_id:
                watcher.note(kind, details)

    def open(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)
        self._set(True)

    def close(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)
        self._set(bool(self._watchers))

    def _set(self, active: bool) -> None:
        if active != self.active:
            self.active = active
            self.on_change(active)


#: For parts that nobody can look at.
NOBODY = Tap()
