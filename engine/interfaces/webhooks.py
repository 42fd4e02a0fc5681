"""Webhook jobs: what waits, where it waits, and what sends it.

Types only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.app import App, Endpoint


@dataclass(slots=True)
class Job:
    """One webhook request for one endpoint, in every state from queued to dead.

    It names app and endpoint; key, secret, URL and headers are looked up when it is sent, so a queue never
    holds a secret.

    :param id: X-Webhook-Id, the same on every attempt.
    :param body: the exact bytes that are signed and sent (UTF-8 JSON with time_ms and events).
    :param channels: the channels of its events (sockets, for connection events); order is kept per endpoint and
        each of these.
    :param attempt: attempts made so far.
    :param errors: one line for each failed attempt, newest last.
    :param traces: where its spans belong, each as a `traceparent`; empty where none are made.
    :param traceparent: that of the attempt under way; "" where there is no span of it.
    """

    id: str
    app_id: str
    endpoint_id: str
    body: str
    channels: tuple[str, ...]
    time_ms: int
    attempt: int = 0
    errors: list[str] = field(default_factory=list)
    traces: tuple[str, ...] = ()
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a consumer got from the queue.

    :param next_due_s: when the next retry comes due, in seconds from now; None when none waits.
    :param deferred: lanes that have jobs deferred.
    """

    jobs: list[Job]
    next_due_s: float | None = None
    deferred: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a new consumer must know before its first job, both in order.

    :param in_flight: jobs that this consumer holds already: none at first, all of them after a lost connection.
    :param delayed: retries waiting for their time; they hold back later jobs of their channels.
    """

    in_flight: list[Job]
    delayed: list[Job]


class WebhookQueue(Protocol):
    """Jobs waiting for delivery. Any worker may put; one consumer at a time takes, because order is kept.

    Every method may raise StoreUnavailable; nothing is lost then, and calling it again with the same job changes
    nothing more. Methods of the consumer raise IncarnationGone when the queue has given its jobs to another. A
    *lane* is ``app_id/endpoint_id``.
    """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def default_list(self) -> str | None:
        """The Redis list to whose tail (RPUSH) `OccupancyStore.commit` may push encoded jobs; None: there is none."""

    async def put(self, jobs: Sequence[Job]) -> None:
        """Append jobs, in order."""

    # --- the consumer

    async def attach(self, in_flight: Sequence[Job] = ()) -> Backlog | None:
        """Become the consumer; what a dead one had in flight returns to the front. None while another one is alive.

        Also the way back after StoreUnavailable.

        :param in_flight: jobs taken before that; a store that lost its data gets them back from here.
        """

    async def detach(self) -> None:
        """Stop consuming; what is still in flight returns to the front."""

    async def expire(self, consumer: str) -> None:
        """A worker is known to have ended: do not wait for its lease."""

    @property
    def attached(self) -> bool:
        """Whether this is certainly still the consumer. Nothing may be sent otherwise."""

    async def reserve(self, limit: int, full: Collection[str] = ()) -> Reservation:
        """Take up to `limit` jobs, oldest first, without waiting; retries whose time has come are among them.

        Such a job is in flight until acked, retried or buried. With limit 0 it only stays the consumer.

        :param full: lanes that have no room: their jobs, and all later ones of the lane, are deferred in order.
        """

    async def resume(self, lane: str, limit: int) -> Reservation:
        """Take up to `limit` of the jobs deferred for a lane, oldest first."""

    async def wait(self, timeout_s: float) -> None:
        """Return when there may be something to reserve, retries not counted, or after the time."""

    async def ack(self, job: Job) -> None:
        """Delivered: forget it."""

    async def drop(self, copy: Job, kept: Job) -> None:
        """Forget the later of two jobs in flight that are the same; the other one keeps its place."""

    async def retry(self, job: Job, delay_s: float) -> None:
        """Park it (attempt and errors as now in `job`) until the delay is over."""

    async def bury(self, job: Job) -> None:
        """Given up: to the dead letters."""

    # --- for operators

    async def depth(self) -> Mapping[str, int]:
        """{"waiting": n, "in_flight": n, "delayed": n, "dead": n}."""

    async def dead_letters(self, limit: int) -> list[Job]:
        """The newest dead letters, newest first, without taking them."""

    async def delayed_jobs(self, limit: int) -> list[Job]:
        """Jobs that wait for a retry, the next one first, without taking them. None where only the consumer knows."""

    async def requeue(self, job_id: str | None) -> int:
        """Put one dead letter (or, with None, all) back in its lane with a fresh attempt count; how many were moved."""

    async def hasten(self, job_id: str) -> int:
        """Make the retry due for which a job waits; 0 when none of that id does, or only the consumer knows."""

    async def forget(self, job_id: str) -> int:
        """Forget one dead letter; 0 when there is none of that id."""

    async def purge_dead_letters(self) -> int:
        """Forget all dead letters; how many there were."""


class WebhookSender(Protocol):
    """Sends one signed request to one endpoint, as attempt `job.attempt` + 1."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, app: App, endpoint: Endpoint, job: Job) -> str:
        """How it was taken, in one line such as "status 200". Raises DeliveryError, also with one line."""
