"""The last events of cache channels, kept in this process. Used with a single worker; forgotten when it ends.

Also the driver that keeps nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

#: All remembered data together; with it the oldest go before `max_entries` is reached.
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Entry:
    event: str
    data: str
    size_bytes: int
    expires_s: float


class MemoryCache:
    """interfaces.CacheStore in memory, bounded: what was put longest ago goes first.

    :param max_entries: channels remembered. :param max_bytes: names, events and data of all of them.
    :param clock: monotonic seconds.
    """

    def __init__(
        self, max_entries: int, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._bytes = 0

    async def put(self, app_id: str, channel: str, event: str, data: str, ttl_s: int) -> None:
        self._forget((app_id, channel))
        size_bytes = sum(map(_size_bytes, (app_id, channel, event, data)))
        if size_bytes > self._max_bytes:
            return
        self._entries[app_id, channel] = _Entry(event, data, size_bytes, self._clock() + ttl_s)
        self._bytes += size_bytes
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))

    async def get(self, app_id: str, channel: str) -> tuple[str, str, int] | None:
        entry = self._entries.get((app_id, channel))
        if entry is None:
            return None
        left_s = entry.expires_s - self._clock()
        if left_s <= 0:
            self._forget((app_id, channel))
            return None
        return entry.event, entry.data, int(left_s)

    def _forget(self, key: tuple[str, str]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size_bytes


class NoCache:
    """interfaces.CacheStore that remembers nothing (`cache.driver: none`)."""

    async def put(self, app_id: str, channel: str, event: str, data: str, ttl_s: int) -> None:
        """Forget it at once."""

    async def get(self, app_id: str, channel: str) -> tuple[str, str, int] | None:
        return None


def _size_bytes(text: str) -> int:
    """What CPython needs for the characters: 1, 2 or 4 bytes each, by the widest."""
    return text.__sizeof__()
