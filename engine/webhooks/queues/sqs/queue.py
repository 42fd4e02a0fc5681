"""The webhook queue in AWS SQS, standard or FIFO.

It trusts no byte that it reads and writes no secret.

What SQS cannot do is not promised here either. A standard queue keeps no order between jobs; in a FIFO queue all jobs
of one endpoint stay in order, and later ones wait while one is retried. SQS does not know who consumes: the jobs of a
consumer that died come again after `visibility_timeout`, like new, and their attempts count from the beginning.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from engine.config.backends import QueueSqs
from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import Backlog, Job, Reservation
from engine.log.notices import Notices
from engine.metrics.metrics import Metrics
from engine.peers.guard import guard, keep
from engine.tasks import cancel, within
from engine.webhooks.job import MalformedJob, decode
from engine.webhooks.queues.sqs.client import Incoming, Sqs
from engine.webhooks.queues.sqs.dead_letters import DeadLetters
from engine.webhooks.queues.sqs.in_flight import InFlight, InFlightJobs
from engine.webhooks.queues.sqs.messages import batches, messages_of
from engine.webhooks.queues.sqs.outbox import MAX_WAIT_S, Outbox
from engine.webhooks.room import LOG_EVERY_S, no_room

QUEUE = "default"
#: Jobs moved on from the outbox in one go.
RELAY_JOBS = 50
#: Between two looks at what waits in the outbox, whose bytes are bounded.
BOUND_EVERY_S = 1.0
#: Between two looks at an empty queue where SQS is not to wait for messages itself.
IDLE_S = 0.5
STOP_TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


class SqsQueue:
    """A `WebhookQueue` in SQS.

    :param outbox: from where jobs that the leader has decided go to SQS; None where there is no leader.
    :param clock: seconds, monotonic. :param metrics: counts what is no job.
    """

    def __init__(
        self,
        config: QueueSqs,
        outbox: Outbox | None = None,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = (metrics or Metrics()).webhooks
        self._sqs = guard(Sqs(config), "SQS")
        self._dead_letters = DeadLetters(self._sqs)
        self._outbox = outbox
        self._clock = clock
        self._config = config
        # Shorter than messages are hidden: how long one has been hidden counts from when it was asked for.
        self._wait_s = min(config.wait_time_seconds, config.visibility_timeout // 3)
        #: All that is hidden from others for us, and until when it surely is.
        self._in_flight = InFlightJobs()
        self._until = 0.0
        self._attached = False
        #: Looks for more in SQS and in the outbox; each goes on over several waits.
        self._poll: asyncio.Task[None] | None = None
        self._look: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._hiding_failed = False
        self._notices = Notices(_log, clock, LOG_EVERY_S)
        self._bound_at = clock()

    async def start(self) -> None:
        await self._sqs.start()

    async def stop(self) -> None:
        """Move on what is in the outbox, if that is lost otherwise."""
        await self._forget()
        if self._outbox is not None and self._outbox.redis_list is None:
            try:
                async with within(STOP_TIMEOUT_S):
                    while await self._relay():
                        pass
            except (StoreUnavailable, TimeoutError) as error:
                left = await self._outbox.size()
                _log.error("%d webhook requests are lost, SQS did not take them: %s", left, error or "no time left")
        await self._sqs.stop()

    @property
    def default_list(self) -> str | None:
        return None if self._outbox is None else self._outbox.redis_list

    async def put(self, jobs: Sequence[Job]) -> None:
        if self._outbox is None or not self._outbox.take(jobs):
            await self._send(jobs)

    # --- the consumer

    async def attach(self, in_flight: Sequence[Job] = ()) -> Backlog | None:
        if not self._attached:
            await self._sqs.find(QUEUE)
            self._attached = True
            self._keeper = keep(self._hide_again, "sqs-keeper")
        await self._check()
        return Backlog(self._in_flight.given_out_jobs, self._in_flight.delayed)

    async def detach(self) -> None:
        handles = [flight.message.handle for flight in self._in_flight.every()]
        await self._forget()
        await self._sqs.hide(QUEUE, handles, 0)

    async def expire(self, consumer: str) -> None:
        """SQS knows no consumers."""

    @property
    def attached(self) -> bool:
        return self._attached and (not self._in_flight or self._clock() < self._until)

    async def reserve(self, limit: int, full: Collection[str] = ()) -> Reservation:
        await self._check()
        self._end_looks()
        if limit > 0:
            # Before what may fail: while SQS takes nothing, more comes.
            await self._bound_outbox()
            await self._relay()
        # A poll under way brings whatever comes.
        while self._poll is None and (room := limit - self._in_flight.waiting) > 0:
            if not await self._receive(min(room, self._config.max_messages), 0):
                break
        return self._in_flight.take(limit, full, self._clock())

    async def resume(self, lane: str, limit: int) -> Reservation:
        await self._check()
        return self._in_flight.take_deferred(lane, limit, self._clock())

    async def wait(self, timeout_s: float) -> None:
        if self._poll is None:
            self._poll = asyncio.create_task(self._long_poll(), name="sqs-poll")
        if self._look is None and self._outbox is not None:
            self._look = asyncio.create_task(self._outbox.wait(MAX_WAIT_S), name="sqs-outbox")
        looks = [task for task in (self._poll, self._look) if task is not None]
        await asyncio.wait(looks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        self._end_looks()

    async def ack(self, job: Job) -> None:
        if (flight := await self._settling(job)) is not None:
            await self._sqs.delete(QUEUE, flight.message.handle)
            self._in_flight.let_go(flight)

    async def drop(self, copy: Job, kept: Job) -> None:
        await self.ack(copy)

    async def retry(self, job: Job, delay_s: float) -> None:
        # In memory only: a message cannot be changed, and a new one would lose its place in the order.
        if (flight := self._in_flight.given_out(job)) is not None:
            await self._check()
            self._in_flight.delay(flight, self._clock() + delay_s)

    async def bury(self, job: Job) -> None:
        if (flight := await self._settling(job)) is not None:
            if not flight.buried:
                await self._dead_letters.add(job)
                flight.buried = True
            await self._sqs.delete(QUEUE, flight.message.handle)
            self._in_flight.let_go(flight)

    # --- for operators

    async def depth(self) -> Mapping[str, int]:
        """As SQS counts, which is about right and some seconds late."""
        visible, hidden = await self._sqs.count(QUEUE)
        visible += 0 if self._outbox is None else await self._outbox.size()
        dead = sum(await self._sqs.count("failed"))
        if not self._attached:
            return {"waiting": visible, "in_flight": hidden, "delayed": 0, "dead": dead}
        given_out, delayed = len(self._in_flight.given_out_jobs), len(self._in_flight.delayed)
        waiting = visible + len(self._in_flight) - given_out - delayed
        return {"waiting": waiting, "in_flight": given_out, "delayed": delayed, "dead": dead}

    async def dead_letters(self, limit: int) -> list[Job]:
        return await self._dead_letters.newest(limit) if limit > 0 else []

    async def delayed_jobs(self, limit: int) -> list[Job]:
        """Of the consumer; for anybody else they are hidden."""
        return list(self._in_flight.delayed)[:limit] if self._attached else []

    async def requeue(self, job_id: str | None) -> int:
        return await self._dead_letters.requeue(job_id, lambda job, once: self._send([job], once))

    async def hasten(self, job_id: str) -> int:
        """SQS shows a hidden message to nobody before its time."""
        return 0

    async def forget(self, job_id: str) -> int:
        return await self._dead_letters.forget(job_id)

    async def purge_dead_letters(self) -> int:
        return await self._dead_letters.purge()

    # --- to SQS and from it

    async def _send(self, jobs: Sequence[Job], once: str | None = None) -> None:
        messages = [m for job in jobs for m in messages_of(job, self._config.message_group_id, once or job.id)]
        for batch in batches(messages, fifo=self._config.fifo):
            await self._sqs.send(QUEUE, batch)

    async def _relay(self) -> int:
        """Move jobs from the outbox to SQS; how many."""
        if self._outbox is None or not (entries := await self._outbox.first(RELAY_JOBS)):
            return 0
        jobs: list[Job] = []
        for entry in entries:
            try:
                jobs.append(decode(entry))
            except MalformedJob as error:
                await self._bury_malformed(entry, error)
        await self._send(jobs)
        await self._outbox.drop(entries)
        return len(entries)

    async def _bound_outbox(self) -> None:
        if self._outbox is None or (now := self._clock()) < self._bound_at:
            return
        self._bound_at = now + BOUND_EVERY_S
        for (app_id, endpoint_id), number in (await self._outbox.bound()).items():
            self._metrics.requests_dropped.add(number, app_id, endpoint_id)
            self._notices.note(logging.ERROR, "full", no_room(app_id, endpoint_id))

    def _end_looks(self) -> None:
        """Forget looks that have ended; what they ran into is raised."""
        poll, look = self._poll, self._look
        if poll is not None and poll.done():
            self._poll = None
            poll.result()
        if look is not None and look.done():
            self._look = None
            look.result()

    async def _long_poll(self) -> None:
        if not await self._receive(self._config.max_messages, self._wait_s) and not self._wait_s:
            await asyncio.sleep(IDLE_S)

    async def _receive(self, limit: int, wait_s: int) -> int:
        """How many messages came."""
        asked = self._clock()
        messages = await self._sqs.receive(QUEUE, limit, self._config.visibility_timeout, wait_s)
        if messages:
            until = asked + self._config.visibility_timeout
            self._until = min(self._until, until) if self._in_flight else until
        for message in messages:
            if not self._in_flight.knows(message):
                await self._take_in(message)
        return len(messages)

    async def _take_in(self, message: Incoming) -> None:
        entry = message.body.encode()
        try:
            self._in_flight.add(message, decode(entry))
        except MalformedJob as error:
            await self._bury_malformed(entry, error)
            await self._sqs.delete(QUEUE, message.handle)

    async def _bury_malformed(self, entry: bytes, error: MalformedJob) -> None:
        self._metrics.malformed.add(1)
        _log.warning("webhook queue: an entry is no job (%s); moved to the dead letters", error)
        await self._dead_letters.add_malformed(entry, str(error))

    # --- holding

    async def _settling(self, job: Job) -> InFlight | None:
        flight = self._in_flight.given_out(job)
        if flight is not None:
            await self._check()
            flight.settling = True
        return flight

    async def _check(self) -> None:
        """Raises IncarnationGone when others may have got what is in flight."""
        if not self._attached:
            raise StoreUnavailable("SQS: this worker does not consume")
        if not self.attached:
            await self._forget()
            raise IncarnationGone("SQS may have given its jobs to another")

    async def _hide_again(self) -> None:
        """Hide all that is in flight, long before anybody else could see it."""
        hidden_s = self._config.visibility_timeout
        await asyncio.sleep(hidden_s / (20 if self._hiding_failed else 4))
        if not self.attached:
            # Too late: this process stood still, or SQS was out of reach.
            return
        asked = self._clock()
        handles = [flight.message.handle for flight in self._in_flight.every()]
        try:
            lost = await self._sqs.hide(QUEUE, handles, hidden_s)
        except StoreUnavailable as error:
            if not self._hiding_failed:
                _log.warning("webhooks: what is under way may be sent again: %s", error)
            self._hiding_failed = True
            return
        self._hiding_failed = False
        if any(flight.message.handle in lost and not flight.settling for flight in self._in_flight.every()):
            _log.warning("webhooks: SQS has taken back what was under way")
            self._until = 0.0
        else:
            self._until = asked + hidden_s

    async def _forget(self) -> None:
        self._attached = False
        self._in_flight.clear()
        looks: list[asyncio.Task[None] | None] = [self._poll, self._look]
        keeper, self._keeper, self._poll, self._look = self._keeper, None, None, None
        await cancel(keeper)
        for look in looks:
            await cancel(look)
            if look is not None and look.done() and not look.cancelled() and (error := look.exception()) is not None:
                _log.debug("SQS: %s", error)
