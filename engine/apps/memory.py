"""Applications from the configuration, looked up by key and by id.

The `memory` driver of `interfaces.AppManager`, built by `worker.py`. It never changes after construction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.apps.app import App


class MemoryAppManager:
    """:param apps: with distinct ids and keys, as the configuration's check has made sure."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._apps = tuple(apps)
        self._by_key = {app.key: app for app in self._apps}
        self._by_id = {app.id: app for app in self._apps}

    def by_key(self, key: str) -> App | None:
        return self._by_key.get(key)

    def by_id(self, app_id: str) -> App | None:
        return self._by_id.get(app_id)

    def all(self) -> Sequence[App]:
        """In the order of the configuration."""
        return self._apps
