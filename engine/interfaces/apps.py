"""Where applications come from, as a type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.apps.app import App


class AppManager(Protocol):
    """Where applications come from. Look-ups are synchronous: a driver with a remote source keeps a copy."""

    def by_key(self, key: str) -> App | None: ...

    def by_id(self, app_id: str) -> App | None: ...

    def all(self) -> Sequence[App]: ...
