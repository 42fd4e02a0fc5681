"""Faults in what happens after the server has lost data: noticing it, and telling again."""

from __future__ import annotations

from tests.simulation.mutation import Mutation

COMMON = "occupancy_common"

LOSING = (
    Mutation("an emptied server has the same epoch", "occupancy_join", "or new_epoch()", "or '1'", loses=True),
    Mutation(
        "a lagging replica is not noticed by a heartbeat",
        "occupancy_join",
        "if went_back(who, newest_report(who), ARGV[4], epoch_known) then return 0 end",
        loses=True,
    ),
    Mutation(
        "a lagging replica is not noticed by a report",
        "occupancy_report",
        "if went_back(who, newest, ARGV[4], ARGV[5]) then return false end",
        loses=True,
    ),
    Mutation(
        "a replica that never knew a worker is not noticed",
        COMMON,
        "if not known or newest_report",
        "if known and newest_report",
        loses=True,
    ),
    Mutation(
        "purge forgets the number of the last report",
        "occupancy_purge",
        "call('SREM', base .. 'purging', dead)",
        "call('SREM', base .. 'purging', dead) call('HDEL', base .. 'turns', dead)",
    ),
    Mutation("a loss makes no new epoch", COMMON, "  new_epoch()\n  finish()\n", loses=True),
    Mutation(
        "whose reports were lost is not given up",
        COMMON,
        "  call('ZADD', base .. 'workers', 0, who)\n",
        loses=True,
        first=1000,
    ),
    Mutation(
        "nothing is told again",
        "occupancy_emit_current",
        "  append(next_seq(), 0, is and come or gone, r, m.user, m.socket, is and m.data or '')\n",
        loses=True,
    ),
    Mutation(
        "what is told again leaves the old entry in the log",
        "occupancy_emit_current",
        "call('ZREM', base .. 'transitions', pending)",
        loses=True,
    ),
    Mutation(
        "what is told again of a channel is how it was",
        "occupancy_emit_current",
        "count(call('HGET', r.totals_key, r.channel)) > 0",
        "false",
        loses=True,
    ),
    Mutation(
        "the leader does not remember whom it reaped",
        "occupancy.reporter:Reporter.departed",
        "self._departures.note(report)",
        "pass",
        loses=True,
    ),
    Mutation(
        "a worker overlooks the new epoch", "occupancy.reporter:Reporter._join", "self._lost = True", "pass", loses=True
    ),
    Mutation(
        "a worker tells again before it has announced what it holds",
        "occupancy.reporter:Reporter._round",
        "if self._lost and self._local.announced:",
        "if self._lost:",
        loses=True,
    ),
    Mutation(
        "nothing is announced under a new name",
        "occupancy.reporter:Reporter._round",
        "self._converge()",
        "self._enter(Phase.STEADY)",
        loses=True,
    ),
    Mutation(
        "members are not announced again",
        "occupancy.local_state:LocalState._announce_some",
        "self._report_again(local, user_id)",
        "pass",
        loses=True,
    ),
    Mutation(
        "departed channels are not remembered",
        "occupancy.recent_departures:RecentDepartures.note",
        "if report.watched and not report.count:",
        "if False:",
        loses=True,
    ),
    Mutation(
        "departed members are not remembered",
        "occupancy.recent_departures:RecentDepartures.note",
        "if report.members_watched and not member.count:",
        "if False:",
        loses=True,
    ),
    Mutation(
        "departures are forgotten at once",
        "occupancy.recent_departures:RecentDepartures.note",
        "+ report.settle_ms / 1000 + KEPT_S",
        loses=True,
    ),
    Mutation(
        "a worker does not say which of its reports was answered",
        "occupancy.redis:RedisOccupancy.report",
        "self._answered = (incarnation, turn)",
        "pass",
        loses=True,
    ),
)
