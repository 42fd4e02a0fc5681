"""Every metric of the engine, declared once, with a method for each thing that happens (docs/protocol.md 8).

Used by all parts of a worker, and by the supervisor for its own. Nothing here can fail or block: numbers go to memory,
and `page.py` puts those of all workers together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from engine.metrics.families import Counter, Family, Gauge, Histogram, make_key
from engine.metrics.values import MemoryValues, Values

_APP = ("app_id",)
_ENDPOINT = ("app_id", "endpoint")
_MS = (0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Up to and beyond the time that all retries take.
_LONG_SECONDS = (*_SECONDS, 30.0, 60.0, 300.0)


class Metrics:
    """:param values: where the numbers go; without one they stay in this process.

    `app_id` is "" where no application is known: never what a client merely claims.
    """

    def __init__(self, values: Values | None = None) -> None:
        self._values: Values = MemoryValues() if values is None else values
        self._families: list[Family] = []
        counter, gauge, histogram = self._counter, self._gauge, self._histogram

        # M-1: names that dashboards for other servers ask for.
        self._connected = gauge("connected", "Connections that are open now.", _APP)
        self._opened = counter("new_connections_total", "Connections opened.", _APP)
        self._closed = counter("new_disconnections_total", "Connections closed.", _APP)
        self._received_bytes = counter("socket_received_bytes", "Bytes of messages from clients.", _APP)
        self._sent_bytes = counter("socket_transmitted_bytes", "Bytes of messages to clients.", _APP)
        self._received = counter("ws_messages_received_total", "Messages from clients.", _APP)
        self._sent = counter("ws_messages_sent_total", "Messages to clients.", _APP)
        self._http_received_bytes = counter("http_received_bytes", "Bytes of request bodies.", _APP)
        self._http_sent_bytes = counter("http_transmitted_bytes", "Bytes of response bodies.", _APP)
        self._http_calls = counter("http_calls_received_total", "HTTP API requests.", _APP)
        self._adapter_time = histogram(
            "horizontal_adapter_resolve_time", "Milliseconds until Redis has taken a publish.", _APP, _MS
        )
        self._adapter_done = counter("horizontal_adapter_resolved_promises", "Publishes that Redis has taken.", _APP)
        self._adapter_failed = counter(
            "horizontal_adapter_uncomplete_promises", "Publishes that Redis did not take.", _APP
        )
        self._adapter_sent = counter("horizontal_adapter_sent_requests", "Messages sent to other workers.", _APP)
        self._adapter_received = counter(
            "horizontal_adapter_received_requests", "Messages received from other workers.", _APP
        )
        self._adapter_answers = counter(
            "horizontal_adapter_received_responses", "Always 0: no worker ever asks another.", _APP
        )

        # M-3, and what the engine itself adds.
        self._errors = counter("connection_errors_total", "Errors told to clients.", (*_APP, "error_type"))
        self._http_errors = counter("http_errors_total", "HTTP API answers from 400 on.", (*_APP, "status"))
        limiter = (*_APP, "limiter_type", "request_context")
        self._limit_checks = counter("rate_limit_checks_total", "Requests checked against a limit.", limiter)
        self._limit_hits = counter("rate_limit_triggered_total", "Requests refused by a limit.", limiter)
        kind = (*_APP, "channel_type")
        self._subscribed = counter("channel_subscriptions_total", "Subscriptions.", kind)
        self._unsubscribed = counter("channel_unsubscriptions_total", "Subscriptions that ended.", kind)
        self._channels = gauge("active_channels", "Channels with subscribers, once for each worker.", kind)
        self._broadcasts = counter("broadcast_messages_total", "Events published to channels and users.", _APP)
        self._once = counter("idempotency_publish_total", "Publishes with an idempotency key.", _APP)
        self._again = counter("idempotency_duplicates_total", "Publishes whose key had been seen before.", _APP)
        self._client_events = counter("client_events_total", "Client events accepted.", _APP)
        self._cache_hits = counter("cache_hits_total", "Cache channel subscriptions that got an event.", _APP)
        self._cache_misses = counter("cache_misses_total", "Cache channel subscriptions that got none.", _APP)
        self._slow = counter("slow_consumers_total", "Connections closed because they did not read.")
        self._connection_faults = counter(
            "connection_faults_total", "Connections ended by a fault of the server's own."
        )
        self._missed = counter(
            "missed_messages_total", "Messages of other workers that one was too slow to read from shared memory."
        )
        self._redis = gauge("redis_connected_workers", "Workers whose connection to Redis is up.")
        self._leader = counter("leader_changes_total", "Times that a worker became the leader.")
        self._drift = counter("reconciler_drift_total", "Facts in Redis that had to be put right.")
        self._purged = counter("purged_workers_total", "Dead workers whose channels were given up.")
        self._restarts = counter("worker_restarts_total", "Workers started in place of one that died.")
        self._apps = gauge("apps", "Applications that are served.", (), "max")
        self._apps_refused = gauge("apps_refused", "Entries of the database that cannot be used.", (), "max")
        self._apps_unread = counter("app_source_errors_total", "Times that the applications could not be read.")
        self._reloads = counter("config_reloads_total", "Times that the configuration was read again.", ("result",))

        # M-4: webhooks. One request is one attempt; its events are in the batch.
        self._hook_sent = counter("webhooks_sent_total", "Webhook requests answered with 2xx.", _ENDPOINT)
        self._hook_failed = counter("webhooks_failed_total", "Webhook requests that failed.", _ENDPOINT)
        self._hook_retries = counter("webhook_retries_total", "Webhook requests put back to be tried again.", _ENDPOINT)
        self._hook_dead = counter("webhook_dead_total", "Webhooks given up and put to the dead letters.", _ENDPOINT)
        self._hook_time = histogram("webhook_duration_seconds", "Duration of a request.", _ENDPOINT, _SECONDS)
        self._hook_latency = histogram(
            "webhook_latency_seconds",
            "From the making of a request to its 2xx, with all waiting and retries.",
            _ENDPOINT,
            _LONG_SECONDS,
        )
        self._hook_events = counter("webhook_events_total", "Events put into webhooks.", (*_ENDPOINT, "event"))
        self._hook_dropped = counter("webhook_events_dropped_total", "Events lost for want of room.", _ENDPOINT)
        self._hook_depth = gauge("webhook_queue_depth", "Webhooks in the queue, by state.", ("state",))
        self._hook_age = gauge(
            "webhook_pending_age_seconds", "How long the oldest undelivered webhook has waited.", (), "max"
        )

    @property
    def families(self) -> Sequence[Family]:
        """What is declared, in order, for the page."""
        return self._families

    def value(self, name: str, *labels: str) -> float:
        """A counter or gauge of this process, by its name without prefix; 0 when it was never touched."""
        return self._values.get(make_key(name, labels))

    # --- connections

    def add_traffic(
        self,
        app_id: str,
        *,
        connections: int,
        opened: int = 0,
        closed: int = 0,
        received_bytes: int = 0,
        sent_bytes: int = 0,
        received_messages: int = 0,
        sent_messages: int = 0,
    ) -> None:
        """:param connections: open now; all others are what was added since the last call."""
        self._connected.set(connections, app_id)
        self._opened.add(opened, app_id)
        self._closed.add(closed, app_id)
        self._received_bytes.add(received_bytes, app_id)
        self._sent_bytes.add(sent_bytes, app_id)
        self._received.add(received_messages, app_id)
        self._sent.add(sent_messages, app_id)

    def connection_error(self, app_id: str, error_type: str) -> None:
        self._errors.add(1, app_id, error_type)

    def add_missed(self, count: int) -> None:
        self._missed.add(count)

    def connection_fault(self) -> None:
        self._connection_faults.add(1)

    def add_slow_consumers(self, count: int) -> None:
        self._slow.add(count)

    def subscribed(self, app_id: str, channel_type: Enum) -> None:
        """:param channel_type: a `ChannelKind`; its name in lower case is the label."""
        self._subscribed.add(1, app_id, channel_type.name.lower())

    def unsubscribed(self, app_id: str, channel_type: Enum) -> None:
        self._unsubscribed.add(1, app_id, channel_type.name.lower())

    def set_active_channels(self, app_id: str, channel_type: Enum, count: int) -> None:
        self._channels.set(count, app_id, channel_type.name.lower())

    # --- events

    def broadcast(self, app_id: str, count: int = 1) -> None:
        self._broadcasts.add(count, app_id)

    def idempotent_publish(self, app_id: str, *, again: bool) -> None:
        self._once.add(1, app_id)
        self._again.add(int(again), app_id)

    def client_event(self, app_id: str) -> None:
        self._client_events.add(1, app_id)

    def cache_hit(self, app_id: str) -> None:
        self._cache_hits.add(1, app_id)

    def cache_miss(self, app_id: str) -> None:
        self._cache_misses.add(1, app_id)

    def rate_limit_checked(self, app_id: str, limiter_type: str, request_context: str, *, refused: bool) -> None:
        self._limit_checks.add(1, app_id, limiter_type, request_context)
        self._limit_hits.add(int(refused), app_id, limiter_type, request_context)

    def http_call(
        self, app_id: str, *, received_bytes: int, sent_bytes: int, status: int = 200, count: int = 1
    ) -> None:
        """:param count: requests that the other figures are of."""
        self._http_calls.add(count, app_id)
        self._http_received_bytes.add(received_bytes, app_id)
        self._http_sent_bytes.add(sent_bytes, app_id)
        if status >= 400:
            self._http_errors.add(count, app_id, str(status))

    # --- between workers

    def adapter_sent(self, app_id: str, count: int = 1) -> None:
        self._adapter_sent.add(count, app_id)

    def adapter_received(self, app_id: str, count: int = 1) -> None:
        self._adapter_received.add(count, app_id)

    def adapter_resolved(self, app_id: str, milliseconds: float) -> None:
        self._adapter_done.add(1, app_id)
        self._adapter_time.observe(milliseconds, app_id)

    def adapter_failed(self, app_id: str, count: int = 1) -> None:
        self._adapter_failed.add(count, app_id)

    def set_redis_connected(self, connected: bool) -> None:
        self._redis.set(int(connected))

    def became_leader(self) -> None:
        self._leader.add(1)

    def add_drift(self, facts: int) -> None:
        self._drift.add(facts)

    def worker_purged(self) -> None:
        self._purged.add(1)

    def worker_restarted(self) -> None:
        self._restarts.add(1)

    # --- applications

    def set_apps(self, count: int, *, refused: int = 0) -> None:
        self._apps.set(count)
        self._apps_refused.set(refused)

    def apps_unread(self) -> None:
        self._apps_unread.add(1)

    def config_reloaded(self, *, refused: bool) -> None:
        self._reloads.add(1, "refused" if refused else "followed")

    # --- webhooks

    def webhook_sent(self, app_id: str, endpoint_id: str, duration_s: float, latency_s: float) -> None:
        """:param duration_s: of this attempt. :param latency_s: since the request was made."""
        self._hook_sent.add(1, app_id, endpoint_id)
        self._hook_time.observe(duration_s, app_id, endpoint_id)
        self._hook_latency.observe(latency_s, app_id, endpoint_id)

    def webhook_failed(self, app_id: str, endpoint_id: str, duration_s: float) -> None:
        self._hook_failed.add(1, app_id, endpoint_id)
        self._hook_time.observe(duration_s, app_id, endpoint_id)

    def webhook_retried(self, app_id: str, endpoint_id: str) -> None:
        self._hook_retries.add(1, app_id, endpoint_id)

    def webhook_dead(self, app_id: str, endpoint_id: str) -> None:
        self._hook_dead.add(1, app_id, endpoint_id)

    def webhook_event(self, app_id: str, endpoint_id: str, event: str, count: int = 1) -> None:
        self._hook_events.add(count, app_id, endpoint_id, event)

    def webhook_events_dropped(self, app_id: str, endpoint_id: str, count: int = 1) -> None:
        self._hook_dropped.add(count, app_id, endpoint_id)

    def set_webhook_queue(self, depth: Mapping[str, int], oldest_s: float = 0.0) -> None:
        """Of a queue that several workers share only one may tell, the leader; it tells 0 when it steps down.

        :param depth: state -> jobs, as `WebhookQueue.depth` answers.
        """
        for state, jobs in depth.items():
            self._hook_depth.set(jobs, state)
        self._hook_age.set(oldest_s)

    def _counter(self, name: str, help: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(self._declared(Family(name, "counter", help, labels)), self._values)

    def _gauge(self, name: str, help: str, labels: tuple[str, ...] = (), combine: str = "sum") -> Gauge:
        family = Family(name, "gauge", help, labels, combine="max" if combine == "max" else "sum")
        return Gauge(self._declared(family), self._values)

    def _histogram(self, name: str, help: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> Histogram:
        return Histogram(self._declared(Family(name, "histogram", help, labels, bounds)), self._values)

    def _declared(self, family: Family) -> Family:
        self._families.append(family)
        return family
