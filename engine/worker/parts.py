"""Everything a worker consists of, built from its configuration and wired together; nothing starts here.

`in_order` says what has a life of its own: it is walked forwards to start and backwards to stop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Protocol

from engine._fast.hub import Hub
from engine._fast.queues import FlushQueue
from engine.app_manager import AppManager
from engine.apps.build import build_apps
from engine.apps.entries import Entries
from engine.apps.poll import AppPoll
from engine.config.limits import RateLimit
from engine.config.loading.load import Loaded
from engine.control import CONSOLE_SOCKETS, WorkerSpec
from engine.history.replay import Replays
from engine.http.application import build_api
from engine.http.health import Health
from engine.leader.leader import build_leader
from engine.log.notices import Notices
from engine.metrics.metrics import Metrics
from engine.metrics.values import MappedValues
from engine.occupancy.reporter import Reporter
from engine.protocol.address import Networks
from engine.protocol.channel import ChannelKind
from engine.protocol.forwarded import Callers
from engine.publisher import Publisher
from engine.tap.tap import Tap
from engine.webhooks.batcher import Batcher
from engine.webhooks.delivery.attempts import Attempts
from engine.webhooks.delivery.consumer import Delivery
from engine.webhooks.emitter import Emitter
from engine.webhooks.interest import InterestOfApps
from engine.webhooks.senders.registry import Senders
from engine.worker.app_updates import AppUpdates
from engine.worker.catch_up import CatchUp
from engine.worker.cluster_events import cluster_events
from engine.worker.console_calls import page_calls, publish_calls, queue_calls
from engine.worker.console_link import ConsoleLink
from engine.worker.drivers import Drivers
from engine.worker.entrances import Sockets, build_entrances
from engine.worker.max_age import MaxAge
from engine.worker.memory_guard import MemoryGuard
from engine.worker.outages import Outages
from engine.worker.process_metrics import ProcessWatch
from engine.worker.publish_path import fast_path, plain_client_events
from engine.worker.telemetry import build_spans
from engine.worker.tls import ServerTls
from engine.worker.trace import build_tracing
from engine.worker.trace_taps import Followed
from engine.worker.traffic_metrics import TrafficMetrics, latency_of
from engine.worker.webhook_drain import WebhookDrain
from engine.ws.accept import Acceptor
from engine.ws.address_quota import AddressQuota
from engine.ws.admission import AddressLimit, Admission
from engine.ws.client_events import ClientEvents
from engine.ws.handlers import Handlers
from engine.ws.keepalive import Keepalive
from engine.ws.refusal import Refusal
from engine.ws.rosters import Rosters
from engine.ws.signin import Signin
from engine.ws.subscription_counts import SubscriptionCounts
from engine.ws.subscriptions import Subscriptions
from engine.ws.users import Users
from engine.ws.watchlists import Watchlists

#: For requests under way when leadership ends. A drain has given them its own grace period before, and the supervisor
#: waits only a few seconds longer.
DELIVERY_GRACE_S = 2.0

_CONFLICT = (
    "a proxy of `trusted_proxies` sent both X-Forwarded-For and Forwarded, and they name different clients; neither is"
    " believed. Have it remove the one that it does not set: a client may have sent that"
)

_log = logging.getLogger(__name__)


class Part(Protocol):
    """What has a life of its own."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Parts:
    """:ivar in_order: parts with a life of their own, each after those it needs."""

    def __init__(self, spec: WorkerSpec, slot: int, listening: Sockets) -> None:
        self._config = config = spec.loaded.config
        self._resolved = spec.loaded.resolved
        self._alone = self._resolved.adapter == "local"
        self.values = MappedValues(Path(spec.metrics_dir), slot)
        self.metrics = Metrics(self.values, tuple(kind.label for kind in ChannelKind))
        self._drivers = Drivers(spec, slot, self.metrics)
        certificate = spec.loaded.certificate
        self._tls = None if certificate is None else ServerTls(certificate)
        self.tap = Tap()
        self.health = Health()
        self.apps = AppManager(build_apps(config) if config.app_manager.from_file else ())
        self.metrics.apps.serve(self.apps.all())
        self._trusted = Networks(config.trusted_proxies)
        call_soon = asyncio.get_running_loop().call_soon
        flush_queue = FlushQueue(call_soon, config.websocket.max_backpressure, config.websocket.max_frames_per_second)
        self.hub = Hub(flush_queue, latency_of(self.metrics.events))
        self._shared_state()
        self._webhooks()
        self._websocket()
        self._http(listening)
        self.process_watch = ProcessWatch(self.metrics.process, slot)
        self.memory_guard = MemoryGuard(config.websocket.memory_threshold, self._on_memory, self.metrics.process)
        self.traffic_metrics = TrafficMetrics(self.hub, self.reporter, self.metrics)
        followed = self._followed()
        self.tracing = build_tracing(slot, followed, self._drivers.of_redis, spec, self.tap)
        self.in_order: list[Part] = [
            self.process_watch,
            *build_spans(spec.loaded.telemetry, slot, config.port, followed, self.metrics),
            *([] if self._drivers.of_redis is None else [self._drivers.of_redis]),
            self._senders,
            self._app_updates,
            # Before anything that would give up what concerns an application it does not know.
            *([] if self._poll is None else [self._poll]),
            self.adapter,
            self.reporter,
            self._queue,
            self._batcher,
            self.leader,
            self._keepalive,
            self._max_age,
            self._watchlists,
            *([] if config.console.password is None else [self._console_link(Path(spec.metrics_dir), slot)]),
            self.listener,
            self.tracing,
        ]

    async def apply_config(self, loaded: Loaded) -> None:
        """Serve the applications of a newer configuration, by its limits and its certificate; returns when everybody
        does."""
        if self._tls is not None and loaded.certificate is not None:
            self._tls.replace(loaded.certificate)
        config = loaded.config
        if self._poll is None:
            # In a thread, as the reading of the configuration was.
            await self._app_updates.replace(await asyncio.to_thread(build_apps, config))
            self.metrics.apps.serve(self.apps.all())
        else:
            self._poll.reconfigure(config)
            await self._poll.refresh()

    def _on_memory(self, refusing: bool) -> None:
        self.acceptor.full = refusing

    # --- builders, in the order of the constructor; a lambda names a part that is built later than its caller

    def _shared_state(self) -> None:
        """What the workers of the cluster know together, and hear from each other."""
        config, hub = self._config, self.hub
        users, self._rosters, self._counts = Users(hub), Rosters(hub), SubscriptionCounts(hub)
        outages = Outages(
            self.health,
            self.metrics,
            self.apps,
            self._rosters,
            self._counts,
            compare=lambda: self.reporter.refresh(),
            ask_watched=lambda: self._watchlists.resync(),
        )
        redis = self._drivers.of_redis
        if redis is not None:
            redis.server.on_change, outages.doubt = outages.on_server, redis.server.doubt
        events = cluster_events(
            users,
            self._rosters,
            self._counts,
            outages,
            on_watched=lambda change: self._watchlists.changed(change),
            on_wake=lambda: self.leader.wake(),
            on_trace=lambda request: self.tracing.begin_elsewhere(request),
        )
        self._poll = self._app_poll(outages)
        self._interest_of = InterestOfApps(self.apps, config.webhooks.settle_ms)
        self._store, self._came_and_went = self._drivers.occupancy(events)
        health = config.adapter.cluster_health
        # A worker that is well must be heard several times before it counts as dead.
        heartbeat_s = min(health.heartbeat_interval_ms, health.node_timeout_ms / 4) / 1000
        self.reporter = Reporter(
            self._store, self._interest_of, outages.on_store, outages.on_resyncing, outages.on_roster, heartbeat_s
        )
        self.adapter, self._history = self._drivers.adapter(
            hub, events, lambda app_id, channel: self._interest_of(app_id, channel).announced
        )
        self._watchlists = Watchlists(hub, self.adapter, self._store)
        self._cache = self._drivers.cache()
        self._limiter = self._drivers.rate_limiter()

    def _app_poll(self, outages: Outages) -> AppPoll | None:
        source = self._drivers.app_source()
        if source is None:
            return None
        config = self._config.app_manager
        return AppPoll(
            source,
            Entries(self._config, self.metrics),
            lambda apps: self._app_updates.replace(apps),
            outages.on_stale,
            lambda: self.metrics.apps.unread.add(1),
            refresh_s=config.refresh_ms / 1000,
            ttl_s=config.cache.serves_s,
        )

    def _webhooks(self) -> None:
        """From what happened to what endpoints are sent; only the leader delivers."""
        config = self._config
        self._senders = Senders(allow_private_targets=config.webhooks.allow_private_targets)
        self._catch_up = CatchUp(None if self._poll is None else self._poll.refresh)
        self._queue = self._drivers.queue(self.reporter.incarnation)
        self._attempts = Attempts(
            self._queue, self.apps, self._senders.by_kind, self.metrics, catch_up=self._catch_up.wait, tap=self.tap
        )
        concurrency = config.queue.concurrency(self._resolved.queue)
        delivery = Delivery(
            self._queue, self._attempts, self.metrics, concurrency=concurrency, grace_s=DELIVERY_GRACE_S
        )
        self.leader = build_leader(
            self._store,
            self._queue,
            self.apps,
            config.webhooks.batching,
            self._interest_of,
            self.metrics,
            incarnation=lambda: self.reporter.incarnation,
            node_timeout_ms=config.adapter.cluster_health.node_timeout_ms,
            delivery=delivery,
            departed=self.reporter.departed,
            catch_up=self._catch_up.wait,
        )
        self._batcher = Batcher(self.leader.relay, config.webhooks.batching, self.metrics, concurrency=concurrency)
        self._emitter = Emitter(self._batcher)
        self.webhook_drain = WebhookDrain(
            self._store,
            self._queue,
            self.reporter,
            self._batcher,
            self.leader,
            wait_for_settling=self._resolved.adapter == "local",
            lasting=self._resolved.adapter != "local" and self._resolved.queue != "memory",
        )

    def _websocket(self) -> None:
        """Connections: how they come in, what they may do, and what changes with their application."""
        config, per_address = self._config, self._config.rate_limiter.websocket_rate_limit
        self._publisher = Publisher(self.adapter, self._cache, self.metrics, self.tap)
        self._subscriptions = subscriptions = Subscriptions(
            self.hub,
            self.adapter,
            self.reporter,
            self._rosters,
            self._counts,
            self._cache,
            Replays(
                self._history, lambda: self.adapter.connected, config.websocket.max_backpressure // 2, self.metrics
            ),
            self._emitter,
            self.metrics,
            self.tap,
        )
        self._max_age = MaxAge(self.hub, config.websocket.max_connection_age, time.monotonic)
        self._keepalive = Keepalive(self.hub, config.activity_timeout)
        self._refusal = refusal = Refusal(self.metrics, self.tap)
        limits_addresses = config.rate_limiter.enabled and per_address.enabled and per_address.max_requests > 0
        addresses = AddressLimit(self._limiter, per_address, self.metrics) if limits_addresses else None
        quota = AddressQuota(config.websocket.max_connections_per_address)
        self.handlers = Handlers(
            self.hub,
            Admission(
                addresses,
                quota,
                self.reporter,
                self._keepalive,
                self._emitter,
                refusal,
                config.activity_timeout,
                self._max_age.admitted,
                self.tap,
            ),
            subscriptions,
            Signin(subscriptions, self._watchlists),
            self._watchlists,
            ClientEvents(subscriptions, self._publisher, self._emitter),
            self._keepalive,
            self._emitter,
            refusal,
            config.channel_limits.max_joins_per_second,
            self.tap,
            plain_client_events(config, self.hub, self.adapter, self.metrics, self._emitter, alone=self._alone),
        )
        self._app_updates = AppUpdates(
            self.apps, self._senders, self.hub, self.handlers, self._watchlists, self._catch_up
        )
        self._max_message_bytes = int(config.websocket_max_payload_kb * 1024)
        self.acceptor = Acceptor(
            self.apps,
            self.hub,
            self.handlers,
            config.path_prefix,
            self._max_message_bytes,
            config.max_connections,
            tls=config.ssl.enabled,
            callers=self._callers(per_address),
            quota=quota,
        )

    def _http(self, listening: Sockets) -> None:
        """The HTTP API, and the gates that both edges stand behind."""
        config, limit = self._config, self._config.rate_limiter.api_rate_limit
        self._answers = self._drivers.answers()
        self._api = api = build_api(
            apps=self.apps,
            publisher=self._publisher,
            occupancy=self._store,
            adapter=self.adapter,
            cache=self._cache,
            history=self._history,
            came_and_went=self._came_and_went,
            limiter=self._limiter,
            answers=self._answers,
            health=self.health,
            metrics=self.metrics,
            path_prefix=config.path_prefix,
            config=config.http_api,
            idempotency=config.idempotency,
            limit=limit,
        )
        waits = self._resolved.redis_needed
        self._publishes = publishes = fast_path(
            config, api, self.apps, self.hub, self.adapter, self.metrics, alone=self._alone, waits=waits
        )
        if publishes is not None:
            self.tap.on_change = publishes.watch
        self.listener = build_entrances(
            config,
            listening,
            self.acceptor.accept,
            self._max_message_bytes,
            api,
            publishes,
            callers=lambda: self._callers(limit),
            metrics=self.metrics,
            tls=None if self._tls is None else self._tls.context,
            hub=self.hub,
        )

    def _console_link(self, directory: Path, place: int) -> ConsoleLink:
        """Where the console asks this worker."""
        pages = self._drivers.pages
        calls = publish_calls(self._publisher, self.apps) | ({} if pages is None else page_calls(pages))
        if self._resolved.queue == "memory":
            calls |= queue_calls(self._queue)
        return ConsoleLink(directory / CONSOLE_SOCKETS.format(place), calls, self.tap)

    def _followed(self) -> Followed:
        """What operators may follow."""
        return Followed(
            self.hub,
            self.apps,
            self.health,
            self.adapter,
            self._store,
            self._publishes,
            self._api,
            self._answers,
            self._publisher,
            self.handlers,
            self._subscriptions,
            self._refusal,
            self._batcher,
            self._attempts,
        )

    def _callers(self, limit: RateLimit) -> Callers:
        """:param limit: the section that says it in the old way."""
        notices = Notices(_log)
        return Callers(
            self._trusted,
            limit.trust_hops,
            any_proto=self._config.ssl.trust_forwarded_proto,
            on_conflict=lambda: notices.note(logging.INFO, "headers", _CONFLICT),
        )
