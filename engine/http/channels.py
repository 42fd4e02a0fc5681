"""GET channels, channel and users: plain reads of the shared occupancy (docs/protocol.md 5.4 to 5.6).

Changes nothing.
"""

from __future__ import annotations

from typing import Any

import orjson

from engine.app import App
from engine.http.auth import Access
from engine.http.events import SUBSCRIPTION_COUNT, USER_COUNT, attributes
from engine.http.request import ApiRequest, ApiResponse, invalid, ok
from engine.interfaces import CacheStore, OccupancyStore
from engine.protocol.channel import ChannelKind, channel_kind, valid_channel_name

CACHE = "cache"

#: Channels whose figures are read in one request, so that no list keeps Redis busy for long.
READ_AT_ONCE = 1000


class Channels:
    """Answers who is where. Never 404 for a channel that nobody is in (H-26)."""

    def __init__(self, access: Access, occupancy: OccupancyStore, cache: CacheStore) -> None:
        self._access = access
        self._occupancy = occupancy
        self._cache = cache

    async def list(self, request: ApiRequest, app_id: str) -> ApiResponse:
        """GET /apps/{id}/channels: the occupied ones."""
        app = self._access.app(request, app_id)
        prefix = request.query.get("filter_by_prefix") or ""
        info = attributes(request.query.get("info"))
        if USER_COUNT in info and not prefix.startswith("presence-"):
            raise invalid("user_count is known of presence channels only: use a filter_by_prefix that selects them")
        if CACHE in info:
            raise invalid("cache may be asked of a single channel only")
        headers = await self._access.count_read(app)
        totals = await self._occupancy.channels(app.id, prefix)
        found: dict[str, dict[str, int]] = {
            name: {SUBSCRIPTION_COUNT: total} if SUBSCRIPTION_COUNT in info else {} for name, total in totals.items()
        }
        if USER_COUNT in info:
            names = tuple(found)
            for start in range(0, len(names), READ_AT_ONCE):
                some = names[start : start + READ_AT_ONCE]
                for name, (_, members) in zip(some, await self._occupancy.counts(app.id, some), strict=True):
                    found[name][USER_COUNT] = members
        return ok({"channels": found}, headers)

    async def show(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """GET /apps/{id}/channels/{channel}."""
        app = self._access.app(request, app_id)
        kind = _kind(app, channel)
        info = attributes(request.query.get("info"))
        if USER_COUNT in info and not kind.is_presence:
            raise invalid("user_count is known of presence channels only")
        if CACHE in info and not kind.is_cache:
            raise invalid("Only cache channels have a cache")
        headers = await self._access.count_read(app)
        ((subscriptions, members),) = await self._occupancy.counts(app.id, (channel,))
        found: dict[str, Any] = {"occupied": subscriptions > 0}
        if USER_COUNT in info:
            found[USER_COUNT] = members
        if SUBSCRIPTION_COUNT in info:
            found[SUBSCRIPTION_COUNT] = subscriptions
        if CACHE in info:
            last = await self._cache.get(app.id, channel)
            found[CACHE] = None if last is None else {"data": last[1], "ttl": last[2]}
        return ok(found, headers)

    async def users(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """GET /apps/{id}/channels/{channel}/users."""
        app = self._access.app(request, app_id)
        if not _kind(app, channel).is_presence:
            raise invalid("The channel must be a presence channel.")
        headers = await self._access.count_read(app)
        members = await self._occupancy.members(app.id, channel)
        with_user_info = request.query.get("with_user_info") == "1"
        users = [
            {"id": user_id, "user_info": orjson.Fragment(user_info)}
            if with_user_info and user_info
            else {"id": user_id}
            for user_id, user_info in members.items()
        ]
        return ok({"users": users}, headers)


def _kind(app: App, channel: str) -> ChannelKind:
    if not valid_channel_name(channel, app.max_channel_name_length):
        raise invalid("The channel name is not valid")
    return channel_kind(channel)
