"""Keeps descriptors free for publishes, Redis and webhooks: clients that would take the last ones get 4100.

Without it the kernel refuses to accept, and every client waits without a word.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable

from engine.errors import CloseCode, PusherError
from engine.log.notices import Notices

#: Of the limit, what clients do not get; within bounds.
RESERVE_SHARE, RESERVE_MIN, RESERVE_MAX = 0.1, 16, 256
_NO_LIMIT = 2**31

_log = logging.getLogger(__name__)


class Descriptors:
    """:param limit: descriptors that this process may have. :param now_s: monotonic seconds.
    :ivar first_kept: no client gets this number, or a higher one.
    """

    def __init__(self, limit: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self.first_kept = limit - int(min(max(limit * RESERVE_SHARE, RESERVE_MIN), RESERVE_MAX))
        self._limit = limit
        self._notices = Notices(_log, now_s)

    def refusal(self, transport: asyncio.Transport) -> PusherError | None:
        """Why this connection must go. The kernel gives the lowest free number: a high one means that few are left."""
        sock = transport.get_extra_info("socket")
        if sock is None or sock.fileno() < self.first_kept:
            return None
        text = f"newcomers are sent away: nearly all of the {self._limit} files that it may open are open"
        self._notices.note(logging.ERROR, "full", text)
        return PusherError(CloseCode.OVER_CAPACITY, "The server is over capacity")


def of_this_process() -> Descriptors:
    """By the limit that the kernel has set now."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Descriptors(_NO_LIMIT if limit == resource.RLIM_INFINITY else limit)
