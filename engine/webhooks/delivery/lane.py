"""The jobs of one endpoint that are in memory: which may be sent now, so that each channel keeps its order.

Pure: it sends nothing and waits for nothing.
"""

from __future__ import annotations

import heapq
from collections import deque

from engine.interfaces import Job


class Lane:
    """A job may be sent when no earlier job of the lane that shares a channel with it is left, sending or delayed.

    :param limit: jobs that it has room for, delayed ones included.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[str, _Entry] = {}
        self._channels: dict[str, deque[_Entry]] = {}
        self._ready: list[_Entry] = []
        self._next_number = 0
        #: Jobs handed out by `next` and not yet delayed, put back or removed.
        self.sending = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._entries

    @property
    def room(self) -> int:
        return max(0, self._limit - len(self._entries))

    def jobs(self) -> list[Job]:
        """All of them, oldest first."""
        return [entry.job for entry in self._entries.values()]

    def job(self, job_id: str) -> Job:
        return self._entries[job_id].job

    def is_delayed(self, job_id: str) -> bool:
        return self._entries[job_id].delayed

    def is_sending(self, job_id: str) -> bool:
        return self._entries[job_id].sending

    def add(self, job: Job, *, delayed: bool = False) -> None:
        """Append a job that is not in the lane yet."""
        entry = self._entries[job.id] = _Entry(job, self._next_number, delayed)
        self._next_number += 1
        for channel in dict.fromkeys(job.channels):
            queue = self._channels.setdefault(channel, deque())
            entry.waits_for += bool(queue)
            queue.append(entry)
        self._offer(entry)

    def next(self) -> Job | None:
        """The oldest job that may be sent now; it counts as sending from here on."""
        while self._ready:
            entry = heapq.heappop(self._ready)
            if self._entries.get(entry.job.id) is entry and entry.is_ready:
                entry.sending = True
                self.sending += 1
                return entry.job
        return None

    def put_back(self, job_id: str) -> None:
        """It was not sent after all."""
        self._end_sending(self._entries[job_id])
        self._offer(self._entries[job_id])

    def delay(self, job_id: str) -> None:
        """It waits for a retry, and the later jobs of its channels wait with it."""
        self._end_sending(self._entries[job_id])
        self._entries[job_id].delayed = True

    def make_due(self, job: Job) -> None:
        """Its time has come; `job` takes the place of the one that was delayed."""
        entry = self._entries[job.id]
        entry.job, entry.delayed = job, False
        self._offer(entry)

    def remove(self, job_id: str) -> None:
        """Delivered or given up: the next jobs of its channels move up."""
        entry = self._entries.pop(job_id)
        self._end_sending(entry)
        for channel in dict.fromkeys(entry.job.channels):
            queue = self._channels[channel]
            was_first = queue[0] is entry
            queue.remove(entry)
            if not queue:
                del self._channels[channel]
            elif was_first:
                queue[0].waits_for -= 1
                self._offer(queue[0])

    def _offer(self, entry: _Entry) -> None:
        if entry.is_ready:
            heapq.heappush(self._ready, entry)

    def _end_sending(self, entry: _Entry) -> None:
        self.sending -= entry.sending
        entry.sending = False


class _Entry:
    """:ivar waits_for: its channels in which another job comes first."""

    __slots__ = ("delayed", "job", "number", "sending", "waits_for")

    def __init__(self, job: Job, number: int, delayed: bool) -> None:
        self.job = job
        self.number = number
        self.delayed = delayed
        self.sending = False
        self.waits_for = 0

    @property
    def is_ready(self) -> bool:
        return not (self.waits_for or self.delayed or self.sending)

    def __lt__(self, other: _Entry) -> bool:
        return self.number < other.number
