"""The last events of cache channels, counted requests, and answers that are given again.

Types only.
"""

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


class IdempotencyStore(Protocol):
    """Answers to publishes that carry an idempotency key."""

    async def claim(self, app_id: str, key: str, claim_s: int) -> bytes | None:
        """None: the key was free and is now the caller's, for so long. b"": another caller's. Else: the answer kept."""

    async def keep(self, app_id: str, key: str, answer: bytes, ttl_s: int) -> None:
        """What `claim` gives from now on, for so long."""

    async def release(self, app_id: str, key: str) -> None:
        """The key is free again."""
