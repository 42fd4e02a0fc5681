"""Faults in the parts that run in every worker: reporter, leader, and the driver between them and the scripts."""

from __future__ import annotations

from tests.simulation.mutation import Mutation

WORKERS = (
    Mutation(
        "who waits is forgotten when a report fails",
        "occupancy.local_state:LocalState.put_back",
        "local.waiting = waiting + local.waiting",
        "pass",
    ),
    Mutation(
        "members are forgotten when a report fails",
        "occupancy.local_state:LocalState.put_back",
        "since, local.changed = local.changed, changed",
        "since = {}",
    ),
    Mutation(
        "a worker that was given up keeps its name",
        "occupancy.reporter:Reporter._rename",
        "self.incarnation, self._joined = _new_incarnation(), False",
        "self._joined = False",
    ),
    Mutation(
        "who fits is refused with those who do not",
        "occupancy.local_state:LocalState.refused",
        "waiting[:keep] + local.waiting",
        "local.waiting",
    ),
    Mutation(
        "who is in is measured by the limit again",
        "occupancy.local_channel:LocalChannel.report",
        "self.limit if self.waiting else 0",
        "self.limit",
    ),
    Mutation(
        "the last connection of a member is not told to be gone",
        "occupancy.local_channel:LocalChannel.remove_member",
        'self.note({user_id: Change(member, left="" if connections else member.socket_id)})',
        "pass",
    ),
    Mutation(
        "a worker's clock that steps back makes its reports old ones",
        "occupancy.redis:RedisOccupancy.report",
        "max(self._turn + 1, time.time_ns() // 1000)",
        "time.time_ns() // 1000",
    ),
    Mutation(
        "time without a look at the heartbeats counts as silence",
        "occupancy.failure_detector:FailureDetector.suspects",
        "min(now - self._looked_at, timeout_s * MAX_STEP)",
        "now - self._looked_at",
    ),
    Mutation(
        "a heartbeat does not end a silence",
        "occupancy.failure_detector:FailureDetector.suspects",
        "and self._seen[name][0] == beat",
        "",
    ),
    Mutation(
        "a worker sends no heartbeats",
        "occupancy.reporter:Reporter._round",
        "if not await self._store.heartbeat(self.incarnation):",
        "if False:",
    ),
    Mutation(
        "a leader goes on when it has lost the lease",
        "leader.lease:Lease._set_held",
        "self.held = held",
        "self.held = True",
    ),
    Mutation(
        "a leader reaps nobody",
        "leader.reaper:Reaper._dead",
        "for name in await self._store.expired(self._node_timeout_ms) if name != self._lease.holder",
        "for name in await self._store.expired(self._node_timeout_ms) if False",
    ),
)
