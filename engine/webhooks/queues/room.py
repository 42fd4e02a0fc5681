"""How many bytes the requests of one endpoint, and of one application, may take where they wait.

An endpoint that does not keep up must not fill what all share. Counts only; it holds no job.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from engine.interfaces import Job
from engine.webhooks.job import lane_of

#: Charged for a job besides its body: roughly what its objects take.
OVERHEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """:param lane_bytes: of one endpoint. :param app_bytes: of all endpoints of an application.
    :param dead_bytes: of all dead letters in Redis, which are one list."""

    lane_bytes: int = 64 * 1024 * 1024
    app_bytes: int = 256 * 1024 * 1024
    dead_bytes: int = 512 * 1024 * 1024


#: Where nothing else is said.
LIMITS = Limits()


class Room:
    """What is taken now, by endpoint and by application."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lanes: Counter[str] = Counter()
        self._apps: Counter[str] = Counter()

    def has(self, job: Job) -> bool:
        """Whether one more fits."""
        cost = _cost(job)
        lane, app = self._lanes[lane_of(job)] + cost, self._apps[job.app_id] + cost
        return lane <= self._limits.lane_bytes and app <= self._limits.app_bytes

    def take(self, job: Job) -> None:
        self._lanes[lane_of(job)] += _cost(job)
        self._apps[job.app_id] += _cost(job)

    def give_back(self, job: Job) -> None:
        for counter, key in ((self._lanes, lane_of(job)), (self._apps, job.app_id)):
            counter[key] -= _cost(job)
            if counter[key] <= 0:
                del counter[key]

    def lane_full(self, job: Job) -> bool:
        """Whether it is the endpoint that has no room for it, and not only its application."""
        return self._lanes[lane_of(job)] + _cost(job) > self._limits.lane_bytes


def _cost(job: Job) -> int:
    # Not the body's bytes: to count those would cost a copy. A character takes what its kind of text takes.
    return len(job.body) + OVERHEAD_BYTES
