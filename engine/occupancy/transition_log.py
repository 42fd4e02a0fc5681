"""The log of transitions in one process: sequence numbers, settling, and what may be emitted now.

The model of the `transitions`, `pending`, `counts` and `clock` keys of the Redis driver. Never looks at who holds what.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence

from engine.config.event_types import SUBSCRIPTION_COUNT
from engine.config.webhooks import MAX_SETTLE_MS
from engine.interfaces import Due, Transition
from engine.metrics.families import Counter
from engine.protocol.messages import COUNT_AT_ONCE, COUNT_EVERY_S

#: Entries kept while they cannot be emitted, as when the webhook queue is full; then the oldest go, and are counted.
MAX_ENTRIES = 100_000


class SequenceClock:
    """One growing sequence for all channels: max(last + 1, now in microseconds), also when the clock steps back.

    :param now_us: the clock, microseconds since the epoch.
    """

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self.last = 0
        self._skew_us = 0

    def now_us(self) -> int:
        """Microseconds by which the sequence goes; behind no number given out."""
        now = self._now_us()
        # A step back is bridged until all that was numbered meanwhile is due by the clock itself.
        if now >= self.last + MAX_SETTLE_MS * 1000:
            self._skew_us = 0
        self._skew_us = max(self._skew_us, self.last - now)
        return now + self._skew_us

    def next(self) -> int:
        self.last = max(self.last + 1, self.now_us())
        return self.last

    def time_ms(self) -> int:
        """The time of day, for people."""
        return self._now_us() // 1000


class TransitionLog:
    """Transitions by the time they may be emitted. An opposite change within the settling time cancels both.

    :param dropped: counts those given up for want of room.
    """

    def __init__(self, clock: SequenceClock, dropped: Counter) -> None:
        self._clock = clock
        self._dropped = dropped
        #: (microsecond it may be emitted, seq), sorted.
        self._order: list[tuple[int, int]] = []
        self._entries: dict[int, tuple[int, Transition]] = {}
        #: (app, channel, user or "") -> seq of the vacated or member_removed that still settles.
        self._pending: dict[tuple[str, str, str], int] = {}
        #: (app, channel) -> (microsecond from which its last count may be emitted, seq).
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        #: Transitions ever appended.
        self.appended = 0

    def append_gone(
        self, seq: int, name: str, app_id: str, channel: str, settle_ms: int, user: str, socket: str
    ) -> None:
        """channel_vacated or member_removed."""
        self._append(seq, settle_ms * 1000, name, app_id, channel, user, socket, "")
        if settle_ms > 0:
            self._pending[app_id, channel, user] = seq

    def append_come(self, seq: int, name: str, app_id: str, channel: str, user: str, socket: str, data: str) -> None:
        """channel_occupied or member_added; with an opposite that still settles, both are forgotten."""
        opposite = self._entries.get(self._pending.pop((app_id, channel, user), 0))
        if opposite is not None and seq < opposite[0]:
            self._remove(opposite[1].seq)
            return
        self._append(seq, 0, name, app_id, channel, user, socket, data)

    def append_count(self, seq: int, app_id: str, channel: str, total: int) -> None:
        """subscription_count: one that still waits for its time is replaced."""
        due_us, last = self._counts.get((app_id, channel), (0, 0))
        waits = due_us > seq
        if waits:
            self._remove(last)
        if total <= COUNT_AT_ONCE:
            due_us = seq
        elif not waits:
            due_us = max(seq, due_us + COUNT_EVERY_S * 1_000_000)
        self._append(seq, due_us - seq, SUBSCRIPTION_COUNT, app_id, channel, "", "", str(total))
        if total:
            self._counts[app_id, channel] = (due_us, seq)
        else:
            self._counts.pop((app_id, channel), None)

    def due(self, limit: int) -> Due:
        now = self._clock.now_us()
        end = min(bisect_right(self._order, (now, 1 << 62)), limit)
        wait_ms = None if end == len(self._order) else max(0, -(-(self._order[end][0] - now) // 1000))
        return Due([self._entries[seq][1] for _, seq in self._order[:end]], wait_ms)

    def commit(self, emitted: Sequence[Transition]) -> bool:
        """Take all of them out, or none when one is not there any more."""
        if any(transition.seq not in self._entries for transition in emitted):
            return False
        for transition in emitted:
            self._remove(transition.seq)
            key = (transition.app_id, transition.channel, transition.user_id)
            if self._pending.get(key) == transition.seq:
                del self._pending[key]
        return True

    def _append(
        self, seq: int, wait_us: int, name: str, app_id: str, channel: str, user: str, socket: str, data: str
    ) -> None:
        due_us = seq + wait_us
        time_ms = self._clock.time_ms()
        transition = Transition(b"%016d" % seq, name, app_id, channel, seq, time_ms, due_us // 1000, user, socket, data)
        self._entries[seq] = (due_us, transition)
        insort(self._order, (due_us, seq))
        self.appended += 1
        if len(self._order) > MAX_ENTRIES:
            self._remove(self._order[0][1])
            self._dropped.add(1)

    def _remove(self, seq: int) -> None:
        entry = self._entries.pop(seq, None)
        if entry is not None:
            del self._order[bisect_left(self._order, (entry[0], seq))]
