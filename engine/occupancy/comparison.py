"""What the store believes that this worker holds, against what it does hold: a slice at a time, while both change.

Only says what differs. What changed while it looked is left out, for that is reported anyway.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice

from engine.occupancy.local_state import Fact, LocalState

#: Facts of one slice.
SLICE = 1000


class Comparison:
    """:param believed: pages of facts as the store has them. One comparison at a time looks at a `LocalState`."""

    def __init__(self, local: LocalState, believed: AsyncIterator[Mapping[Fact, int]]) -> None:
        self._local = local
        self._believed: AsyncIterator[Mapping[Fact, int]] | None = believed
        self._seen: set[Fact] = set()
        self._held: Iterator[Fact] = iter(())
        local.watch()

    async def next(self) -> list[Fact] | None:
        """What differs in the next slice; None when there is none any more. Raises StoreUnavailable."""
        if self._believed is not None:
            page = await anext(self._believed, None)
            if page is not None:
                self._seen.update(page)
                return self._wrong(page)
            self._believed, self._held = None, self._local.facts()
        some = list(islice(self._held, SLICE))
        unknown = [fact for fact in some if fact not in self._seen]
        # What has been looked up goes at once: to free all of it together would take as long as a hundred slices.
        self._seen.difference_update(some)
        return self._wrong(dict.fromkeys(unknown, 0)) if some else None

    def _wrong(self, believed: Mapping[Fact, int]) -> list[Fact]:
        local = self._local
        return [fact for fact, count in believed.items() if local.count(fact) != count and not local.moved(fact)]
