"""Waiting for an application or webhook that is named before this worker has heard of it.

Each name is waited for once and then only after a while, so that what exists nowhere holds nobody up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection

from engine.tasks import within

#: What something unknown is waited for, when another worker may have heard of it first.
CATCH_UP_S = 1.0
#: It is waited for again only so much later: a read of the database costs others nothing, a wait for the supervisor
#: holds up their webhooks.
READ_AGAIN_S = 1.0
WAIT_AGAIN_S = 10.0
#: Unknown names remembered for that.
MAX_UNKNOWN = 10_000


class CatchUp:
    """:param refresh: asks the database for the newest; None where another set comes from the supervisor."""

    def __init__(self, refresh: Callable[[], Awaitable[None]] | None = None) -> None:
        self._refresh = refresh
        self._replaced = asyncio.Event()
        #: What was waited for in vain, and when it may be again.
        self._unknown: dict[str, float] = {}

    async def wait(self, names: Collection[str]) -> None:
        """Something names applications or webhooks that are unknown here; another worker may have heard of them first.

        Returns when what is known is as new as can be had, soon in any case; at once when none of the names is new."""
        loop = asyncio.get_running_loop()
        if all(self._unknown.get(name, 0.0) > loop.time() for name in names):
            return
        with contextlib.suppress(TimeoutError):
            async with within(CATCH_UP_S):
                await (self._replaced.wait() if self._refresh is None else self._refresh())
        if len(self._unknown) + len(names) > MAX_UNKNOWN:
            self._unknown.clear()
        again_at = loop.time() + (WAIT_AGAIN_S if self._refresh is None else READ_AGAIN_S)
        self._unknown |= dict.fromkeys(names, again_at)

    def replaced(self) -> None:
        """Another set of applications is known from now on."""
        self._unknown.clear()
        self._replaced.set()
        self._replaced.clear()  # it wakes those who wait now, and nobody later
