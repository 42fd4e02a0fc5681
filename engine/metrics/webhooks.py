"""Webhooks, from the event to the answer (M-4).

One request is one attempt; its events are in the batch. Declares only.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.metrics.registry import Registry

_ENDPOINT = ("app_id", "endpoint")
#: The one queue, as the label of Sockudo's names for queues (M-4).
QUEUE = "webhooks"
_QUEUE = ("queue",)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Up to and beyond the time that all retries take.
_LONG_SECONDS = (*_SECONDS, 30.0, 60.0, 300.0)


class WebhookMetrics:
    """:ivar duration_s: of one attempt. :ivar latency_s: since the request was made."""

    def __init__(self, declare: Registry) -> None:
        counter, histogram = declare.counter, declare.histogram
        self.sent = counter("webhooks_sent_total", "Webhook requests answered with 2xx.", _ENDPOINT)
        self.failed = counter("webhooks_failed_total", "Webhook requests that failed.", _ENDPOINT)
        self.retried = counter("webhook_retries_total", "Webhook requests put back to be tried again.", _ENDPOINT)
        self.dead = counter("webhook_dead_total", "Webhooks given up and put to the dead letters.", _ENDPOINT)
        self.duration_s = histogram("webhook_duration_seconds", "Duration of a request.", _ENDPOINT, _SECONDS)
        self.latency_s = histogram(
            "webhook_latency_seconds",
            "From the making of a request to its 2xx, with all waiting and retries.",
            _ENDPOINT,
            _LONG_SECONDS,
        )
        self.events = counter("webhook_events_total", "Events put into webhooks.", (*_ENDPOINT, "event"))
        self.dropped = counter("webhook_events_dropped_total", "Events lost for want of room.", _ENDPOINT)
        self.requests_dropped = counter(
            "webhook_requests_dropped_total",
            "Webhook requests lost because too many of the endpoint waited.",
            _ENDPOINT,
        )
        self.malformed = counter("webhook_malformed_jobs_total", "Entries of the queue that are no webhook.")
        self.forgotten = counter("webhook_dead_letters_dropped_total", "Dead letters given up for newer ones.")
        only = {"queue": (QUEUE,)}
        self.processed = counter("queue_jobs_processed_total", "Jobs of a queue that were done.", _QUEUE, only)
        self.unprocessed = counter("queue_jobs_failed_total", "Attempts at a job that failed.", _QUEUE, only)
        self.processing_s = histogram("queue_job_duration_seconds", "Duration of an attempt.", _QUEUE, _SECONDS)
        self._active = declare.gauge("queue_active_jobs", "Jobs that are being attempted.", _QUEUE)
        self._depth = declare.gauge("webhook_queue_depth", "Webhooks in the queue, by state.", ("state",))
        self._age_s = declare.gauge(
            "webhook_pending_age_seconds", "How long the oldest undelivered webhook has waited.", (), "max"
        )

    def set_queue(self, depth: Mapping[str, int], oldest_s: float = 0.0) -> None:
        """Of a queue that several workers share only the leader reports; 0 when it steps down.

        :param depth: state -> jobs, as `WebhookQueue.depth` answers.
        """
        for state, jobs in depth.items():
            self._depth.set(jobs, state)
        self._active.set(depth.get("in_flight", 0), QUEUE)
        self._age_s.set(oldest_s)
