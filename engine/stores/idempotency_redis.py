"""Answers to publishes with an idempotency key, kept in Redis for all workers: one string with an expiry for each.

Redis is not trusted: a value that is no answer of ours counts as that of a request under way.
"""

from __future__ import annotations

import hashlib

from redis.asyncio import Redis

from engine.redis.scripts import bounded

#: How long one command may take.
TIMEOUT_S = 2.0
#: No answer to a publish is longer.
MAX_ANSWER_BYTES = 1024 * 1024


class RedisAnswers:
    """interfaces.IdempotencyStore in Redis; every method raises StoreUnavailable when Redis cannot be reached.

    :param client: gives bytes (no `decode_responses`).
    :param prefix: start of every key.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def claim(self, app_id: str, key: str, claim_s: int) -> bytes | None:
        name = self._name(app_id, key)
        async with bounded("idempotency key", TIMEOUT_S):
            if await self._client.set(name, b"", nx=True, ex=claim_s):
                return None
            found = await self._client.getrange(name, 0, MAX_ANSWER_BYTES)
        return _answer(found)

    async def keep(self, app_id: str, key: str, answer: bytes, ttl_s: int) -> None:
        async with bounded("idempotency answer", TIMEOUT_S):
            await self._client.set(self._name(app_id, key), answer, ex=ttl_s)

    async def release(self, app_id: str, key: str) -> None:
        async with bounded("idempotency release", TIMEOUT_S):
            await self._client.delete(self._name(app_id, key))

    def _name(self, app_id: str, key: str) -> str:
        """Whatever a caller takes for a key, its name here is short."""
        return f"{self._prefix}{app_id}/{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _answer(value: object) -> bytes:
    if isinstance(value, bytes) and len(value) <= MAX_ANSWER_BYTES and value[:1] == b"{" and value[-1:] == b"}":
        return value
    return b""
