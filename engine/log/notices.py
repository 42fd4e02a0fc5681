"""Lines that a stranger can cause: each kind of them once a minute, with how often it came meanwhile.

Whoever logs what clients and back ends do wrong does it through one of these. Nothing here may grow with what they do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

EVERY_S = 60.0
#: Kinds told apart; any further one counts as the same.
MAX_KINDS = 64
_OTHERS = "others"


class Notices:
    """:param log: where the lines go. :param now_s: monotonic seconds."""

    def __init__(self, log: logging.Logger, now_s: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now_s = now_s
        # Kind -> when it was logged last, and how many have come since.
        self._kinds: dict[str, tuple[float, int]] = {}

    def note(self, level: int, kind: str, message: str, error: BaseException | None = None) -> None:
        """:param error: its traceback follows."""
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            kind = _OTHERS
        now_s = self._now_s()
        logged_s, since = self._kinds.get(kind, (-EVERY_S, 0))
        if now_s - logged_s < EVERY_S:
            self._kinds[kind] = (logged_s, since + 1)
            return
        self._kinds[kind] = (now_s, 0)
        more = f" (and {since} times since this was logged last)" if since else ""
        self._log.log(level, "%s%s", message, more, exc_info=error)
