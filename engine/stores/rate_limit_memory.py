"""Rate limits counted in this process. For a single worker: several would only count each for itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from engine.interfaces import RateDecision

#: Windows kept at most; past it those that have ended are dropped, then those that began longest ago.
MAX_KEYS = 100_000


class MemoryRateLimiter:
    """interfaces.RateLimiter in memory. :param clock: monotonic seconds."""

    def __init__(self, max_keys: int = MAX_KEYS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_keys = max_keys
        self._clock = clock
        # key -> (when its window ends, cost counted in it); the oldest window first.
        self._windows: dict[str, tuple[float, int]] = {}

    async def hit(self, key: str, limit: int, window_s: int, cost: int = 1) -> RateDecision:
        """A window begins with its first request. A refused request costs nothing."""
        now_s = self._clock()
        ends_s, used = self._windows.get(key, (0.0, 0))
        if ends_s <= now_s:
            self._windows.pop(key, None)
            ends_s, used = now_s + window_s, 0
        if used + cost > limit:
            return RateDecision(False, limit, max(limit - used, 0), max(1, math.ceil(ends_s - now_s)))
        self._windows[key] = (ends_s, used + cost)
        if len(self._windows) > self._max_keys:
            self._make_room(now_s)
        return RateDecision(True, limit, limit - used - cost, 0)

    def _make_room(self, now_s: float) -> None:
        self._windows = {key: window for key, window in self._windows.items() if window[0] > now_s}
        while len(self._windows) > self._max_keys:
            del self._windows[next(iter(self._windows))]
