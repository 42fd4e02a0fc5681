"""A slow walk over all shared figures of a cluster in Redis, comparing each with what the workers' own facts add up to.

A slice at a time, so that Redis is never kept busy. What it finds was lost by Redis or written by someone else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from engine.errors import StoreUnavailable
from engine.interfaces import InterestOf, MemberReport, Report
from engine.occupancy import redis_wire
from engine.occupancy.redis_keys import Keys, parse_fact, parse_member_fact

#: Channels asked at once whether they have members.
PAGE = 100

#: `RedisOccupancy` hands in its own: key -> fields and values of a hash; (app, channels) -> their counts.
Scan = Callable[[str], AsyncIterator[tuple[bytes, bytes]]]
Counts = Callable[[str, Sequence[str]], Awaitable[list[tuple[int, int]]]]


class Audit:
    """Remembers how far the walk has come; it never ends."""

    def __init__(self, keys: Keys, scan: Scan, counts: Counts) -> None:
        self._keys = keys
        self._scan = scan
        self._counts = counts
        self._walk: AsyncIterator[tuple[str, str, str]] | None = None

    async def next(
        self, apps: Sequence[str], workers: Sequence[str], interest_of: InterestOf, limit: int
    ) -> list[Report]:
        """The next `limit` channels and members, as reports for occupancy_audit.lua; fewer where a round ends."""
        if self._walk is None:
            self._walk = self._places(apps, workers)
        places: dict[tuple[str, str], set[str]] = {}
        try:
            for _ in range(limit):
                app_id, channel, user_id = await anext(self._walk)
                users = places.setdefault((app_id, channel), set())
                if user_id:
                    users.add(user_id)
        except StopAsyncIteration:
            self._walk = None
        except StoreUnavailable:
            # A generator that raised has ended; the next round begins anew.
            self._walk = None
            raise
        return [
            Report(
                app_id,
                channel,
                redis_wire.UNCHANGED,
                0,
                *interest_of(app_id, channel),
                members=tuple(MemberReport(user, 0) for user in sorted(users)),
            )
            for (app_id, channel), users in places.items()
        ]

    async def _places(self, apps: Sequence[str], workers: Sequence[str]) -> AsyncIterator[tuple[str, str, str]]:
        """(app, channel, user or "") of every figure that a worker's fact or a shared total names."""
        for worker in workers:
            async for field, _ in self._scan(self._keys.worker(worker)):
                if (place := parse_fact(field)) is not None:
                    yield (*place, "")
            async for field, _ in self._scan(self._keys.worker_members(worker)):
                if (member := parse_member_fact(field)) is not None:
                    yield member
        for app_id in apps:
            for kind in ("#", ""):
                page: list[str] = []
                async for name, _ in self._scan(self._keys.totals(app_id, kind)):
                    if channel := name.decode("utf-8", "ignore"):
                        yield app_id, channel, ""
                        page.append(channel)
                    if len(page) == PAGE:
                        async for member in self._members(app_id, page):
                            yield member
                        page.clear()
                async for member in self._members(app_id, page):
                    yield member

    async def _members(self, app_id: str, channels: Sequence[str]) -> AsyncIterator[tuple[str, str, str]]:
        """Everybody listed in one of the channels, whether or not a worker holds them."""
        for channel, (_, members) in zip(channels, await self._counts(app_id, channels), strict=True):
            if members:
                async for user, _ in self._scan(self._keys.members(app_id, channel)):
                    if user_id := user.decode("utf-8", "ignore"):
                        yield app_id, channel, user_id
