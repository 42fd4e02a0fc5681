"""Which implementation of each interface a worker uses: one table for each family of drivers, by the word that the
configuration resolves to. The only file of the worker that names drivers; it connects them to nothing else.

The queue's table is shared with the operator's commands (`webhooks/queues/drivers.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from redis.asyncio import Redis

from engine._fast.hub import Hub
from engine.adapter.local import LocalAdapter
from engine.adapter.redis import RedisAdapter
from engine.adapter.redis_cluster import RedisClusterAdapter
from engine.adapter.shared_memory import SharedMemoryAdapter
from engine.config.redis import RedisOptions
from engine.control import WorkerSpec
from engine.history.memory import MemoryHistory
from engine.history.redis import RedisHistory, streams_of_topics
from engine.interfaces import (
    Adapter,
    AppSource,
    CacheStore,
    ClusterEvents,
    HistoryStore,
    IdempotencyStore,
    OccupancyStore,
    RateLimiter,
    WebhookQueue,
)
from engine.metrics.metrics import Metrics
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_state import MemoryState
from engine.occupancy.redis import RedisOccupancy
from engine.occupancy.redis_keys import Keys
from engine.redis.pool import RedisClient, connect
from engine.stores.cache_memory import MemoryCache, NoCache
from engine.stores.cache_redis import RedisCache
from engine.stores.idempotency_memory import MemoryAnswers
from engine.stores.idempotency_redis import RedisAnswers
from engine.stores.rate_limit_memory import MemoryRateLimiter
from engine.stores.rate_limit_redis import RedisRateLimiter
from engine.webhooks.queues.drivers import DRIVERS as QUEUES
from engine.webhooks.queues.drivers import Opening

#: Time-out of one command to Redis; a lost Redis is noticed within this time.
REDIS_TIMEOUT_S = 2.5

#: What one worker alone keeps in its memory of who came and went.
PRESENCE_BYTES = 64 * 1024 * 1024

#: (app id, channel) -> whether its totals are announced to workers.
Announced = Callable[[str, str], bool]


class Drivers:
    """:param metrics: where drivers count what goes through them, and what they cannot read.
    :ivar client: the life of the Redis client that the drivers share.
    :ivar log: of the workers of this host, not yet joined, and this one's eventfd; None where events go through Redis.
    """

    def __init__(self, spec: WorkerSpec, slot: int, metrics: Metrics) -> None:
        self.config = spec.loaded.config
        self.metrics = metrics
        self._words = spec.loaded.resolved
        self._connected = None if spec.redis is None else (connect(spec.redis), spec.redis)
        self.client = RedisClient(None if self._connected is None else self._connected[0])
        #: (topic) -> the life of the server that has it; as the adapter says, once there is one.
        self.life_of: Callable[[str], str] = lambda topic: ""
        self.log = None if spec.log is None else (spec.log.open(slot), spec.log.wakers[slot])

    def occupancy(self, events: ClusterEvents) -> tuple[OccupancyStore, HistoryStore]:
        """Who is where, and who came and went, as far as that is kept."""
        return _OCCUPANCY[self._words.adapter](self, events)

    def adapter(self, hub: Hub, events: ClusterEvents, announced: Announced) -> tuple[Adapter, HistoryStore]:
        """The adapter, and what it keeps. :param announced: whether a channel's totals are announced to workers."""
        return _ADAPTERS[self._words.adapter](self, hub, events, announced)

    def cache(self) -> CacheStore:
        return _CACHES[self._words.cache](self)

    def rate_limiter(self) -> RateLimiter:
        return _RATE_LIMITERS[self._words.rate_limiter](self)

    def answers(self) -> IdempotencyStore:
        return _ANSWERS[self._words.adapter](self)

    def queue(self, incarnation: str) -> WebhookQueue:
        # A Redis that holds neither occupancy nor jobs is none of the queue's business: commits cannot push to it.
        redis = self._connected if "redis" in (self._words.adapter, self._words.queue) else None
        return QUEUES[self._words.queue].open(Opening(self.config.queue, incarnation, redis, self.metrics))

    def app_source(self) -> AppSource | None:
        """None where applications are in the configuration."""
        driver = self.config.app_manager.driver
        if driver == "memory":
            return None
        # Imported only here: a database's client is an optional dependency.
        from engine.apps.sources.build import build_source

        return build_source(self.config.database, driver)

    # --- what the rows below are made from

    @property
    def redis(self) -> Redis:
        assert self._connected is not None
        return self._connected[0]

    @property
    def options(self) -> RedisOptions:
        assert self._connected is not None
        return self._connected[1]


