"""What the processes do among themselves: events between workers, shared state, applications, supervision.

Declares only; each area is counted in by the part that it is handed to.
"""

from __future__ import annotations

from collections.abc import Collection

from engine.app import App
from engine.metrics.registry import Registry
from engine.metrics.traffic import APP, LATENCY_MS

#: So many applications stand on the page from the start; those of a large database when something happens in them.
BEGIN_APPS = 100


class AdapterMetrics:
    """Events on their way between workers. The names with `horizontal` are of M-1."""

    def __init__(self, declare: Registry) -> None:
        counter = declare.counter
        self.resolve_time_ms = declare.histogram(
            "horizontal_adapter_resolve_time",
            "Milliseconds until Redis, or the memory that workers share, has taken a publish.",
            APP,
            LATENCY_MS,
        )
        self.resolved = counter("horizontal_adapter_resolved_promises", "Messages that were taken.", APP)
        self.failed = counter("horizontal_adapter_uncomplete_promises", "Messages that Redis did not take.", APP)
        self.sent = counter("horizontal_adapter_sent_requests", "Messages sent to other workers.", APP)
        self.received = counter(
            "horizontal_adapter_received_requests",
            "Messages received, a worker's own among them.",
            APP,
        )
        self.responses = counter("horizontal_adapter_received_responses", "Always 0: no worker ever asks another.", APP)
        self.lost = counter("adapter_lost_messages_total", "Client events that other workers never got.", APP)
        self.malformed = counter("adapter_malformed_messages_total", "Messages between workers that nobody can read.")
        self.missed = counter(
            "missed_messages_total", "Messages of other workers that one was too slow to read from shared memory."
        )
        self.losses = counter("redis_lost_connections_total", "Connections for events between workers that were lost.")
        self.holes = counter(
            "redis_missed_intervals_total", "Times that a worker was cut off from what others published."
        )
        self.hole_seconds = counter("redis_missed_seconds_total", "Seconds of which it heard nothing.")
        self.connected = declare.gauge("redis_connected_workers", "Workers whose connection to Redis is up.")


#: What calls of peers are for.
PARTS = ("occupancy", "history", "cache", "limits", "idempotency", "queue")


class PeerMetrics:
    """What other programs did not do for us."""

    def __init__(self, declare: Registry) -> None:
        self._errors = declare.counter(
            "peer_errors_total",
            "Calls of Redis or of a service for the webhook queue that failed.",
            ("part",),
            {"part": PARTS},
        )

    def failed(self, part: str) -> None:
        """:param part: what the call was for, one of `PARTS`."""
        self._errors.add(1, part)


class OccupancyMetrics:
    """Who is in which channel, as the cluster knows it, and who leads it."""

    def __init__(self, declare: Registry) -> None:
        counter = declare.counter
        self.led = counter("leader_changes_total", "Times that a worker became the leader.")
        self.mended = counter("reconciler_drift_total", "Facts in Redis that had to be put right.")
        self.purged = counter("purged_workers_total", "Dead workers whose channels were given up.")
        self.malformed = counter("occupancy_malformed_entries_total", "Entries of shared state that nobody can read.")
        self.tampered = counter(
            "occupancy_tampered_keys_total", "Keys of shared state deleted or overwritten by others."
        )
        self.dropped = counter("occupancy_dropped_transitions_total", "Changes never emitted for want of room.")


class AppMetrics:
    """The applications that are served, and where they come from."""

    def __init__(self, declare: Registry) -> None:
        self._declare = declare
        self._begun: dict[str, App] = {}
        self.count = declare.gauge("apps", "Applications that are served.", (), "max")
        self.refused = declare.gauge("apps_refused", "Entries of the database that cannot be used.", (), "max")
        self.unread = declare.counter("app_source_errors_total", "Times that the applications could not be read.")

    def serve(self, apps: Collection[App], refused: int = 0) -> None:
        """These are served from now on. What is counted of them, and of their webhooks, begins at 0."""
        self.count.set(len(apps))
        self.refused.set(refused)
        for app in apps:
            known = self._begun.get(app.id)
            if known is not app and (known is not None or len(self._begun) < BEGIN_APPS):
                self._begun[app.id] = app
                self._begin(app)

    def _begin(self, app: App) -> None:
        self._declare.begin({"app_id": (app.id,)})
        for endpoint in app.endpoints:
            target = {"app_id": (app.id,), "endpoint": (endpoint.id,)}
            self._declare.begin(target)
            self._declare.begin({**target, "event": tuple(sorted(endpoint.event_types))})


class SupervisorMetrics:
    """Of the process that starts the workers."""

    def __init__(self, declare: Registry) -> None:
        self.restarts = declare.counter("worker_restarts_total", "Workers started in place of one that died.")
        self.certificate_expiry = declare.gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "Unix time until which the certificate that new connections are shown is valid.",
        )
        self.reloads = declare.counter(
            "config_reloads_total",
            "Times that the configuration was read again.",
            ("result",),
            {"result": ("followed", "refused")},
        )
