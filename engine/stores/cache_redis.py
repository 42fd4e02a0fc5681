"""The last events of cache channels, kept in Redis for all workers: one string with an expiry for each channel.

The value is the JSON array [event, data]. Redis is not trusted: a value of any other form counts as none.
"""

from __future__ import annotations

import json

from redis.asyncio import Redis

from engine.redis.scripts import bounded

#: How long one command may take.
TIMEOUT_S = 2.0
#: A longer value was not written here and is not read; far above what an app may publish by default.
MAX_VALUE_BYTES = 16 * 1024 * 1024


class RedisCache:
    """interfaces.CacheStore in Redis.

    :param client: gives bytes (no `decode_responses`).
    :param prefix: start of every key.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def put(self, app_id: str, channel: str, event: str, data: str, ttl_s: int) -> None:
        key, value = self._key(app_id, channel), json.dumps([event, data], separators=(",", ":")).encode()
        async with bounded("cache write", TIMEOUT_S):
            if len(value) <= MAX_VALUE_BYTES:
                await self._client.set(key, value, ex=ttl_s)
            else:  # better none than the event before the last
                await self._client.delete(key)

    async def get(self, app_id: str, channel: str) -> tuple[str, str, int] | None:
        key = self._key(app_id, channel)
        async with bounded("cache read", TIMEOUT_S):
            # GETRANGE, so that a foreign value cannot be larger than this worker is ready to take.
            pipeline = self._client.pipeline(transaction=True)
            pipeline.getrange(key, 0, MAX_VALUE_BYTES)
            pipeline.pttl(key)
            value, ttl_ms = await pipeline.execute()
        found = _parse(value)
        return None if found is None else (*found, max(int(ttl_ms), 0) // 1000)

    def _key(self, app_id: str, channel: str) -> str:
        return f"{self._prefix}{app_id}/{channel}"


def _parse(value: object) -> tuple[str, str] | None:
    if not isinstance(value, bytes) or not value or len(value) > MAX_VALUE_BYTES:
        return None
    try:
        # Not orjson, which has no place for lone surrogates.
        pair = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], str):
        return pair[0], pair[1]
    return None
