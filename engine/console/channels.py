"""Channels, their members and signed-in users, as the page asks for them: a page of rows at a time.

Never more rows than `LIMIT` in an answer, and nothing of what members said of themselves.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from engine.console.known_apps import KnownApps
from engine.errors import ApiError
from engine.interfaces import OccupancyPages
from engine.protocol.channel import USER_PREFIX, channel_kind, is_server_owned

#: Rows of one answer.
LIMIT = 100
#: Longer than any name of a channel or user.
MAX_TEXT = 1000


class Channels:
    """Answers for `GET /api/channels`, `members`, `users`."""

    def __init__(self, apps: KnownApps, pages: OccupancyPages) -> None:
        self._apps = apps
        self._pages = pages

    async def channels(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Those whose names begin with `prefix`, from `after` on."""
        app = await self._apps.find(asked)
        prefix = _text(asked, "prefix")
        if is_server_owned(prefix):
            raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", "channels of the server's own are not listed")
        page = await self._page(app.id, prefix, _text(asked, "after"))
        rows = [{"name": name, "kind": channel_kind(name).label, "subscriptions": total} for name, total in page.rows]
        presence = [row for row in rows if channel_kind(str(row["name"])).is_presence]
        counts = await self._pages.counts(app.id, [str(row["name"]) for row in presence])
        for row, (_, members) in zip(presence, counts, strict=True):
            row["members"] = members
        return {"rows": rows, "after": page.after, "total": page.total}

    async def users(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Signed-in users whose ids begin with `prefix`, with their connections."""
        app = await self._apps.find(asked)
        page = await self._page(app.id, USER_PREFIX + _text(asked, "prefix"), _text(asked, "after"))
        rows = [{"id": name.removeprefix(USER_PREFIX), "connections": total} for name, total in page.rows]
        return {"rows": rows, "after": page.after}

    async def members(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Members of `channel`, by their ids."""
        app, channel = await self._apps.find(asked), _text(asked, "channel")
        try:
            page = await self._pages.members(app.id, channel, _text(asked, "after"), LIMIT)
        except ValueError as error:
            raise _invalid(error) from error
        subscriptions, _ = (await self._pages.counts(app.id, [channel]))[0]
        return {"rows": page.rows, "after": page.after, "total": page.total, "subscriptions": subscriptions}

    async def _page(self, app_id: str, prefix: str, after: str) -> Any:
        try:
            return await self._pages.channels(app_id, prefix, after, LIMIT)
        except ValueError as error:
            raise _invalid(error) from error


def _text(asked: dict[str, Any], name: str) -> str:
    return str(asked.get(name, ""))[:MAX_TEXT]


def _invalid(error: ValueError) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", f"after: {error}")
