"""What clients and back ends do: connections, channels, events, HTTP requests and limits. Declarations only."""

from __future__ import annotations

from engine.metrics.registry import Registry

APP = ("app_id",)
_KIND = (*APP, "channel_type")
#: Bounds of histograms whose names end in `_ms`, as Sockudo has them (M-3).
LATENCY_MS = (0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
#: What Sockudo calls at most 10, 100, 1,000, 10,000 and more recipients.
RECIPIENTS = ("xs", "sm", "md", "lg", "xl")
#: A publish that waits for nothing takes microseconds.
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ConnectionMetrics:
    """Names up to `messages_sent` are those that dashboards for other servers ask for (M-1, M-3)."""

    def __init__(self, declare: Registry) -> None:
        counter = declare.counter
        self.open = declare.gauge("connected", "Connections that are open now.", APP)
        self.opened = counter("new_connections_total", "Connections opened.", APP)
        self.closed = counter("new_disconnections_total", "Connections closed.", APP)
        self.received_bytes = counter("socket_received_bytes", "Bytes of messages from clients.", APP)
        self.sent_bytes = counter("socket_transmitted_bytes", "Bytes of messages to clients.", APP)
        self.received = counter("ws_messages_received_total", "Messages from clients.", APP)
        self.sent = counter("ws_messages_sent_total", "Messages to clients.", APP)
        self.errors = counter("connection_errors_total", "Errors sent to clients.", (*APP, "error_type"))
        self.slow = counter("slow_consumers_total", "Connections closed because they did not read.")
        self.faults = counter("connection_faults_total", "Connections ended by a fault of the server's own.")


class ChannelMetrics:
    """:param types: every type of channels that there is, as their subscriptions are counted.

    :ivar cache_hits: with `cache_misses`, of subscriptions to cache channels.
    """

    def __init__(self, declare: Registry, types: tuple[str, ...] = ()) -> None:
        counter = declare.counter
        kinds = {"channel_type": types} if types else {}
        self.subscribed = counter("channel_subscriptions_total", "Subscriptions.", _KIND, kinds)
        self.unsubscribed = counter("channel_unsubscriptions_total", "Subscriptions that ended.", _KIND, kinds)
        self.active = declare.gauge("active_channels", "Channels with subscribers, once for each worker.", _KIND)
        self.present = declare.gauge(
            "presence_members", "Members of presence channels, once in each channel and for each worker.", APP
        )
        self.cache_hits = counter("cache_hits_total", "Cache channel subscriptions that got an event.", APP)
        self.cache_misses = counter("cache_misses_total", "Cache channel subscriptions that got none.", APP)
        self.replayed = counter("history_replayed_events_total", "Kept events given to new subscribers.", APP)
        self.gaps = counter("history_gaps_total", "New subscribers notified that events are missing.", (*APP, "reason"))


class EventMetrics:
    """What is published, by whomever."""

    def __init__(self, declare: Registry) -> None:
        counter = declare.counter
        self.published = counter("broadcast_messages_total", "Events published to channels and users.", APP)
        self.by_clients = counter("client_events_total", "Client events accepted.", APP)
        self.idempotent = counter("idempotency_publish_total", "Publishes with an idempotency key.", APP)
        self.repeated = counter("idempotency_duplicates_total", "Publishes whose key had been seen before.", APP)
        self.latency_ms = declare.histogram(
            "broadcast_latency_ms",
            "Milliseconds from a publish, on whatever worker, until the sockets of a worker are written to.",
            (*_KIND, "recipient_count_bucket"),
            LATENCY_MS,
        )


class HttpMetrics:
    """`app_id` is "" where no application is known: never what a client merely claims."""

    def __init__(self, declare: Registry) -> None:
        counter = declare.counter
        self.received_bytes = counter("http_received_bytes", "Bytes of request bodies.", APP)
        self.sent_bytes = counter("http_transmitted_bytes", "Bytes of response bodies.", APP)
        self.calls = counter("http_calls_received_total", "HTTP API requests.", APP)
        self.duration_s = declare.histogram(
            "http_request_duration_seconds", "From the whole request to its answer, by application.", APP, _SECONDS
        )
        self.errors = counter("http_errors_total", "HTTP API answers from 400 on.", (*APP, "status"))


class LimitMetrics:
    """Requests and connections that were counted against a limit."""

    def __init__(self, declare: Registry) -> None:
        labels = (*APP, "limiter_type", "request_context")
        self.checked = declare.counter("rate_limit_checks_total", "Requests checked against a limit.", labels)
        self.triggered = declare.counter("rate_limit_triggered_total", "Requests refused by a limit.", labels)
