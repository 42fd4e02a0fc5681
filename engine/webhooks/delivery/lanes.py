"""All lanes of one consumer, and the requests under way from them.

The consumer fills them from the queue, which nothing here reads. `lane.py` knows what may be sent, `attempts.py` sends
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from engine.errors import IncarnationGone
from engine.interfaces import Backlog, Job, WebhookQueue
from engine.tasks import spawn
from engine.webhooks.delivery.attempts import UNKNOWN_TARGET, Attempts
from engine.webhooks.delivery.lane import Lane
from engine.webhooks.job import lane_of


class Lanes:
    """:param concurrency: requests at one time to one endpoint.
    :param lane_jobs: room of each lane, which one reservation may exceed.
    :param wake: called when the delivery has something to do: a retry delayed, room in a lane, or the end.
    """

    def __init__(
        self, queue: WebhookQueue, attempts: Attempts, concurrency: int, lane_jobs: int, wake: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._attempts = attempts
        self._concurrency = concurrency
        self._lane_jobs = lane_jobs
        self._wake = wake
        self._lanes: dict[str, Lane] = {}
        self._sends: set[asyncio.Task[None]] = set()
        #: By lane and id: jobs that the queue gave out again before their sending had ended. A retry can come due
        #: before the answer to the call that delayed it.
        self._early: dict[tuple[str, str], Job] = {}
        #: Jobs that left the sending state since `begin_comparing`: what is compared is older than they are.
        self._settled: set[str] | None = None
        #: By lane and id: delayed jobs that the queue did not know of when memory was compared with it last.
        self._missing: set[tuple[str, str]] = set()
        #: The queue had nothing waiting since.
        self._emptied = False
        #: Something could have been sent, but for the lease.
        self._held_back = False
        #: Lanes that have jobs deferred in the queue.
        self.deferred: frozenset[str] = frozenset()
        #: The queue has given all of this to another consumer.
        self.gone = False
        #: While True nothing new is sent.
        self.closed = False

    def jobs(self) -> list[Job]:
        """All jobs in memory, each lane's oldest first."""
        return [job for lane in self._lanes.values() for job in lane.jobs()]

    def full(self) -> list[str]:
        return [key for key, lane in self._lanes.items() if not lane.room]

    def room(self, key: str) -> int:
        """How many deferred jobs to bring back: none until half a lane is free, so that they come in bulk."""
        room = self._lanes[key].room if key in self._lanes else self._lane_jobs
        return room if room * 2 >= self._lane_jobs else 0

    async def accept(self, jobs: list[Job]) -> None:
        """Put jobs in flight, retries among them, where they belong, and send what may be sent."""
        await self._attempts.catch_up(jobs)
        for job in jobs:
            if self._attempts.target(job) is None:
                await self._attempts.bury(job, UNKNOWN_TARGET)
                continue
            lane = self._lane(job)
            if job.id not in lane:
                lane.add(job)
            elif lane.is_delayed(job.id):
                lane.make_due(job)
            elif lane.is_sending(job.id):
                self._early[lane_of(job), job.id] = job
            else:
                # The same job stood in the queue twice, as after a repeated put.
                await self._attempts.drop(job, lane.job(job.id))
        self._dispatch({lane_of(job): None for job in jobs})

    def nothing_waits(self) -> None:
        """The queue has given out all that was waiting there, but for what is deferred."""
        self._emptied = True

    def begin_comparing(self) -> None:
        """From here on, until `compare`, what ends is noted."""
        self._settled = set()

    async def compare(self, backlog: Backlog) -> None:
        """Bring memory in line with what the queue says is in flight and delayed."""
        settled, self._settled = self._settled or set(), None
        self._forget_vanished(settled.union(job.id for job in (*backlog.delayed, *backlog.in_flight)))
        for job in backlog.delayed:
            if self._attempts.target(job) is not None and job.id not in self._lane(job):
                self._lane(job).add(job, delayed=True)
        await self.accept([job for job in backlog.in_flight if job.id not in settled and not self._has(job)])
        self._dispatch(list(self._lanes))

    def send_held_back(self) -> None:
        """After the lease was renewed."""
        if self._held_back and self._queue.attached:
            self._held_back = False
            self._dispatch(list(self._lanes))

    async def finish(self, timeout_s: float) -> bool:
        """Wait for the requests under way; whether all have ended."""
        if self._sends:
            await asyncio.wait(self._sends, timeout=timeout_s)
        return not self._sends

    async def clear(self, timeout_s: float) -> None:
        """Break off what is under way and forget all jobs."""
        for task in self._sends:
            task.cancel()
        await self.finish(timeout_s)
        self._lanes.clear()
        self._early.clear()
        self._missing.clear()
        self.gone = False

    def _lane(self, job: Job) -> Lane:
        return self._lanes.setdefault(lane_of(job), Lane(self._lane_jobs))

    def _has(self, job: Job) -> bool:
        """Whether memory has it waiting or under way already; the queue's answer says nothing new then."""
        lane = self._lanes.get(lane_of(job))
        return lane is not None and job.id in lane and not lane.is_delayed(job.id)

    def _forget_vanished(self, known: set[str]) -> None:
        """Let go of delayed jobs that someone took out of the queue, so that nothing waits for them for ever.

        Not at once: a replica that has become the master may have a job waiting still that the last one had given out,
        and delayed since. It is given out again, and what comes behind it in its channels must not pass meanwhile.
        """
        missing = {
            (key, job.id)
            for key, lane in self._lanes.items()
            for job in lane.jobs()
            if lane.is_delayed(job.id) and job.id not in known
        }
        gone = {each for each in missing & self._missing if self._emptied and each[0] not in self.deferred}
        self._missing, self._emptied = missing - gone, False
        for key, job_id in gone:
            lane = self._lanes[key]
            lane.remove(job_id)
            if not lane:
                del self._lanes[key]

    def _dispatch(self, keys: Iterable[str]) -> None:
        """Start what may start; nothing if the lease may be lost, as another consumer may be sending already."""
        if self.closed:
            return
        if not self._queue.attached:
            self._held_back = True
            return
        for key in keys:
            lane = self._lanes.get(key)
            while lane is not None and lane.sending < self._concurrency and (job := lane.next()) is not None:
                task = spawn(self._deliver(key, lane, job), "webhook-send")
                self._sends.add(task)
                task.add_done_callback(self._sends.discard)

    async def _deliver(self, key: str, lane: Lane, job: Job) -> None:
        # Asked again, because this process may have been stopped between the dispatch and here.
        if not self._queue.attached:
            lane.put_back(job.id)
            self._held_back = True
            self._wake()
            return
        try:
            delayed = await self._attempts.make(job)
            again = self._early.pop((key, job.id), None)
            if again is not None and not delayed:
                await self._attempts.drop(again, None)
        except IncarnationGone:
            self.gone = True
            self._wake()
            return
        if self._settled is not None:
            self._settled.add(job.id)
        if delayed:
            lane.delay(job.id)
            if again is not None:
                lane.make_due(again)
            self._wake()
        else:
            lane.remove(job.id)
            if key in self.deferred and self.room(key):
                self._wake()
        if not lane and self._lanes.get(key) is lane:
            del self._lanes[key]
        self._dispatch([key])
