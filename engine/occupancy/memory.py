"""Occupancy in process, for one worker without Redis; also the model that the tests hold the Redis driver to.

Keeps no state of its own but what it takes to suspect workers, so that tests can have several over one `MemoryState`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence

from engine.app import Retention
from engine.interfaces import Answer, Due, InterestOf, KeptChange, Report, Transition
from engine.occupancy.failure_detector import FailureDetector
from engine.occupancy.memory_state import MemoryState
from engine.protocol.channel import is_server_owned

#: Facts that are given at once.
PAGE = 1000


class MemoryOccupancy:
    """interfaces.OccupancyStore without a server.

    :param clock: seconds that only grow, for heartbeats.
    :param keep: keeps a change of a member, given as `KeptChange`.
    """

    def __init__(
        self,
        state: MemoryState,
        clock: Callable[[], float] = time.monotonic,
        keep: Callable[[str, str, Retention, bytes], object] = lambda *change: None,
    ) -> None:
        self._state = state
        self._keep = keep
        self._detector = FailureDetector(clock)
        self._judged: dict[str, int] = {}
        #: Always the same, for nothing is lost.
        self.epoch = "1"

    async def join(self, incarnation: str) -> str:
        self._state.join(incarnation)
        return self.epoch

    async def heartbeat(self, incarnation: str) -> bool:
        return self._state.heartbeat(incarnation)

    async def leave(self, incarnation: str) -> None:
        self._state.leave(incarnation)

    async def report(self, incarnation: str, reports: Sequence[Report]) -> list[Answer]:
        return self._state.report(incarnation, reports)

    async def emit_current(self, reports: Sequence[Report]) -> None:
        """Never needed: this store loses nothing but with the process."""

    async def held(self, incarnation: str) -> AsyncIterator[dict[tuple[str, str, str | None], int]]:
        worker = self._state.workers.get(incarnation) or self._state.purging.get(incarnation)
        if worker is None:
            return
        places = list(worker.counts)
        for at in range(0, len(places), PAGE):
            counted = ((*place, None) for place in places[at : at + PAGE])
            yield {fact: count for fact in counted if (count := worker.counts.get(fact[:2]))}
        members = list(worker.members)
        for at in range(0, len(members), PAGE):
            yield {fact: count for fact in members[at : at + PAGE] if (count := worker.members.get(fact))}

    async def channels(self, app_id: str, prefix: str = "") -> dict[str, int]:
        channels = self._state.apps.get(app_id, {})
        return {
            name: total for name, total in channels.items() if name.startswith(prefix) and not is_server_owned(name)
        }

    async def counts(self, app_id: str, channels: Sequence[str]) -> list[tuple[int, int]]:
        state = self._state
        return [(state.total(app_id, name), len(state.members(app_id, name))) for name in channels]

    async def totals(self, app_id: str, channels: Sequence[str]) -> tuple[int, list[int]]:
        return self._state.version, [self._state.total(app_id, name) for name in channels]

    async def members(self, app_id: str, channel: str) -> dict[str, str]:
        return {user: info for user, (_, _, info) in self._state.members(app_id, channel).items()}

    async def acquire(self, incarnation: str, ttl_ms: int) -> bool:
        return self._state.acquire(incarnation, ttl_ms)

    async def release(self, incarnation: str) -> None:
        self._state.release(incarnation)

    async def expired(self, timeout_ms: int) -> list[str]:
        beats = {name: worker.beat for name, worker in self._state.workers.items()}
        suspected = self._detector.suspects(beats, timeout_ms / 1000)
        self._judged = {name: beats[name] for name in suspected}
        return list(self._state.purging) + suspected

    async def purge(
        self,
        leader: str,
        dead: str,
        interest_of: InterestOf,
        limit: int,
        undoing: Callable[[Report], None] | None = None,
    ) -> bool:
        return self._state.purge(leader, dead, self._judged.get(dead, 0), interest_of, limit)

    async def due(self, limit: int) -> Due:
        return self._state.log.due(limit)

    @property
    def pushes_jobs(self) -> bool:
        return False

    async def commit(
        self,
        leader: str,
        emitted: Sequence[Transition],
        jobs: Sequence[tuple[str, bytes]],
        kept: Sequence[KeptChange] = (),
    ) -> bool:
        if jobs:
            await self.push(jobs)
        if not self._state.leads(leader) or not self._state.log.commit(emitted):
            return False
        for change in kept:
            self._keep(*change)
        return True

    async def push(self, jobs: Sequence[tuple[str, bytes]]) -> None:
        raise ValueError("there is no Redis list to push jobs to: put them in the queue before the commit")

    async def audit(self, leader: str, apps: Sequence[str], interest_of: InterestOf, limit: int) -> int:
        """Nobody else can write to this process' memory."""
        return 0
