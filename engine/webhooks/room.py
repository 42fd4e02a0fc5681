"""How many bytes one endpoint, and one application, may take of what all share: where events and requests wait.

An endpoint that does not keep up must not fill it. Counts only; it holds nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

#: Charged for an event or a job besides its text: roughly what its objects take.
OVERHEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a queue. :param lane_bytes: of one endpoint. :param app_bytes: of all endpoints of an application.
    :param dead_bytes: of all dead letters in Redis, which are one list."""

    lane_bytes: int = 64 * 1024 * 1024
    app_bytes: int = 256 * 1024 * 1024
    dead_bytes: int = 512 * 1024 * 1024


#: Where nothing else is said.
LIMITS = Limits()
#: What is said of an endpoint without room is said so often.
LOG_EVERY_S = 10.0


def no_room(app_id: str, endpoint_id: str) -> str:
    """What is logged of requests that are dropped."""
    return f"webhook queue: endpoint {endpoint_id} of app {app_id} has no room left; its newest requests are dropped"


def share(sizes: Iterable[int], total: int) -> int:
    """The most that each may have so that all have no more than `total`: who has less gives the others room."""
    left = total
    waiting = sorted(sizes)
    for at, size in enumerate(waiting):
        fair = left // (len(waiting) - at)
        if size > fair:
            return fair
        left -= size
    return total


class Room:
    """What is taken now. :param lane_bytes: what one endpoint may take. :param app_bytes: what one application may."""

    def __init__(self, lane_bytes: float, app_bytes: float) -> None:
        self._lane_bytes = lane_bytes
        self._app_bytes = app_bytes
        self._lanes: Counter[tuple[str, str]] = Counter()
        self._apps: Counter[str] = Counter()

    def has(self, app_id: str, endpoint_id: str, cost: int) -> bool:
        """Whether so many bytes more fit."""
        return not self.lane_full(app_id, endpoint_id, cost) and self._apps[app_id] + cost <= self._app_bytes

    def lane_full(self, app_id: str, endpoint_id: str, cost: int) -> bool:
        """Whether it is the endpoint that has no room for them, and not only its application."""
        return self._lanes[app_id, endpoint_id] + cost > self._lane_bytes

    def take(self, app_id: str, endpoint_id: str, cost: int) -> None:
        self._lanes[app_id, endpoint_id] += cost
        self._apps[app_id] += cost

    def give_back(self, app_id: str, endpoint_id: str, cost: int) -> None:
        self._lanes[app_id, endpoint_id] -= cost
        if self._lanes[app_id, endpoint_id] <= 0:
            del self._lanes[app_id, endpoint_id]
        self._apps[app_id] -= cost
        if self._apps[app_id] <= 0:
            del self._apps[app_id]
