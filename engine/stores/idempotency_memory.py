"""Answers to publishes with an idempotency key, kept in this process.

For a single worker only: nobody else sees them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Keys kept at most; past it the oldest go.
MAX_KEYS = 100_000


class MemoryAnswers:
    """interfaces.IdempotencyStore in memory. :param clock: monotonic seconds."""

    def __init__(self, max_keys: int = MAX_KEYS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_keys = max_keys
        self._clock = clock
        # (app id, key) -> (when it is forgotten, answer or b""); the one noted longest ago first.
        self._answers: dict[tuple[str, str], tuple[float, bytes]] = {}

    async def claim(self, app_id: str, key: str, claim_s: int) -> bytes | None:
        found = self._answers.get((app_id, key))
        if found is not None and found[0] > self._clock():
            return found[1]
        self._note(app_id, key, b"", claim_s)
        return None

    async def keep(self, app_id: str, key: str, answer: bytes, ttl_s: int) -> None:
        self._note(app_id, key, answer, ttl_s)

    async def release(self, app_id: str, key: str) -> None:
        self._answers.pop((app_id, key), None)

    def _note(self, app_id: str, key: str, answer: bytes, for_s: int) -> None:
        self._answers.pop((app_id, key), None)
        self._answers[app_id, key] = (self._clock() + for_s, answer)
        if len(self._answers) > self._max_keys:
            del self._answers[next(iter(self._answers))]
