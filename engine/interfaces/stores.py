"""The last events of cache channels, and counted requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class CacheStore(Protocol):
    """The last event of each cache channel."""

    async def put(self, app_id: str, channel: str, event: str, data: str, ttl_s: int) -> None: ...

    async def get(self, app_id: str, channel: str) -> tuple[str, str, int] | None:
        """(event, data, whole seconds left) or None."""


@dataclass(frozen=True, slots=True)
class RateDecision:
    """Whether a request may pass, and the figures for the X-RateLimit headers; `retry_after_s` is 0 when it may."""

    allowed: bool
    limit: int
    remaining: int
    retry_after_s: int


class RateLimiter(Protocol):
    """Counts requests of a key in fixed windows."""

    async def hit(self, key: str, limit: int, window_s: int, cost: int = 1) -> RateDecision: ...
