"""Which dead letters in Redis go when there are too many: the oldest of the endpoints that have most.

They are one list, of which operators move entries by hand, so nothing is kept about them: they are weighed when there
are too many, a slice at a time. An endpoint with less than its share loses none to another's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from engine.redis.scripts import load
from engine.webhooks.room import share

_WEIGH = load("queue_weigh", common="queue_common")
_FORGET = load("queue_forget", common="queue_common")
#: Dead letters looked at in one call, so that no call holds Redis up.
SLICE = 1000
#: Of what there may be so much stays, so that not every dead letter finds too many.
KEPT = 0.9


class DeadLetterRoom:
    """:param run: a script of the queue, with its arguments. :param max_number: of dead letters.
    :param max_bytes: what they may take, about as the server counts.
    """

    def __init__(self, run: Callable[..., Awaitable[object]], max_number: int, max_bytes: int) -> None:
        self._run = run
        self._max_number = max_number
        self._max_bytes = max_bytes
        self._at_work = False

    async def make(self, number: int, bytes_: int) -> Counter[str]:
        """How many of each lane went, if there were too many. Raises StoreUnavailable.

        :param number: of dead letters now. :param bytes_: what they take, as the server counts.
        """
        if self._at_work or (number <= self._max_number and bytes_ <= self._max_bytes):
            return Counter()
        self._at_work = True
        try:
            return await self._forget(number, *await self._excess(number, bytes_))
        finally:
            self._at_work = False

    async def _excess(self, number: int, bytes_: int) -> tuple[Counter[str], Counter[str]]:
        """Of each lane, how many are above its share, and how many bytes."""
        numbers: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for first in range(0, number, SLICE):
            for lane, count, size in _triples(await self._run(_WEIGH, first, first + SLICE - 1)):
                numbers[lane] += count
                sizes[lane] += size
        above_number = above_size = Counter[str]()
        if number > self._max_number:
            above_number = _above(numbers, self._max_number - int(self._max_number * (1 - KEPT)))
        if bytes_ > self._max_bytes:
            # The server counts more than the letters' own bytes, and guesses.
            above_size = _above(sizes, int(sizes.total() * self._max_bytes * KEPT / bytes_))
        return above_number, above_size

    async def _forget(self, number: int, numbers: Counter[str], sizes: Counter[str]) -> Counter[str]:
        gone: Counter[str] = Counter()
        first = 0
        while first < number and (lanes := +numbers | +sizes):
            wanted = [part for lane in lanes for part in (lane, max(0, numbers[lane]), max(0, sizes[lane]))]
            here = 0
            for lane, count, size in _triples(await self._run(_FORGET, first, first + SLICE - 1, *wanted)):
                here += count
                gone[lane] += count
                numbers[lane] -= count
                sizes[lane] -= size
            number -= here
            first += SLICE - here
        return +gone


def _above(found: Counter[str], total: int) -> Counter[str]:
    """What each has above its share of the total."""
    most = share(found.values(), total)
    return Counter({lane: count - most for lane, count in found.items() if count > most})


def _triples(reply: object) -> list[tuple[str, int, int]]:
    """(lane, number, bytes) of a script's reply; nothing of one that is none."""
    flat = reply if isinstance(reply, list) else []
    return [
        (lane.decode("utf-8", "replace"), int(count), int(size))
        for lane, count, size in zip(flat[::3], flat[1::3], flat[2::3], strict=False)
        if isinstance(lane, bytes)
    ]
