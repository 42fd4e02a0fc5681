"""Everything a worker consists of, built from its configuration and wired together; nothing starts here.

Belongs to worker.py, which walks `in_order` forwards to start and backwards to stop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis

from engine._fast.connection import Turn
from engine._fast.hub import Hub
from engine.adapter.local import LocalAdapter
from engine.adapter.redis import RedisAdapter
from engine.adapter.redis_cluster import ClusterAdapter
from engine.adapter.shared_memory import HostAdapter
from engine.apps.build import build_apps
from engine.apps.entries import Entries
from engine.apps.poll import AppPoll
from engine.apps.registry import MemoryAppManager
from engine.config.redis import RedisOptions
from engine.config.root import Config
from engine.control import WorkerSpec
from engine.http.application import build_api, build_application, build_runner
from engine.http.fast_path import Publishing
from engine.http.health import Health
from engine.interfaces import (
    Adapter,
    Answer,
    AnswerStore,
    CacheStore,
    MemberChange,
    OccupancyStore,
    RateLimiter,
    TotalChange,
    WebhookQueue,
)
from engine.leader.leader import build_leader
from engine.metrics.metrics import Metrics
from engine.metrics.values import BufferedValues, MappedValues
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_state import MemoryState
from engine.occupancy.redis import RedisOccupancy
from engine.occupancy.reporter import Reporter
from engine.protocol.channel import WATCH_PREFIX
from engine.publisher import Publisher
from engine.redis.pool import RedisClient, connect
from engine.stores.cache_memory import MemoryCache, NoCache
from engine.stores.cache_redis import RedisCache
from engine.stores.idempotency_memory import MemoryAnswers
from engine.stores.idempotency_redis import RedisAnswers
from engine.stores.rate_limit_memory import MemoryRateLimiter
from engine.stores.rate_limit_redis import RedisRateLimiter
from engine.tasks import serve, serve_eagerly
from engine.webhooks.batcher import Batcher
from engine.webhooks.delivery.attempts import Attempts
from engine.webhooks.delivery.consumer import Delivery
from engine.webhooks.emitter import Emitter
from engine.webhooks.interest import InterestOfApps
from engine.webhooks.queues.memory import MemoryQueue
from engine.webhooks.queues.redis import RedisQueue
from engine.webhooks.queues.sqs.outbox import MemoryOutbox, RedisOutbox
from engine.webhooks.senders.registry import Senders
from engine.worker.app_updates import Changeover
from engine.worker.listener import Listener
from engine.worker.tls import server_context
from engine.worker.traffic_metrics import Figures
from engine.worker.webhook_drain import Flush
from engine.ws.accept import Acceptor
from engine.ws.client_events import ClientEvents
from engine.ws.handlers import Handlers
from engine.ws.keepalive import Keepalive
from engine.ws.limits import AddressLimit
from engine.ws.rosters import Rosters
from engine.ws.signin import Signin
from engine.ws.subscription_counts import SubscriptionCounts
from engine.ws.subscriptions import Subscriptions
from engine.ws.upgrade import Upgrade
from engine.ws.users import Users
from engine.ws.watchlists import Watchlists

#: Time-out of one command to Redis; a lost Redis is noticed within this time.
REDIS_TIMEOUT_S = 2.5
#: For requests under way when leadership ends. A drain has given them its own grace period before, and the supervisor
#: waits only a few seconds longer.
DELIVERY_GRACE_S = 2.0


class Part(Protocol):
    """What has a life of its own."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Parts:
    """:ivar in_order: parts with a life of their own, each after those it needs."""

    def __init__(self, spec: WorkerSpec, slot: int, listening: list[socket.socket]) -> None:
        self._spec, self._slot = spec, slot
        self._config = config = spec.loaded.config
        self._drivers = spec.loaded.resolved
        values = BufferedValues(MappedValues(Path(spec.metrics_dir), slot))
        self.metrics = Metrics(values)
        self.health = Health()
        from_file = config.app_manager.from_file
        self.apps = MemoryAppManager(build_apps(config) if from_file else ())
        self.metrics.set_apps(len(self.apps.all()))
        senders = Senders(allow_private_targets=config.webhooks.allow_private_targets)
        self._changeover = changeover = Changeover(self.apps, senders)
        self._poll = None if from_file else self._app_poll()
        self.hub = Hub(Turn(asyncio.get_running_loop().call_soon, config.websocket.max_backpressure))
        self._redis = connect(spec.redis) if spec.redis is not None else None
        self.users = Users(self.hub)
        self.rosters = Rosters(self.hub)
        self.counts = SubscriptionCounts(self.hub)
        self._adapter_was_up = self._adapter_missed = False
        self._interest_of = InterestOfApps(self.apps, config.webhooks.settle_ms)

        self.store = self._occupancy()
        health = config.adapter.cluster_health
        # A worker that is well must be heard several times before it counts as dead.
        heartbeat_s = min(health.heartbeat_interval_ms, health.node_timeout_ms / 4) / 1000
        self.reporter = Reporter(
            self.store, self._interest_of, self._on_store, self._on_resyncing, self._on_roster, heartbeat_s
        )
        self.adapter = self._adapter()
        self.watchlists = Watchlists(self.hub, self.adapter, self.store)
        cache = self._cache()
        limiter = self._limiter()
        self.queue = self._queue()
        attempts = Attempts(self.queue, self.apps, senders.by_kind, self.metrics, catch_up=changeover.catch_up)
        queue = config.queue.sqs if self._drivers.queue == "sqs" else config.queue.redis
        delivery = Delivery(self.queue, attempts, self.metrics, concurrency=queue.concurrency, grace_s=DELIVERY_GRACE_S)
        self.leader = build_leader(
            self.store,
            self.queue,
            self.apps,
            config.webhooks.batching,
            self._interest_of,
            self.metrics,
            incarnation=lambda: self.reporter.incarnation,
            node_timeout_ms=config.adapter.cluster_health.node_timeout_ms,
            delivery=delivery,
            departed=self.reporter.departed,
            catch_up=changeover.catch_up,
        )
        batcher = Batcher(self.leader.relay, config.webhooks.batching, self.metrics)
        emitter = Emitter(batcher)
        self.flush = Flush(
            self.store, self.queue, self.reporter, batcher, self.leader, self._drivers.adapter == "local"
        )
        publisher = Publisher(self.adapter, cache, self.metrics)
        self.subscriptions = Subscriptions(
            self.hub, self.adapter, self.reporter, self.rosters, self.counts, cache, emitter, self.metrics
        )
        keepalive = Keepalive(self.hub, config.activity_timeout)
        self.handlers = handlers = Handlers(
            self.hub,
            self.reporter,
            self.subscriptions,
            Signin(self.subscriptions, self.watchlists),
            self.watchlists,
            ClientEvents(self.subscriptions, publisher, emitter),
            keepalive,
            AddressLimit(limiter, config.rate_limiter.websocket_rate_limit, self.metrics),
            emitter,
            self.metrics,
            config.activity_timeout,
        )
        changeover.connect(self.hub, handlers, self.watchlists)
        per_address = config.rate_limiter.websocket_rate_limit
        limits_addresses = config.rate_limiter.enabled and per_address.enabled and per_address.max_requests > 0
        max_message_bytes = int(config.websocket_max_payload_kb * 1024)
        self.acceptor = Acceptor(
            self.apps,
            self.hub,
            handlers,
            config.path_prefix,
            max_message_bytes,
            config.max_connections,
            tls=config.ssl.enabled,
            trust_proto=config.ssl.trust_forwarded_proto,
            trust_hops=per_address.trust_hops if limits_addresses else None,
        )
        limit = config.rate_limiter.api_rate_limit
        api = build_api(
            apps=self.apps,
            publisher=publisher,
            occupancy=self.store,
            adapter=self.adapter,
            cache=cache,
            limiter=limiter,
            answers=self._answers(),
            health=self.health,
            metrics=self.metrics,
            path_prefix=config.path_prefix,
            config=config.http_api,
            idempotency=config.idempotency,
            limit=limit,
        )
        application = build_application(api, config.http_api, config.cors, limit)
        self.listener = Listener(
            listening,
            Upgrade(self.acceptor.accept, max_message_bytes, self.metrics),
            build_runner(application, self.metrics),
            # A limit of requests of one address needs aiohttp's reading of who that is.
            None if api.limits_addresses else Publishing(api, config.cors).answer,
            # With nothing but memory behind it a publish never waits.
            serve if self._drivers.redis_needed else serve_eagerly,
            config.path_prefix,
            config.http_api.request_limit_bytes,
            server_context(config.ssl),
        )
        self.figures = Figures(self.hub, self.reporter, self.metrics, values)
        self.in_order: list[Part] = [
            RedisClient(self._redis),
            senders,
            changeover,
            # Before anything that would give up what concerns an application it does not know.
            *([] if self._poll is None else [self._poll]),
            self.adapter,
            self.reporter,
            self.queue,
            batcher,
            self.leader,
            keepalive,
            self.watchlists,
            self.listener,
        ]

    async def follow(self, config: Config) -> None:
        """Serve the applications of a newer configuration, and by its limits; returns when everybody does."""
        if self._poll is None:
            # In a thread, as the reading of the configuration was.
            await self._changeover.replace(await asyncio.to_thread(build_apps, config))
            self.metrics.set_apps(len(self.apps.all()))
        else:
            self._poll.reconfigure(config)
            await self._poll.refresh()

    # --- drivers

    def _app_poll(self) -> AppPoll:
        # Imported only here: a database's client is an optional dependency.
        from engine.apps.sources.build import build_source

        config = self._config.app_manager
        assert config.driver != "memory"
        poll = AppPoll(
            build_source(self._config.database, config.driver),
            Entries(self._config, self.metrics),
            self._changeover.replace,
            self._on_stale,
            self.metrics.apps_unread,
            refresh_s=config.refresh_ms / 1000,
            ttl_s=config.cache.serves_s,
        )
        self._changeover.refresh = poll.refresh
        return poll

    def _occupancy(self) -> OccupancyStore:
        if self._drivers.adapter == "local":
            return MemoryOccupancy(
                MemoryState(self._on_member_change, self._on_wake, on_total_change=self._on_total_change)
            )
        topics = self._options().beside_occupancy(self._config.adapter.redis.prefix)
        return RedisOccupancy(self._client(), self._config.database.redis.key_prefix, topics, REDIS_TIMEOUT_S)

    def _adapter(self) -> Adapter:
        if self._drivers.adapter == "local":
            return LocalAdapter(self.hub, self.users.terminate)
        options, config = self._options(), self._config.adapter
        build: Callable[..., Adapter] = RedisAdapter
        if options.nodes:
            build = partial(
                ClusterAdapter, announced=lambda app_id, channel: self._interest_of(app_id, channel).announced
            )
        elif (files := self._spec.log) is not None:
            log, waker = files.open(self._slot), files.wakers[self._slot]
            build = partial(HostAdapter, log=log, waker=waker, on_missed=self._on_missed)
        return build(
            self.hub,
            options,
            config.redis.prefix,
            config.fallback_to_local,
            on_member_change=self._on_member_change,
            on_total_change=self._on_total_change,
            on_terminate=self.users.terminate,
            on_wake=self._on_wake,
            on_change=self._on_adapter,
        )

    def _cache(self) -> CacheStore:
        config = self._config.cache
        match self._drivers.cache:
            case "redis":
                return RedisCache(self._client(), config.redis.prefix)
            case "memory":
                return MemoryCache(config.memory.max_capacity)
            case _:
                return NoCache()

    def _limiter(self) -> RateLimiter:
        if self._drivers.rate_limiter == "redis":
            return RedisRateLimiter(self._client(), self._config.rate_limiter.redis.prefix)
        return MemoryRateLimiter()

    def _answers(self) -> AnswerStore:
        if self._drivers.adapter == "local":
            return MemoryAnswers()
        return RedisAnswers(self._client(), f"{self._config.database.redis.key_prefix}idempotency:")

    def _queue(self) -> WebhookQueue:
        config = self._config.queue
        if self._drivers.queue == "redis":
            prefix = self._options().beside_occupancy(config.redis.prefix)
            return RedisQueue(self._client(), prefix, self.reporter.incarnation)
        if self._drivers.queue == "sqs":
            # Imported only here: it costs a process 45 MiB.
            from engine.webhooks.queues.sqs.queue import SqsQueue

            if self._drivers.adapter == "local":
                return SqsQueue(config.sqs, MemoryOutbox())
            name = self._options().beside_occupancy(config.redis.prefix) + "outbox"
            return SqsQueue(config.sqs, RedisOutbox(self._client(), name))
        return MemoryQueue()

    def _options(self) -> RedisOptions:
        assert self._spec.redis is not None
        return self._spec.redis

    def _client(self) -> Redis:
        assert self._redis is not None
        return self._redis

    # What drivers tell, to parts that are built after them.

    def _on_member_change(self, change: MemberChange) -> None:
        self.rosters.changed(change)

    def _on_total_change(self, change: TotalChange) -> None:
        if change.channel.startswith(WATCH_PREFIX):
            self.watchlists.changed(change)
        else:
            self.counts.changed(change)

    def _on_wake(self) -> None:
        self.leader.wake()

    # --- health and figures

    def _on_stale(self, stale: bool) -> None:
        self.apps.stale = stale
        self._note(not stale, "apps", "the applications cannot be read")

    def _on_store(self, connected: bool) -> None:
        self._note(connected, "store", "shared state cannot be reached")

    def _on_adapter(self, connected: bool) -> None:
        self._note(connected, "adapter", "other workers cannot be reached")
        self.metrics.set_redis_connected(connected)
        self._adapter_missed |= self._adapter_was_up and not connected
        self._adapter_was_up |= connected
        if connected and self._adapter_missed:
            # Changes that others published meanwhile were not heard here.
            self._adapter_missed = False
            self.reporter.refresh()

    def _on_missed(self, count: int) -> None:
        self.metrics.add_missed(count)
        # As after a lost connection: what is kept of members and counts is compared with the truth.
        self.reporter.refresh()

    def _on_resyncing(self, resyncing: bool) -> None:
        self.rosters.resyncing = resyncing
        if not resyncing:
            self.watchlists.resync()

    def _on_roster(self, app_id: str, channel: str, answer: Answer, final: bool) -> None:
        if answer.roster is not None:
            self.rosters.resync(app_id, channel, answer.roster, answer.version, final)
        elif final and not channel.startswith("#"):
            self.counts.resync(app_id, channel, answer.total)

    def _note(self, well: bool, who: str, reason: str) -> None:
        if well:
            self.health.clear(who)
        else:
            self.health.set(who, reason)
