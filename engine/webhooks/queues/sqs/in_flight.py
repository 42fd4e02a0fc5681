"""The jobs that one consumer has received from SQS and not yet deleted there, and in which state each of them is.

Pure: it calls nothing and waits for nothing.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engine.interfaces import Job, Reservation
from engine.webhooks.job import lane_of
from engine.webhooks.queues.sqs.client import Incoming

#: What may be deferred in memory; what comes beyond it is let go, and SQS gives it out again later.
MAX_DEFERRED_BYTES = 16 * 1024 * 1024


@dataclass(slots=True, eq=False)
class InFlight:
    """One received job.

    :ivar settling: its message may be deleted already. :ivar buried: it is a dead letter already.
    """

    message: Incoming
    job: Job
    settling: bool = False
    buried: bool = False

    @property
    def size(self) -> int:
        return len(self.message.body)


class InFlightJobs:
    """Waiting, given out, delayed for a retry, or deferred."""

    def __init__(self) -> None:
        self._all: dict[str, InFlight] = {}
        self._waiting: deque[InFlight] = deque()
        # By identity: two messages with one job are two jobs.
        self._given_out: dict[int, InFlight] = {}
        self._delayed: list[tuple[float, int, InFlight]] = []
        self._numbers = itertools.count()
        self._deferred: dict[str, deque[InFlight]] = {}
        self._deferred_bytes = 0
        #: Lanes of which something was let go: all that follows must be, too, or it would overtake.
        self._overflowed: set[str] = set()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def waiting(self) -> int:
        """Received and not yet looked at."""
        return len(self._waiting)

    @property
    def given_out_jobs(self) -> list[Job]:
        return [flight.job for flight in self._given_out.values()]

    @property
    def delayed(self) -> list[Job]:
        return [flight.job for _, _, flight in sorted(self._delayed)]

    def every(self) -> list[InFlight]:
        return list(self._all.values())

    def knows(self, message: Incoming) -> bool:
        """Whether it has come before; from now on only its newest receipt is valid."""
        flight = self._all.get(message.id)
        if flight is not None:
            flight.message = message
        return flight is not None

    def add(self, message: Incoming, job: Job) -> None:
        flight = self._all[message.id] = InFlight(message, job)
        self._waiting.append(flight)

    def take(self, limit: int, full: Collection[str], now: float) -> Reservation:
        """Up to `limit`: retries whose time has come, then what waits; jobs of `full` lanes are deferred."""
        taken: list[InFlight] = []
        while self._delayed and self._delayed[0][0] <= now and len(taken) < limit:
            taken.append(heapq.heappop(self._delayed)[2])
        for _ in range(min(limit - len(taken), len(self._waiting))):
            flight = self._waiting.popleft()
            lane = lane_of(flight.job)
            if lane in full or lane in self._deferred or lane in self._overflowed:
                self._defer(lane, flight)
            else:
                taken.append(flight)
        return self._give_out(taken, now)

    def take_deferred(self, lane: str, limit: int, now: float) -> Reservation:
        deferred = self._deferred.get(lane, deque())
        taken = [deferred.popleft() for _ in range(min(limit, len(deferred)))]
        self._deferred_bytes -= sum(flight.size for flight in taken)
        if not deferred:
            self._deferred.pop(lane, None)
            self._overflowed.discard(lane)
        return self._give_out(taken, now)

    def given_out(self, job: Job) -> InFlight | None:
        return self._given_out.get(id(job))

    def delay(self, flight: InFlight, due: float) -> None:
        del self._given_out[id(flight.job)]
        heapq.heappush(self._delayed, (due, next(self._numbers), flight))

    def let_go(self, flight: InFlight) -> None:
        self._given_out.pop(id(flight.job), None)
        self._all.pop(flight.message.id, None)

    def clear(self) -> None:
        for state in (
            *(self._all, self._waiting, self._given_out),
            *(self._delayed, self._deferred, self._overflowed),
        ):
            state.clear()
        self._deferred_bytes = 0

    def _defer(self, lane: str, flight: InFlight) -> None:
        if lane in self._overflowed or self._deferred_bytes + flight.size > MAX_DEFERRED_BYTES:
            if lane in self._deferred:
                self._overflowed.add(lane)
            self.let_go(flight)
            return
        self._deferred.setdefault(lane, deque()).append(flight)
        self._deferred_bytes += flight.size

    def _give_out(self, taken: Sequence[InFlight], now: float) -> Reservation:
        self._given_out.update((id(flight.job), flight) for flight in taken)
        next_due_s = max(0.0, self._delayed[0][0] - now) if self._delayed else None
        return Reservation([flight.job for flight in taken], next_due_s, frozenset(self._deferred))
