"""The drivers of a worker that keeps state in Redis; `drivers.py` chooses among them and the others.

It chooses nothing. A worker without Redis does not load it, since Redis's client takes a tenth of a worker's start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from engine._fast.hub import Hub
from engine.adapter.redis import RedisAdapter
from engine.adapter.redis_cluster import RedisClusterAdapter
from engine.adapter.shared_memory import SharedMemoryAdapter
from engine.config.redis import RedisOptions
from engine.control import WorkerSpec
from engine.history.redis import RedisHistory, streams_of_topics
from engine.interfaces import (
    Adapter,
    CacheStore,
    ClusterEvents,
    HistoryStore,
    IdempotencyStore,
    OccupancyStore,
    RateLimiter,
)
from engine.metrics.metrics import Metrics
from engine.occupancy.redis import RedisOccupancy
from engine.occupancy.redis_keys import Keys
from engine.peers.guard import guard
from engine.redis.pool import connect, publish
from engine.redis.suitability import Ground, Suitability, answers_prefix
from engine.stores.cache_redis import RedisCache
from engine.stores.idempotency_redis import RedisAnswers
from engine.stores.rate_limit_redis import RedisRateLimiter

D = TypeVar("D")

#: Time-out of one command to Redis; a lost Redis is noticed within this time.
REDIS_TIMEOUT_S = 2.5


class RedisDrivers:
    """A part: its end is the client's.

    :ivar client: what the drivers share; it connects when it is first used.
    :ivar server: whether that server does for the engine; what changes its state asks first.
    """

    def __init__(self, spec: WorkerSpec, options: RedisOptions, slot: int, metrics: Metrics) -> None:
        self.client = connect(options)
        self.options = options
        self._config = spec.loaded.config
        self._metrics = metrics
        ground = Ground.of(self._config, options, Keys(self._config.database.redis.key_prefix).base)
        self.server = Suitability(self.client, ground, clustered=bool(options.nodes))
        #: (topic) -> the life of the server that has it; as the adapter says, once there is one.
        self._life_of: Callable[[str], str] = lambda topic: ""
        #: Of the workers of this host, not yet joined, and this one's eventfd; None where events go through Redis.
        self._log = None if spec.log is None else (spec.log.open(slot), spec.log.wakers[slot])

    async def start(self) -> None:
        """The client connects when it is first used."""

    async def stop(self) -> None:
        await self.client.aclose()

    async def publish(self, topic: bytes, message: bytes) -> int:
        """How many heard it. What asks for order or speed goes through the adapter."""
        return await publish(self.client, self.options, topic, message)

    def occupancy(self) -> tuple[OccupancyStore, HistoryStore]:
        """Who is where, and who came and went, as far as that is kept."""
        topics = self.options.beside_occupancy(self._config.adapter.redis.prefix)
        prefix = self._config.database.redis.key_prefix
        keys = Keys(prefix)

        def life() -> str:
            return self._life_of(topics)

        given = (self.client, prefix, topics, REDIS_TIMEOUT_S)
        store = RedisOccupancy(*given, metrics=self._metrics, life=life, server=self.server)
        kept = RedisHistory(self.client, lambda app_id, channel: (keys.presence_history(app_id, channel), life()))
        return self._guarded("occupancy", store), self._guarded("history", kept)

    def adapter(
        self, hub: Hub, events: ClusterEvents, announced: Callable[[str, str], bool]
    ) -> tuple[Adapter, HistoryStore]:
        """One server, a cluster, or the log of one host. :param announced: as `Drivers.adapter` has it."""
        config, key_prefix = self._config.adapter, self._config.database.redis.key_prefix
        counted = self._metrics.adapter
        given = (hub, self.options, config.redis.prefix, config.fallback_to_local, events, counted, key_prefix)
        adapter: RedisAdapter
        if self.options.nodes:
            adapter = RedisClusterAdapter(*given, announced)
        elif self._log is not None:
            adapter = SharedMemoryAdapter(*given, *self._log)
        else:
            adapter = RedisAdapter(*given)
        self._life_of = adapter.life_of
        kept = RedisHistory(self.client, streams_of_topics(key_prefix, config.redis.prefix, adapter.life_of))
        return adapter, self._guarded("history", kept)

    def cache(self) -> CacheStore:
        return self._guarded("cache", RedisCache(self.client, self._config.cache.redis.prefix))

    def rate_limiter(self) -> RateLimiter:
        return self._guarded("limits", RedisRateLimiter(self.client, self._config.rate_limiter.redis.prefix))

    def answers(self) -> IdempotencyStore:
        return self._guarded("idempotency", RedisAnswers(self.client, answers_prefix(self._config)))

    def _guarded(self, part: str, driver: D) -> D:
        return guard(driver, part, self._metrics.peers.failed)
