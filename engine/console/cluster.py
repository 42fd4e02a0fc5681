"""What Redis says of the cluster and of itself: who leads, whose heartbeats are there, how it is.

Reads only, in two round trips, whatever the cluster holds.
"""

from __future__ import annotations

import time
from typing import Any

from redis.asyncio import Redis

from engine.errors import StoreUnavailable
from engine.occupancy.redis_keys import Keys
from engine.redis.scripts import bounded

TIMEOUT_S = 2.0
#: Workers of other nodes that are shown.
MAX_WORKERS = 256
_INFO = (
    "redis_version",
    "valkey_version",
    "role",
    "used_memory",
    "maxmemory",
    "maxmemory_policy",
    "connected_clients",
    "instantaneous_ops_per_sec",
    "uptime_in_seconds",
    "aof_enabled",
    "rdb_last_bgsave_status",
)


class Cluster:
    """:param client: with replies as bytes. :param clustered: it is a Redis Cluster, which has no one server to ask how
    it is."""

    def __init__(self, client: Redis, keys: Keys, *, clustered: bool, timeout_s: float = TIMEOUT_S) -> None:
        self._client = client
        self._keys = keys
        self._clustered = clustered
        self._timeout_s = timeout_s

    async def read(self) -> dict[str, Any]:
        """`leader` (an incarnation, or ""), `workers` (incarnation -> seconds since its heartbeat) and `redis`; with
        `error` alone where Redis cannot be reached."""
        try:
            return await self._read()
        except StoreUnavailable as error:
            return {"error": str(error)}

    async def _read(self) -> dict[str, Any]:
        began = time.perf_counter()
        async with bounded("cluster", self._timeout_s), self._client.pipeline(transaction=False) as pipe:
            pipe.zrange(self._keys.workers, 0, MAX_WORKERS - 1, withscores=True)
            pipe.zcard(self._keys.workers)
            pipe.get(f"{self._keys.base}lease")
            workers, number, leader = await pipe.execute()
        took_ms = (time.perf_counter() - began) * 1000
        redis: dict[str, Any] = {"answer_ms": round(took_ms, 2), "clustered": self._clustered}
        now_ms = time.time() * 1000
        if not self._clustered:
            async with bounded("cluster", self._timeout_s):
                seconds, microseconds = await self._client.time()
                info = await self._client.info()
            now_ms = seconds * 1000 + microseconds / 1000
            redis |= {name: info[name] for name in _INFO if name in info}
        beats = {
            _text(name): round(max(0.0, now_ms - beat) / 1000, 1)
            for name, beat in workers
            if beat  # 0: it has left
        }
        return {"leader": _text(leader or b""), "workers": beats, "number": number, "redis": redis}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
