"""The applications, for the console: of the configuration as it is now, or of the database when somebody asks.

Never shows a secret; nothing is read while nobody looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from engine.app import App
from engine.apps.build import build_apps
from engine.cli.known_apps import read_apps
from engine.config.root import Config
from engine.errors import ApiError

#: A copy of a database's applications is good for so long.
FRESH_S = 5.0
#: In the page's list; others are asked for by their id.
MAX_LISTED = 500


class KnownApps:
    """:param clock: seconds, monotonic."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._config = config
        self._apps: Sequence[App] | None = None
        self._read_at = 0.0

    def reconfigure(self, config: Config) -> None:
        """The configuration is another one from now on."""
        self._config, self._apps = config, None

    def forget(self) -> None:
        """They have just been changed."""
        self._apps = None

    @property
    def config(self) -> Config:
        """As it is now."""
        return self._config

    async def all(self) -> Sequence[App]:
        """Raises SourceUnavailable when the database cannot be read."""
        config = self._config
        stale = not config.app_manager.from_file and self._clock() - self._read_at > FRESH_S
        if self._apps is None or stale:
            self._apps = build_apps(config) if config.app_manager.from_file else await read_apps(config)
            self._read_at = self._clock()
        return self._apps

    async def find(self, asked: dict[str, Any]) -> App:
        """The application that a request names by `app`. Raises ApiError."""
        for app in await self.all():
            if app.id == asked.get("app"):
                return app
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_app", "there is no such application")

    async def details(self) -> list[dict[str, Any]]:
        """What a page of applications shows of each."""
        return [
            {
                "id": app.id,
                "key": app.key,
                "enabled": app.enabled,
                "rotating": app.previous_signer is not None,
                "max_connections": app.max_connections,
                "webhooks": len(app.endpoints),
            }
            for app in (await self.all())[:MAX_LISTED]
        ]

    async def listed(self) -> list[dict[str, Any]]:
        """Id, whether it is served, and where its webhooks go, of each."""
        return [
            {
                "id": app.id,
                "enabled": app.enabled,
                "endpoints": [{"id": endpoint.id, "label": endpoint.target.label} for endpoint in app.endpoints],
            }
            for app in (await self.all())[:MAX_LISTED]
        ]
