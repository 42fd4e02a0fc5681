"""Where applications come from, as types: the look-ups that everybody uses, and a source outside the configuration.

Types only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from engine.app import App


class AppManager(Protocol):
    """Where applications come from. Look-ups are synchronous: a driver with a remote source keeps a copy."""

    def by_key(self, key: str) -> App | None: ...

    def by_id(self, app_id: str) -> App | None: ...

    def all(self) -> Sequence[App]: ...

    @property
    def stale(self) -> bool:
        """The copy is too old to let anybody in by it (`app_manager.cache.ttl`); callers are to come back later."""


class AppSource(Protocol):
    """Where applications are kept outside the configuration: a table in a database."""

    async def read(self) -> list[dict[str, Any]]:
        """All applications as entries of the configuration (`app_manager.array.apps[]`), in no order.

        Raises SourceUnavailable."""

    async def close(self) -> None: ...
