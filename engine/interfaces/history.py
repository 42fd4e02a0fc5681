"""What is kept of a channel's events, how it is read, and what a read says about what is missing.

Types only; the memory driver is the model of the others. Events are put in by the adapter, with the publish
(`Message.retention`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.app import Retention


class Kept(NamedTuple):
    """One kept event. :param serial: its place in the stream. :param payload: the finished frame."""

    serial: int
    time_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """What is kept of one channel now.

    :param id: another one whenever what came before may not be what subscribers got: "" where nothing was ever kept.
    :param serial: of the newest event, kept or not; events count from 1 and are numbered without a gap.
    :param first: serial of the oldest that is kept; `serial` + 1 when none is.
    :param first_ms: :param last_ms: when `first` and `serial` were published; 0 without them.
    :param gone_ms: when the newest event was published that is not kept any more; 0 when all are.
    :param broken_ms: until when events may be missing in between: some seconds from when it was noticed that Redis was
        replaced or started again; 0 when that never was.
    :param now_ms: the store's clock.
    """

    id: str
    serial: int = 0
    first: int = 1
    first_ms: int = 0
    last_ms: int = 0
    bytes: int = 0
    gone_ms: int = 0
    broken_ms: int = 0
    now_ms: int = 0

    @property
    def count(self) -> int:
        return self.serial + 1 - self.first

    @property
    def tag(self) -> int:
        """32 bits of the id, as they travel with each event."""
        return int(self.id[:8], 16) if self.id else 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Inclusive bounds of what is read; None is none."""

    start_serial: int | None = None
    end_serial: int | None = None
    start_time_ms: int | None = None
    end_time_ms: int | None = None


NO_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class PageQuery:
    """:param after: the serial where the page before ended, in the query's direction; None for the first page.
    :param max_bytes: the page ends before its payloads exceed it, but has one item at least.
    """

    limit: int
    newest_first: bool = True
    bounds: Bounds = NO_BOUNDS
    after: int | None = None
    max_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """:param has_more: further items lie within the bounds."""

    stream: Stream
    items: Sequence[Kept]
    has_more: bool


@dataclass(frozen=True, slots=True)
class ReplayQuery:
    """The newest events that keep all given bounds. 0 (`after`: None) is no bound of that kind.

    :param after: events behind this serial. :param after_ms: events published after it.
    :param window_ms: events of the last so many ms.
    """

    count: int = 0
    window_ms: int = 0
    after_ms: int = 0
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """:param events: oldest first. :param cut: further kept events were asked for, beyond `count` or the bytes."""

    stream: Stream
    events: Sequence[Kept]
    cut: bool


@dataclass(frozen=True, slots=True)
class Purged:
    """What an operator has removed. :param stream: as it is now. :param before: the stream's id until then."""

    stream: Stream
    before: str
    count: int
    bytes: int


class HistoryStore(Protocol):
    """Kept events, one bounded stream for each channel. Every method may raise StoreUnavailable.

    What is older than the retention says is neither returned nor counted, whenever it is removed.
    """

    #: For the API's `authoritative_source`.
    name: str

    async def inspect(self, app_id: str, channel: str, retention: Retention) -> Stream: ...

    async def page(self, app_id: str, channel: str, retention: Retention, query: PageQuery) -> Page: ...

    async def replay(
        self, app_id: str, channel: str, retention: Retention, query: ReplayQuery, max_bytes: int
    ) -> Replayed: ...

    async def reset(self, app_id: str, channel: str, retention: Retention) -> Purged:
        """Forget everything, and begin another stream."""

    async def purge(
        self, app_id: str, channel: str, retention: Retention, before_serial: int | None, before_ms: int | None
    ) -> Purged:
        """Remove what came before; everything, without either bound."""
