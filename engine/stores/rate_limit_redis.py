"""Rate limits counted in Redis, for all workers together: one counter with an expiry for each window.

One script a request; nothing is decided between two replies.
"""

from __future__ import annotations

import math

from redis.asyncio import Redis

from engine.errors import StoreUnavailable
from engine.interfaces import RateDecision
from engine.redis import scripts

#: How long one decision may take; past it the caller decides without one.
TIMEOUT_S = 1.0

_SCRIPT = scripts.load("rate_limit")


class RedisRateLimiter:
    """interfaces.RateLimiter in Redis. `hit` raises StoreUnavailable when nothing can be counted.

    :param prefix: start of every key.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def hit(self, key: str, limit: int, window_s: int, cost: int = 1) -> RateDecision:
        """A window begins with its first request. A refused request costs nothing."""
        args = (limit, window_s * 1000, cost)
        reply = await scripts.run(self._client, _SCRIPT, [self._prefix + key], args, TIMEOUT_S)
        if not isinstance(reply, list) or len(reply) != 3 or not all(isinstance(part, int) for part in reply):
            raise StoreUnavailable("rate_limit: unexpected reply")
        allowed, used, left_ms = reply
        retry_after_s = 0 if allowed else max(1, math.ceil(left_ms / 1000))
        return RateDecision(bool(allowed), limit, max(limit - used, 0), retry_after_s)
