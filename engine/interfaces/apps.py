"""Where applications are kept outside the configuration.

Types only.
"""

from __future__ import annotations

from typing import Any, Protocol


class AppSource(Protocol):
    """Where applications are kept outside the configuration: a table in a database."""

    async def read(self) -> list[dict[str, Any]]:
        """All applications as entries of the configuration (`app_manager.array.apps[]`), in no order.

        Raises SourceUnavailable."""

    async def close(self) -> None: ...
