"""Who is where, page by page, from the hashes that the scripts keep. Reads only, and never a whole hash.

One step of a scan may bring more than a page holds, and brings the same again when it is repeated: where a page ends is
a step, and how many of its entries were given already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from redis.asyncio import Redis

from engine.interfaces import ChannelsPage, MembersPage
from engine.occupancy import redis_wire
from engine.occupancy.redis import glob_escape, read_counts
from engine.occupancy.redis_keys import Keys
from engine.redis.scripts import bounded

#: Fields that one step looks at where most are none that are asked for; a page may take so many steps.
STEP = 1000
MAX_STEPS = 20
_AFTER = re.compile(r"([0-9]{1,20})\.([0-9]{1,9})\Z")


class RedisPages:
    """interfaces.OccupancyPages. :param client: with replies as bytes. :param timeout_s: for one page."""

    def __init__(self, client: Redis, keys: Keys, timeout_s: float) -> None:
        self._client = client
        self._keys = keys
        self._timeout_s = timeout_s

    async def channels(self, app_id: str, prefix: str, after: str, limit: int) -> ChannelsPage:
        key, place = self._keys.totals(app_id, prefix), _place(after)
        async with bounded("channels", self._timeout_s):
            found, after, total = await self._page(key, prefix, place, limit)
        rows = [(name.decode("utf-8", "replace"), redis_wire.count_of(raw)) for name, raw in found]
        return ChannelsPage(rows, after, total)

    async def members(self, app_id: str, channel: str, after: str, limit: int) -> MembersPage:
        key, place = self._keys.members(app_id, channel), _place(after)
        async with bounded("members", self._timeout_s):
            found, after, total = await self._page(key, "", place, limit)
        return MembersPage(list(redis_wire.decode_members(found)), after, total)

    async def counts(self, app_id: str, channels: Sequence[str]) -> list[tuple[int, int]]:
        return await read_counts(self._client, self._keys, self._timeout_s, app_id, channels)

    async def _page(
        self, key: str, prefix: str, place: tuple[int, int], limit: int
    ) -> tuple[list[tuple[bytes, bytes]], str, int]:
        """Fields with their values, where to go on, and the fields of the whole hash."""
        cursor, given = place
        match = f"{glob_escape(prefix)}*" if prefix else None
        found: list[tuple[bytes, bytes]] = []
        total = await self._client.hlen(key)
        for _ in range(MAX_STEPS):
            begins = cursor
            cursor, step = await self._client.hscan(key, begins, match=match, count=STEP if prefix else limit)
            entries = list(cast(dict[bytes, bytes], step).items())[given:]
            room = limit - len(found)
            if len(entries) > room:
                return found + entries[:room], f"{begins}.{given + room}", total
            found += entries
            given = 0
            if not cursor:
                return found, "", total
            if len(found) == limit:
                break
        return found, f"{cursor}.0", total


def _place(after: str) -> tuple[int, int]:
    if not after:
        return 0, 0
    found = _AFTER.match(after)
    if found is None:
        raise ValueError("it is not where a page ended")
    return int(found[1]), int(found[2])
