"""Sends clients to another worker or node, or to come back later: each with a close frame, at a pace.

A client that is cut without a close frame pings every 10 s for the rest of its page's life (pusher-js 8.6.0).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine.errors import CloseCode
from engine.protocol import messages

#: Clients of one slice, without a pace: between two of them the loop turns.
SLICE = 200
#: Slices of one second, with a pace.
SLICES_PER_SECOND = 20
REASON = "The server is going away; connect again"
#: Libraries that look at errors and not at close codes (Pysher) come back at once after this one.
_COME_BACK = text_frame(messages.error(CloseCode.RECONNECT, REASON))


async def send_away(
    connections: Sequence[Connection],
    code: CloseCode,
    pace_per_second: float = 0.0,
    within_s: float | None = None,
    settle: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Return when each of them has been sent a close frame, in an order of chance.

    :param pace_per_second: 0 is as fast as the loop turns. :param within_s: the pace is raised so that this is enough.
    :param settle: hands over what was published until now; with a pace it is awaited before each slice, since a worker
        that had to wait for a processor may have slept over an event that its clients are still to get.
    """
    remaining = list(connections)
    random.shuffle(remaining)
    if pace_per_second and within_s is not None and len(remaining) > pace_per_second * within_s:
        pace_per_second = len(remaining) / within_s if within_s > 0 else 0.0
    loop = asyncio.get_running_loop()
    began = loop.time()
    sent = 0
    while remaining:
        if pace_per_second and settle is not None:
            await settle()
        if pace_per_second:
            # Jitter, so that slices of several workers do not fall together. By the clock, so that no time is lost.
            due = int((loop.time() - began + random.uniform(0.5, 1.5) / SLICES_PER_SECOND) * pace_per_second) - sent
        else:
            due = SLICE
        for _ in range(min(due, len(remaining))):
            connection = remaining.pop()
            if not connection.closing:
                connection.send(_COME_BACK)
                connection.close(code, REASON)
            sent += 1
        if remaining:
            await asyncio.sleep(random.uniform(0.5, 1.5) / SLICES_PER_SECOND if pace_per_second else 0)
