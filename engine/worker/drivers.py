"""Which implementation of each interface a worker uses: one table for each family of drivers, by the word that the
configuration resolves to. The only file of the worker that names drivers, with `redis_drivers.py`; it connects them to
nothing else.

The queue's table is shared with the operator's commands (`webhooks/queues/drivers.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine._fast.hub import Hub
from engine.adapter.local import LocalAdapter
from engine.control import WorkerSpec
from engine.history.memory import MemoryHistory
from engine.interfaces import (
    Adapter,
    AppSource,
    CacheStore,
    ClusterEvents,
    HistoryStore,
    IdempotencyStore,
    OccupancyPages,
    OccupancyStore,
    RateLimiter,
    WebhookQueue,
)
from engine.machine.collector import resting
from engine.metrics.metrics import Metrics
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_pages import MemoryPages
from engine.occupancy.memory_state import MemoryState
from engine.peers.guard import guard
from engine.stores.cache_memory import MemoryCache, NoCache
from engine.stores.idempotency_memory import MemoryAnswers
from engine.stores.rate_limit_memory import MemoryRateLimiter
from engine.webhooks.queues.drivers import DRIVERS as QUEUES
from engine.webhooks.queues.drivers import Opening

if TYPE_CHECKING:
    from engine.worker.redis_drivers import RedisDrivers

#: What one worker alone keeps in its memory of who came and went.
PRESENCE_BYTES = 64 * 1024 * 1024

#: (app id, channel) -> whether its totals are announced to workers.
Announced = Callable[[str, str], bool]


class Drivers:
    """:param metrics: where drivers count what goes through them, and what they cannot read.
    :ivar of_redis: what there is where there is a Redis, the life of its client with it.
    :ivar pages: of who is where, if that is in this process; made with `occupancy`.
    """

    def __init__(self, spec: WorkerSpec, slot: int, metrics: Metrics) -> None:
        self.config = spec.loaded.config
        self.metrics = metrics
        self._words = spec.loaded.resolved
        self.of_redis: RedisDrivers | None = None
        self.pages: OccupancyPages | None = None
        if spec.redis is not None:
            with resting():
                from engine.worker.redis_drivers import RedisDrivers

            self.of_redis = RedisDrivers(spec, spec.redis, slot, metrics)

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
        used = "redis" in (self._words.adapter, self._words.queue)
        redis = (self.redis.client, self.redis.options) if used else None
        server = self.redis.server if used else None
        driver = QUEUES[self._words.queue]
        queue = driver.open(Opening(self.config.queue, incarnation, redis, self.metrics, server))
        return queue if driver.kept_in == "worker" else guard(queue, "queue", self.metrics.peers.failed)

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
    def redis(self) -> RedisDrivers:
        assert self.of_redis is not None, "a driver is `redis`"
        return self.of_redis


def _memory_occupancy(on: Drivers, events: ClusterEvents) -> tuple[OccupancyStore, HistoryStore]:
    announced = (events.on_member_change, events.on_wake)
    state = MemoryState(*announced, on_total_change=events.on_total_change, metrics=on.metrics)
    kept = MemoryHistory(max_bytes=PRESENCE_BYTES)
    on.pages = MemoryPages(state)
    return MemoryOccupancy(state, keep=kept.keep), kept


def _local_adapter(_: Drivers, hub: Hub, events: ClusterEvents, __: Announced) -> tuple[Adapter, HistoryStore]:
    history = MemoryHistory()
    return LocalAdapter(hub, events.on_terminate, history), history


_OCCUPANCY: dict[str, Callable[[Drivers, ClusterEvents], tuple[OccupancyStore, HistoryStore]]] = {
    "local": _memory_occupancy,
    "redis": lambda on, _: on.redis.occupancy(),
}
_ADAPTERS: dict[str, Callable[[Drivers, Hub, ClusterEvents, Announced], tuple[Adapter, HistoryStore]]] = {
    "local": _local_adapter,
    "redis": lambda on, hub, events, announced: on.redis.adapter(hub, events, announced),
}
_CACHES: dict[str, Callable[[Drivers], CacheStore]] = {
    "memory": lambda on: MemoryCache(on.config.cache.memory.max_capacity),
    "redis": lambda on: on.redis.cache(),
    "none": lambda _: NoCache(),
}
_RATE_LIMITERS: dict[str, Callable[[Drivers], RateLimiter]] = {
    "memory": lambda _: MemoryRateLimiter(),
    "redis": lambda on: on.redis.rate_limiter(),
}
#: By the word of the adapter: answers are shared by those who share events.
_ANSWERS: dict[str, Callable[[Drivers], IdempotencyStore]] = {
    "local": lambda _: MemoryAnswers(),
    "redis": lambda on: on.redis.answers(),
}
