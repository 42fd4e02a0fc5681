"""Who is where, page by page, where one worker alone keeps it in its memory. Never changes it.

Names are given in the order in which they came; a page ends after so many of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from engine.interfaces import ChannelsPage, MembersPage
from engine.occupancy.memory_state import MemoryState
from engine.protocol.channel import is_server_owned

#: Names that one page looks at; the loop serves clients, too.
MAX_LOOKED_AT = 20_000


class MemoryPages:
    """interfaces.OccupancyPages over one state."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def channels(self, app_id: str, prefix: str, after: str, limit: int) -> ChannelsPage:
        channels, internal = self._state.apps.get(app_id, {}), is_server_owned(prefix)
        rows: list[tuple[str, int]] = []
        begins = _place(after)
        for looked_at, name in enumerate(islice(channels, begins, None)):
            if len(rows) == limit or looked_at == MAX_LOOKED_AT:
                return ChannelsPage(rows, str(begins + looked_at), len(channels))
            if name.startswith(prefix) and is_server_owned(name) == internal:
                rows.append((name, channels[name]))
        return ChannelsPage(rows, "", len(channels))

    async def members(self, app_id: str, channel: str, after: str, limit: int) -> MembersPage:
        members = self._state.members(app_id, channel)
        begins = _place(after)
        rows = list(islice(members, begins, begins + limit))
        more = begins + len(rows) < len(members)
        return MembersPage(rows, str(begins + len(rows)) if more else "", len(members))

    async def counts(self, app_id: str, channels: Sequence[str]) -> list[tuple[int, int]]:
        state = self._state
        return [(state.total(app_id, name), len(state.members(app_id, name))) for name in channels]


def _place(after: str) -> int:
    if after and not (after.isascii() and after.isdecimal() and len(after) < 12):
        raise ValueError("it is not where a page ended")
    return int(after or 0)
