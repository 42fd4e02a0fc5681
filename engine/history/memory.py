"""Kept events in this process. Used with a single worker; forgotten when it ends. The model of the other drivers.

Asks nobody and waits for nothing: an event is kept and delivered in one step (`adapter/local.py`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from secrets import token_hex

from engine.app import Retention
from engine.interfaces import Kept, Page, PageQuery, Purged, Replayed, ReplayQuery, Stream

#: Of all streams together; beyond, those go first into which nothing was put for longest.
MAX_BYTES = 256 * 1024 * 1024
#: What one event takes beside its payload.
ENTRY_BYTES = 200


class _Kept:
    """One channel's stream."""

    __slots__ = ("broken_ms", "bytes", "events", "first", "gone_ms", "id", "last_ms", "serial", "touched_ms")

    def __init__(self) -> None:
        self.id = token_hex(16)
        self.events: deque[Kept] = deque()
        self.serial = 0
        self.last_ms = 0
        self.touched_ms = 0
        self.bytes = 0
        self.gone_ms = 0
        self.broken_ms = 0

    def drop(self) -> None:
        gone = self.events.popleft()
        self.bytes -= len(gone.payload)
        self.gone_ms = gone.time_ms


class MemoryHistory:
    """interfaces.HistoryStore in memory.

    :param now_ms: milliseconds since the epoch. :param max_bytes: of all streams together.
    """

    name = "memory"

    def __init__(
        self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000, max_bytes: int = MAX_BYTES
    ) -> None:
        self._now_ms = now_ms
        self._max_bytes = max_bytes
        self._bytes = 0
        #: By how long they are remembered; in each, the stream is last into which something was put last.
        self._streams: dict[int, dict[tuple[str, str], _Kept]] = {}

    def keep(self, app_id: str, channel: str, retention: Retention, payload: bytes) -> tuple[int, int]:
        """Put an event in; its stream's tag and its serial."""
        now_ms = self._now_ms()
        self._forget_old(now_ms)
        kept = self._take(app_id, channel) or _Kept()
        before = self._size(kept)
        kept.serial += 1
        kept.touched_ms = now_ms
        kept.last_ms = max(now_ms, kept.last_ms)
        kept.events.append(Kept(kept.serial, kept.last_ms, payload))
        kept.bytes += len(payload)
        _trim(kept, retention, now_ms)
        self._streams.setdefault(retention.forget_ms, {})[app_id, channel] = kept
        self._bytes += self._size(kept) - before
        while self._bytes > self._max_bytes and self._forget_one():
            pass
        return int(kept.id[:8], 16), kept.serial

    async def inspect(self, app_id: str, channel: str, retention: Retention) -> Stream:
        return self._stream(self._look(app_id, channel, retention))

    async def page(self, app_id: str, channel: str, retention: Retention, query: PageQuery) -> Page:
        kept = self._look(app_id, channel, retention)
        found: list[Kept] = []
        size, more = 0, False
        for each in () if kept is None else _within(kept, query):
            if len(found) >= query.limit or (found and size + len(each.payload) > query.max_bytes):
                more = True
                break
            size += len(each.payload)
            found.append(each)
        return Page(self._stream(kept), found, more)

    async def replay(
        self, app_id: str, channel: str, retention: Retention, query: ReplayQuery, max_bytes: int
    ) -> Replayed:
        kept = self._look(app_id, channel, retention)
        after_ms = max(query.after_ms, self._now_ms() - query.window_ms if query.window_ms else 0)
        found: list[Kept] = []
        size, cut = 0, False
        for each in reversed(kept.events if kept else ()):
            if (query.after is not None and each.serial <= query.after) or (after_ms and each.time_ms <= after_ms):
                break
            if (query.count and len(found) >= query.count) or (found and size + len(each.payload) > max_bytes):
                cut = True
                break
            size += len(each.payload)
            found.append(each)
        return Replayed(self._stream(kept), found[::-1], cut)

    async def reset(self, app_id: str, channel: str, retention: Retention) -> Purged:
        kept = self._look(app_id, channel, retention)
        before = self._stream(kept)
        old = self._take(app_id, channel)
        anew = _Kept()
        anew.touched_ms = before.now_ms
        if old is not None:
            self._bytes -= self._size(old)
            anew.gone_ms = old.last_ms
        self._streams.setdefault(retention.forget_ms, {})[app_id, channel] = anew
        return Purged(self._stream(anew), before.id, before.count, before.bytes)

    async def purge(
        self, app_id: str, channel: str, retention: Retention, before_serial: int | None, before_ms: int | None
    ) -> Purged:
        kept = self._look(app_id, channel, retention)
        before = self._stream(kept)
        while kept is not None and kept.events:
            first = kept.events[0]
            if before_serial is not None and first.serial >= before_serial:
                break
            if before_ms is not None and first.time_ms >= before_ms:
                break
            self._bytes -= len(first.payload) + ENTRY_BYTES
            kept.drop()
        after = self._stream(kept)
        return Purged(after, before.id, before.count - after.count, before.bytes - after.bytes)

    # --- inside

    def _look(self, app_id: str, channel: str, retention: Retention) -> _Kept | None:
        """The stream with nothing in it that the retention does not allow."""
        for streams in self._streams.values():
            kept = streams.get((app_id, channel))
            if kept is not None:
                before = self._size(kept)
                _trim(kept, retention, self._now_ms())
                self._bytes += self._size(kept) - before
                return kept
        return None

    def _take(self, app_id: str, channel: str) -> _Kept | None:
        for streams in self._streams.values():
            kept = streams.pop((app_id, channel), None)
            if kept is not None:
                return kept
        return None

    def _forget_old(self, now_ms: int) -> None:
        """Streams into which nothing was put for long."""
        for forget_ms, streams in self._streams.items():
            while streams:
                key, kept = next(iter(streams.items()))
                if kept.touched_ms >= now_ms - forget_ms:
                    break
                del streams[key]
                self._bytes -= self._size(kept)

    def _forget_one(self) -> bool:
        """The stream into which nothing was put for longest; False when there is only one."""
        oldest = min((s for s in self._streams.values() if s), key=lambda s: next(iter(s.values())).touched_ms)
        if sum(map(len, self._streams.values())) < 2:
            return False
        self._bytes -= self._size(oldest.pop(next(iter(oldest))))
        return True

    def _stream(self, kept: _Kept | None) -> Stream:
        now_ms = self._now_ms()
        if kept is None:
            return Stream("", now_ms=now_ms)
        first = kept.events[0] if kept.events else Kept(kept.serial + 1, kept.last_ms, b"")
        return Stream(
            kept.id,
            kept.serial,
            first.serial,
            first.time_ms,
            kept.last_ms,
            kept.bytes,
            kept.gone_ms,
            kept.broken_ms,
            now_ms,
        )

    @staticmethod
    def _size(kept: _Kept) -> int:
        return kept.bytes + ENTRY_BYTES * len(kept.events)


def _trim(kept: _Kept, retention: Retention, now_ms: int) -> None:
    """The newest event stays, whatever its size, until it is too old."""
    while kept.events:
        too_much = len(kept.events) > retention.count or kept.bytes > retention.bytes
        if kept.events[0].time_ms > now_ms - retention.window_ms and not (too_much and len(kept.events) > 1):
            break
        kept.drop()


def _within(kept: _Kept, query: PageQuery) -> Iterator[Kept]:
    within = query.bounds
    low, high, start_ms, end_ms = within.start_serial, within.end_serial, within.start_time_ms, within.end_time_ms
    events: Iterable[Kept] = reversed(kept.events) if query.newest_first else kept.events
    for each in events:
        if (low is not None and each.serial < low) or (high is not None and each.serial > high):
            continue
        if (start_ms is not None and each.time_ms < start_ms) or (end_ms is not None and each.time_ms > end_ms):
            continue
        if query.after is not None and (
            each.serial >= query.after if query.newest_first else each.serial <= query.after
        ):
            continue
        yield each
