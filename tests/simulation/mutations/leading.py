"""Faults in what a leader's scripts check and do: lease, purge, due, commit."""

from __future__ import annotations

from tests.simulation.mutation import Mutation

LEADING = (
    Mutation(
        "the lease is taken from another",
        "occupancy_lease",
        "if holder and holder ~= who then return 0 end",
    ),
    Mutation(
        "the lease never ends", "occupancy_lease", "call('SET', lease, who, 'PX', ttl_ms)", "call('SET', lease, who)"
    ),
    Mutation(
        "commit does not check the lease",
        "occupancy_commit",
        "if call('GET', base .. 'lease') ~= leader then return 0 end",
    ),
    Mutation(
        "commit does not check that the entries are there",
        "occupancy_commit",
        "if not call('ZSCORE', log, ARGV[i]) then return 0 end",
    ),
    Mutation("commit leaves the entries in the log", "occupancy_commit", "call('ZREM', log, entry)"),
    Mutation(
        "commit leaves what has been told in `pending`",
        "occupancy_commit",
        "call('HDEL', base .. 'pending', field) end",
        "end",
    ),
    Mutation(
        "commit takes a younger entry out of `pending`",
        "occupancy_commit",
        "and call('HGET', base .. 'pending', field) == entry",
    ),
    Mutation(
        "commit queues only some of the jobs",
        "occupancy_commit",
        "for i = jobs, #ARGV, 2 do",
        "for i = jobs, #ARGV, 4 do",
    ),
    Mutation(
        "what is not due yet is told",
        "occupancy_due",
        "'-inf', fmt('%.0f', upto), 'WITHSCORES'",
        "'-inf', '+inf', 'WITHSCORES'",
    ),
    Mutation(
        "due says that nothing more is to come",
        "occupancy_due",
        "'LIMIT', 0, 1)[2] or false",
        "'LIMIT', 0, 1)[3] or false",
    ),
    Mutation(
        "purge does not check the lease",
        "occupancy_purge",
        "if call('GET', base .. 'lease') ~= leader then return -1 end",
    ),
    Mutation(
        "purge does not check whether the worker was heard again",
        "occupancy_purge",
        "(tonumber(beat) ~= 0 and tonumber(beat) ~= tonumber(judged))",
        "false",
    ),
    Mutation(
        "purge leaves the worker among the living",
        "occupancy_purge",
        "call('ZREM', base .. 'workers', dead)",
    ),
    Mutation(
        "purge does not note that it has begun",
        "occupancy_purge",
        "call('SADD', base .. 'purging', dead)",
    ),
    Mutation("purge never ends", "occupancy_purge", "call('SREM', base .. 'purging', dead)"),
    Mutation(
        "who was purged is taken for one that was lost",
        "occupancy_purge",
        "call('ZADD', base .. 'reaped', fmt('%.0f', now_us), dead)",
    ),
    Mutation(
        "audit does not check the lease",
        "occupancy_audit",
        "if call('GET', base .. 'lease') ~= ARGV[2] then return { -1, {} } end",
    ),
    Mutation(
        "audit leaves out who is being purged",
        "occupancy_audit",
        "for _, who in ipairs(call('SMEMBERS', base .. 'purging')) do workers[#workers + 1] = who end",
    ),
    Mutation(
        "a worker that is declared dead goes on as if nothing was",
        "occupancy_leave",
        "if known then call('ZADD', base .. 'workers', 0, who) end",
    ),
    Mutation(
        "a dead leader keeps its lease",
        "occupancy_leave",
        "if led then call('DEL', base .. 'lease') end",
    ),
    Mutation("nobody hears that a worker died", "occupancy_leave", "if known or led then wake_leader() end"),
)
