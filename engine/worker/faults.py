"""What goes wrong while serving one connection: counted, and logged once a minute for each kind.

For what reaches the loop's exception handler and is no background task's death. A stranger may be the cause, and must
not be able to fill the log.
"""

from __future__ import annotations

import logging
from typing import Any

from engine.log.notices import Notices
from engine.metrics.metrics import Metrics


class Faults:
    def __init__(self, metrics: Metrics, notices: Notices) -> None:
        self._metrics = metrics
        self._notices = notices

    def note(self, context: dict[str, Any]) -> None:
        """:param context: as `asyncio.loop.call_exception_handler` gets it."""
        self._metrics.connections.faults.add(1)
        error, message = context.get("exception"), context.get("message") or "unhandled error"
        kind = f"{message} {type(error).__name__}"
        self._notices.note(logging.ERROR, kind, message, error if isinstance(error, BaseException) else None)
