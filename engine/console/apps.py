"""The applications as the page lists and edits them, where they are kept in a file that can be written.

A secret is shown once, in the answer to the request that made it, and never logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from engine.apps import edit
from engine.config.root import Config
from engine.console.audit import audit
from engine.console.known_apps import KnownApps
from engine.errors import ApiError, ConfigError

_T = TypeVar("_T")


class Apps:
    """Answers for `GET /api/apps` and `POST /api/apps_add`, `apps_rotate`, `apps_finish`, `apps_enable`,
    `apps_remove`."""

    def __init__(self, known: KnownApps) -> None:
        self._known = known

    async def read(self, _: dict[str, Any]) -> dict[str, Any]:
        """Each application without its secret; `why_not` says why none of them can be edited, or is empty."""
        return {"why_not": edit.why_not(self._known.config), "rows": await self._known.details()}

    async def add(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Add the application `app`, with a key and a secret made for it."""
        app_id = _named(asked)
        entry = await self._change(lambda config: edit.add(config, app_id, {}))
        audit(f"application {app_id} was added")
        return _credentials(entry)

    async def rotate(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Give it a new secret; the present one is accepted beside it until `finish`."""
        app_id = _named(asked)
        entry = await self._change(lambda config: edit.rotate(config, app_id))
        audit(f"application {app_id} was given a new secret beside its present one")
        return _credentials(entry)

    async def finish(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Accept its present secret only."""
        app_id = _named(asked)
        await self._change(lambda config: edit.end_rotation(config, app_id))
        audit(f"the previous secret of application {app_id} was taken away")
        return {}

    async def enable(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Let it in, or send it away, by `enabled`."""
        app_id, enabled = _named(asked), asked.get("enabled")
        if not isinstance(enabled, bool):
            raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", "enabled must be true or false")
        await self._change(lambda config: edit.change(config, app_id, lambda _: {"enabled": enabled}))
        audit(f"application {app_id} was {'enabled' if enabled else 'disabled'}")
        return {}

    async def remove(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Remove it, if `confirm` names it a second time."""
        app_id = _named(asked)
        if asked.get("confirm") != app_id:
            raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", "confirm must name the application again")
        await self._change(lambda config: edit.remove(config, app_id))
        audit(f"application {app_id} was removed")
        return {}

    async def _change(self, work: Callable[[Config], _T]) -> _T:
        """In a thread, as somebody else may be writing to the file."""
        try:
            return await asyncio.to_thread(work, self._known.config)
        except ConfigError as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", str(error)) from None
        finally:
            self._known.forget()


def _named(asked: dict[str, Any]) -> str:
    app_id = asked.get("app")
    if not isinstance(app_id, str) or not app_id:
        raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", "app must be an application's id")
    return app_id


def _credentials(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: str(entry[name]) for name in ("id", "key", "secret")}
