"""One attempt to deliver a job, and what follows from it: acked, delayed for a retry, or buried.

It decides what becomes of a job, never when it is sent: it knows no order and no other job.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime

from engine.app import App, Endpoint
from engine.app_manager import AppManager
from engine.errors import DeliveryError, StoreUnavailable
from engine.interfaces import Job, WebhookQueue, WebhookSender
from engine.metrics.metrics import Metrics
from engine.metrics.webhooks import QUEUE
from engine.tap.tap import NOBODY, Tap
from engine.tasks import within
from engine.webhooks.job import lane_of

#: An attempt may take so much longer than the endpoint's own time-out before its sender is given up as stuck.
SLACK_S = 2.0
RETRY_MIN_S, RETRY_MAX_S = 0.05, 1.0
#: An endpoint's failures are logged so often; each of them is counted, and kept with the job.
LOG_EVERY_S = 60.0
MAX_REASON_LENGTH = 300
UNKNOWN_TARGET = "no such webhook is configured any more"

_log = logging.getLogger(__name__)

CatchUp = Callable[[Collection[str]], Awaitable[None]]
Target = tuple[App, Endpoint, WebhookSender]


class Attempts:
    """:param senders: by kind of target, looked into for each job.
    :param catch_up: awaited before unknown targets are given up: another worker may have heard of them first.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        queue: WebhookQueue,
        apps: AppManager,
        senders: Mapping[str, WebhookSender],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        catch_up: CatchUp | None = None,
        tap: Tap = NOBODY,
    ) -> None:
        self._tap = tap
        self._queue = queue
        self._apps = apps
        self._senders = senders
        self._metrics = metrics.webhooks
        self._clock = clock
        self._catch_up = catch_up
        self._log_next: dict[str, float] = {}

    def target(self, job: Job) -> Target | None:
        """Where it goes as configured now; None when it can go nowhere."""
        app = self._apps.by_id(job.app_id)
        endpoint = next((e for e in app.endpoints if e.id == job.endpoint_id), None) if app is not None else None
        if app is None or endpoint is None:
            return None
        sender = self._senders.get(endpoint.target.kind)
        return None if sender is None else (app, endpoint, sender)

    async def catch_up(self, jobs: Iterable[Job]) -> None:
        """Before `target` is believed to say that one of them can go nowhere."""
        unknown = {lane_of(job) for job in jobs if self.target(job) is None}
        if unknown and self._catch_up is not None:
            await self._catch_up(unknown)

    async def make(self, job: Job) -> bool:
        """Send it and settle it in the queue; True when it is delayed for a retry, False when it is done with.

        Raises IncarnationGone.
        """
        await self.catch_up([job])
        target = self.target(job)
        if target is None:
            await self.bury(job, UNKNOWN_TARGET)
            return False
        app, endpoint, sender = target
        started = self._clock()
        reason = await self.send(app, endpoint, sender, job)
        duration_s = self._clock() - started
        job.attempt += 1
        self._metrics.duration_s.observe(duration_s, app.id, endpoint.id)
        self._metrics.processing_s.observe(duration_s, QUEUE)
        if self._tap.active:
            self._note(job, endpoint, reason)
        if reason is None:
            # Made by a worker whose clock may be ahead of ours.
            latency_s = max(duration_s, time.time() - job.time_ms / 1000)
            self._metrics.sent.add(1, app.id, endpoint.id)
            self._metrics.latency_s.observe(latency_s, app.id, endpoint.id)
            self._metrics.processed.add(1, QUEUE)
            await _insist(lambda: self._queue.ack(job))
            return False
        self._metrics.failed.add(1, app.id, endpoint.id)
        self._metrics.unprocessed.add(1, QUEUE)
        self._note_failure(job, reason)
        if job.attempt > len(endpoint.retry.delays_s):
            await self.bury(job, reason)
            return False
        jitter = endpoint.retry.jitter
        delay_s = endpoint.retry.delays_s[job.attempt - 1] * random.uniform(1 - jitter, 1 + jitter)
        if _failing_s(job) + delay_s > endpoint.retry.max_elapsed_s:
            await self.bury(job, reason)
            return False
        job.errors.append(_dated(reason))
        await _insist(lambda: self._queue.retry(job, delay_s))
        self._metrics.retried.add(1, app.id, endpoint.id)
        return True

    async def send(self, app: App, endpoint: Endpoint, sender: WebhookSender, job: Job) -> str | None:
        """One attempt, which changes nothing in the queue. Why it failed; None when it did not."""
        try:
            async with within(endpoint.timeout_s + SLACK_S):
                await sender.send(app, endpoint, job)
        except DeliveryError as error:
            return str(error)
        except TimeoutError:
            return f"no answer within {endpoint.timeout_s:g} s"
        except Exception as error:  # noqa: BLE001 - a job that breaks its sender must not end the leader
            _log.exception("webhooks: sending to endpoint %s of app %s broke", endpoint.id, app.id)
            return f"internal error: {type(error).__name__}"
        return None

    async def drop(self, copy: Job, kept: Job | None) -> None:
        """Forget a second copy of a job without sending it. Raises IncarnationGone.

        :param kept: the first one, unless that was delivered meanwhile.
        """
        await _insist(lambda: self._queue.ack(copy) if kept is None else self._queue.drop(copy, kept))

    async def bury(self, job: Job, reason: str) -> None:
        """Give it up. Raises IncarnationGone."""
        job.errors.append(_dated(reason))
        await _insist(lambda: self._queue.bury(job))
        if self.target(job) is not None:
            # An unknown target's names may be anything, and a metric keeps its labels for ever.
            self._metrics.dead.add(1, job.app_id, job.endpoint_id)
        _log.warning(
            "webhooks: job %s for endpoint %s of app %s given up after %d attempts: %s",
            *(job.id, job.endpoint_id, job.app_id, job.attempt, reason),
        )

    def _note(self, job: Job, endpoint: Endpoint, reason: str | None) -> None:
        kind = "webhook delivered" if reason is None else "webhook failed"
        about = {"channel": job.channels[0]} if job.channels else {}
        self._tap.note(kind, job.app_id, **about, target=endpoint.target.label, reason=reason or "", data=job.body)

    def _note_failure(self, job: Job, reason: str) -> None:
        lane, now = lane_of(job), self._clock()
        if now >= self._log_next.get(lane, 0.0):
            self._log_next[lane] = now + LOG_EVERY_S
            _log.warning("webhooks: endpoint %s of app %s fails: %s", job.endpoint_id, job.app_id, reason)


async def _insist(call: Callable[[], Awaitable[None]]) -> None:
    """Repeat a call that changes nothing when repeated, until the queue takes it; the job keeps its slot meanwhile."""
    delay_s = RETRY_MIN_S
    while True:
        try:
            return await call()
        except StoreUnavailable:
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)


def _failing_s(job: Job) -> float:
    """Seconds since its first failure, by the clock of the worker that saw it."""
    try:
        first = datetime.fromisoformat(job.errors[0].partition(" ")[0])
        return max((datetime.now(UTC) - first).total_seconds(), 0.0)
    except (IndexError, ValueError, TypeError):
        # Nothing has failed before, or the entry was written by hand.
        return 0.0


def _dated(reason: str) -> str:
    line = " ".join(reason.split())[:MAX_REASON_LENGTH]
    return f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {line}"