def _redis_occupancy(on: Drivers, _: ClusterEvents) -> tuple[OccupancyStore, HistoryStore]:
    topics = on.options.beside_occupancy(on.config.adapter.redis.prefix)
    prefix = on.config.database.redis.key_prefix
    keys = Keys(prefix)

    def life() -> str:
        return on.life_of(topics)

    store = RedisOccupancy(on.redis, prefix, topics, REDIS_TIMEOUT_S, metrics=on.metrics, life=life)
    return store, RedisHistory(on.redis, lambda app_id, channel: (keys.presence_history(app_id, channel), life()))


def _memory_occupancy(on: Drivers, events: ClusterEvents) -> tuple[OccupancyStore, HistoryStore]:
    announced = (events.on_member_change, events.on_wake)
    state = MemoryState(*announced, on_total_change=events.on_total_change, metrics=on.metrics)
    kept = MemoryHistory(max_bytes=PRESENCE_BYTES)
    return MemoryOccupancy(state, keep=kept.keep), kept


def _redis_adapter(on: Drivers, hub: Hub, events: ClusterEvents, announced: Announced) -> tuple[Adapter, HistoryStore]:
    """One server, a cluster, or the log of one host."""
    config, key_prefix = on.config.adapter, on.config.database.redis.key_prefix
    given = (hub, on.options, config.redis.prefix, config.fallback_to_local, events, on.metrics.adapter, key_prefix)
    adapter: RedisAdapter
    if on.options.nodes:
        adapter = RedisClusterAdapter(*given, announced)
    elif on.log is not None:
        adapter = SharedMemoryAdapter(*given, *on.log)
    else:
        adapter = RedisAdapter(*given)
    on.life_of = adapter.life_of
    return adapter, RedisHistory(on.redis, streams_of_topics(key_prefix, config.redis.prefix, adapter.life_of))


def _local_adapter(_: Drivers, hub: Hub, events: ClusterEvents, __: Announced) -> tuple[Adapter, HistoryStore]:
    history = MemoryHistory()
    return LocalAdapter(hub, events.on_terminate, history), history


_OCCUPANCY: dict[str, Callable[[Drivers, ClusterEvents], tuple[OccupancyStore, HistoryStore]]] = {
    "local": _memory_occupancy,
    "redis": _redis_occupancy,
}
_ADAPTERS: dict[str, Callable[[Drivers, Hub, ClusterEvents, Announced], tuple[Adapter, HistoryStore]]] = {
    "local": _local_adapter,
    "redis": _redis_adapter,
}
_CACHES: dict[str, Callable[[Drivers], CacheStore]] = {
    "memory": lambda on: MemoryCache(on.config.cache.memory.max_capacity),
    "redis": lambda on: RedisCache(on.redis, on.config.cache.redis.prefix),
    "none": lambda _: NoCache(),
}
_RATE_LIMITERS: dict[str, Callable[[Drivers], RateLimiter]] = {
    "memory": lambda _: MemoryRateLimiter(),
    "redis": lambda on: RedisRateLimiter(on.redis, on.config.rate_limiter.redis.prefix),
}
#: By the word of the adapter: answers are shared by those who share events.
_ANSWERS: dict[str, Callable[[Drivers], IdempotencyStore]] = {
    "local": lambda _: MemoryAnswers(),
    "redis": lambda on: RedisAnswers(on.redis, f"{on.config.database.redis.key_prefix}idempotency:"),
}
