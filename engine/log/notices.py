"""Lines that a stranger, or a peer in trouble, can cause: each kind now and then, with how often it came meanwhile.

What clients, back ends and endpoints do wrong is logged through one of these only. Nothing here may grow with
what they do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from engine.errors import Refused

EVERY_S = 60.0
#: Kinds that are distinguished within that time; any further one counts as the same.
MAX_KINDS = 64
_OTHERS = "others"


class Notices:
    """:param log: where the lines go. :param now_s: monotonic seconds. :param every_s: between two of a kind."""

    def __init__(
        self, log: logging.Logger, now_s: Callable[[], float] = time.monotonic, every_s: float = EVERY_S
    ) -> None:
        self._log = log
        self._now_s = now_s
        self._every_s = every_s
        # Kind -> when it was logged last, and how many have come since.
        self._kinds: dict[str, tuple[float, int]] = {}

    def note(self, level: int, kind: str, message: str, error: BaseException | None = None) -> None:
        """:param error: its traceback follows."""
        now_s = self._now_s()
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            self._forget(now_s)
            kind = kind if len(self._kinds) < MAX_KINDS else _OTHERS
        logged_s, since = self._kinds.get(kind, (-self._every_s, 0))
        if now_s - logged_s < self._every_s:
            self._kinds[kind] = (logged_s, since + 1)
            return
        self._kinds[kind] = (now_s, 0)
        more = f" (and {since} times since this was logged last)" if since else ""
        self._log.log(level, "%s%s", message, more, exc_info=error)

    def refused(self, app: str, who: str, error: Refused) -> None:
        """A refusal; logged only if the operator can do something about it, without anything that was sent."""
        if error.remedy:
            line = f"app {app}: {who} was refused: {error.in_short.rstrip('.')}. {error.instance}{error.remedy}"
            self.note(logging.INFO, f"{app} {error.remedy}", line)

    def _forget(self, now_s: float) -> None:
        """Kinds that would be logged again at once: what came an hour ago must not hide what comes now."""
        kinds = self._kinds.items()
        self._kinds = {kind: seen for kind, seen in kinds if now_s - seen[0] < self._every_s}
