"""What a new subscriber is given of a channel's history, and how it is notified of what is missing in that.

A read comes when a subscription is confirmed and counted, and not yet live: what is published from then on is held for
it. Subscribers that ask the same at the same time share one read. Nothing here sends a frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine._fast.frame import text_frame
from engine.app import HistoryRule, Replay, Retention
from engine.errors import StoreUnavailable
from engine.interfaces import HistoryStore, Replayed, ReplayQuery, Stream
from engine.metrics.metrics import Metrics
from engine.protocol import messages
from engine.protocol.auth import ReplayRequest
from engine.tasks import within

#: Reads under way at one time, so that a crowd that comes back leaves the store to others too.
MAX_READS = 8
#: A subscriber that waits longer for a read is notified of a gap of unknown size.
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class ResolvedReplay:
    """:param retention: None where the channel is not kept. :param stream_id: of `query.after`."""

    retention: Retention | None
    query: ReplayQuery
    stream_id: str = ""


@dataclass(frozen=True, slots=True)
class ReplayedFrames:
    """:param frames: what comes after the acknowledgement.
    :param mark: the stream's tag and the serial up to which nothing may come again; None where that is not known.
    """

    frames: tuple[bytes, ...] = ()
    mark: tuple[int, int] | None = None


NOTHING_REPLAYED = ReplayedFrames()


def resolve_replay(rule: HistoryRule | None, asked: ReplayRequest | None) -> ResolvedReplay:
    """What the rule says, unless the application asked for its client. One of them is given."""
    if asked is None:
        replay = rule.replay if rule is not None and rule.replay is not None else Replay()
        query = ReplayQuery(count=replay.count, window_ms=replay.window_ms)
    else:
        query = ReplayQuery(asked.count or 0, (asked.seconds or 0) * 1000, asked.time_ms or 0, asked.serial)
    return ResolvedReplay(None if rule is None else rule.retention, query, "" if asked is None else asked.stream_id)


class Replays:
    """:param listening: whether all that is published reaches this worker.
    :param max_bytes: of one replay, which has to wait for a slow client's socket.
    """

    def __init__(self, store: HistoryStore, listening: Callable[[], bool], max_bytes: int, metrics: Metrics) -> None:
        self._store = store
        self._listening = listening
        self._max_bytes = max_bytes
        self._metrics = metrics.channels
        self._turns = asyncio.Semaphore(MAX_READS)
        #: Reads that have not begun: who joins one is subscribed already.
        self._waiting: dict[tuple[str, str, ResolvedReplay], asyncio.Task[tuple[ReplayedFrames, int, str]]] = {}

    async def read(self, app_id: str, channel: str, asked: ResolvedReplay) -> ReplayedFrames:
        """The channel's kept events, oldest first, behind a frame that notifies of a gap, if there is one."""
        key = (app_id, channel, asked)
        task = self._waiting.get(key)
        if task is None:
            task = self._waiting[key] = asyncio.get_running_loop().create_task(self._read_once(*key))
        given, count, reason = await asyncio.shield(task)
        self._metrics.replayed.add(count, app_id)
        if reason:
            self._metrics.gaps.add(1, app_id, reason)
        return given

    async def _read_once(self, app_id: str, channel: str, asked: ResolvedReplay) -> tuple[ReplayedFrames, int, str]:
        key = (app_id, channel, asked)
        try:
            if asked.retention is None:
                return self._outcome(channel, None, "not_kept")
            async with within(TIMEOUT_S), self._turns:
                self._waiting.pop(key, None)
                if not self._listening():
                    return self._outcome(channel, None, "unavailable")
                kept = (app_id, channel, asked.retention)
                found = await self._store.replay(*kept, asked.query, self._max_bytes)
                reason = gap(found, asked, asked.retention)
                if reason == "stream_changed" and asked.query.after is not None:
                    # A serial of another stream means nothing in this one: all that is kept may be new.
                    found = await self._store.replay(*kept, replace(asked.query, after=None), self._max_bytes)
            return self._outcome(channel, found, reason)
        except (StoreUnavailable, TimeoutError):
            return self._outcome(channel, None, "unavailable")
        finally:
            self._waiting.pop(key, None)

    @staticmethod
    def _outcome(channel: str, found: Replayed | None, reason: str) -> tuple[ReplayedFrames, int, str]:
        events = () if found is None else found.events
        frames = tuple(each.payload for each in events)
        if reason:
            data = {"reason": reason, "replayed": len(frames)} | ({} if found is None else _position(found.stream))
            frames = (text_frame(messages.history_gap(channel, data)), *frames)
        mark = (found.stream.tag, found.stream.serial) if found is not None and found.stream.id else None
        return ReplayedFrames(frames, mark), len(events), reason


def gap(found: Replayed, asked: ResolvedReplay, retention: Retention) -> str:
    """Why some of what was asked for is missing; "" when nothing is (N-44).

    A number of events alone asks for whatever is there.
    """
    stream, query = found.stream, asked.query
    by_count_alone = not query.window_ms and not query.after_ms and query.after is None
    if query.after is not None and not _follows(stream, asked.stream_id, query.after):
        return "stream_changed"
    if query.after is not None and query.after + 1 < stream.first:
        return "expired"
    since_ms = max(query.after_ms, stream.now_ms - query.window_ms if query.window_ms else 0)
    if since_ms and query.after is None:
        if stream.broken_ms > since_ms:
            return "stream_changed"
        # Of what was published before a stream began, or a channel was forgotten, nothing is known.
        begun_ms = stream.first_ms if stream.count and stream.first == 1 else stream.gone_ms or stream.now_ms
        if stream.gone_ms > since_ms or since_ms < begun_ms - retention.forget_ms:
            return "expired"
    if found.cut and not (by_count_alone and len(found.events) >= query.count):
        return "limit"
    return ""


def _follows(stream: Stream, stream_id: str, serial: int) -> bool:
    """Whether a client that knows everything up to there can be given all that followed."""
    if not stream_id:
        return serial == 0  # nothing had ever been published then
    return stream.id == stream_id and serial <= stream.serial


def _position(stream: Stream) -> dict[str, object]:
    kept = stream.count > 0
    return {
        "stream_id": stream.id or None,
        "oldest_serial": stream.first if kept else None,
        "newest_serial": stream.serial or None,
    }
