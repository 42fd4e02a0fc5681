"""What goes wrong while serving one connection: counted, and logged once a minute for each kind.

Used by worker.py for whatever reaches the loop's exception handler and is no background task's death. A stranger may be
the cause, and must not be able to fill the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from engine.metrics.metrics import Metrics

LOG_EVERY_S = 60.0
#: Kinds told apart; any further one is logged with the others.
MAX_KINDS = 64

_log = logging.getLogger(__name__)


class Faults:
    """:param now_s: monotonic seconds."""

    def __init__(self, metrics: Metrics, now_s: Callable[[], float]) -> None:
        self._metrics = metrics
        self._now_s = now_s
        # Kind -> when it was logged last, and how many have come since.
        self._kinds: dict[str, tuple[float, int]] = {}

    def note(self, context: dict[str, Any]) -> None:
        """:param context: as `asyncio.loop.call_exception_handler` gets it."""
        self._metrics.connections.faults.add(1)
        error, message = context.get("exception"), context.get("message") or "unhandled error"
        kind = f"{message} {type(error).__name__}"
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            kind = "others"
        now_s = self._now_s()
        logged_s, since = self._kinds.get(kind, (-LOG_EVERY_S, 0))
        if now_s - logged_s < LOG_EVERY_S:
            self._kinds[kind] = (logged_s, since + 1)
            return
        self._kinds[kind] = (now_s, 0)
        more = f" (and {since} times since this was logged last)" if since else ""
        _log.error("%s%s", message, more, exc_info=error if isinstance(error, BaseException) else None)
