"""Faults in how scripts take over facts and decide transitions, and in how they know a report from an old one."""

from __future__ import annotations

from tests.simulation.mutation import Mutation

COMMON = "occupancy_common"

FACTS = (
    Mutation(
        "a report of a worker that was given up is taken",
        "occupancy_report",
        "  note_refused(who, ARGV[4], ARGV[5])\n  return false\n",
    ),
    Mutation("a report that comes late replaces newer ones", "occupancy_report", "if newest > turn then return 0 end"),
    Mutation("the number of a report is not noted", "occupancy_report", "call('HSET', base .. 'turns', who, ARGV[3])"),
    Mutation(
        "a heartbeat makes a forgotten worker known",
        "occupancy_join",
        "ARGV[3] == '0' and tonumber(beat or 0) == 0",
        "false",
    ),
    Mutation(
        "a return does not cancel a departure that settles",
        COMMON,
        "      call('ZREM', base .. 'transitions', opposite)\n      return\n",
    ),
    Mutation("a return cancels a departure that should have been told", COMMON, "if seq < due then", "if due > 0 then"),
    Mutation(
        "a departure that was cancelled stays in `pending`",
        COMMON,
        "    call('HDEL', base .. 'pending', field)\n    local due",
        "    local due",
    ),
    Mutation(
        "a departure that settles is not noted",
        COMMON,
        "if r.settle_us > 0 then call('HSET', base .. 'pending', field, entry) end",
    ),
    Mutation("departures never settle", COMMON, "fmt('%.0f', seq + settle_us)", "fmt('%.0f', seq)"),
    Mutation(
        "a second worker of a member is not counted",
        COMMON,
        "held, since, info, old == 0 and 1 or 0)",
        "held, since, info, 0)",
    ),
    Mutation(
        "a member's last worker but one is not uncounted", COMMON, "hold(r, m.user, held - 1", "hold(r, m.user, held"
    ),
    Mutation(
        "a member is removed with one of its connections",
        COMMON,
        "  elseif m.count > 0 then\n",
        "  elseif m.count > 0 and m.count < old and held == 1 then\n    remove_member(r, m.user, m.socket)\n"
        "  elseif m.count > 0 then\n",
    ),
    Mutation(
        "more members than the limit are let in",
        COMMON,
        "if m.limit > 0 and call('HLEN', r.members_key) >= m.limit then return false end",
    ),
    Mutation(
        "more subscriptions than the limit are let in",
        COMMON,
        "if r.limit > 0 and r.count > old and after > r.limit then return { before, 1 } end",
    ),
    Mutation(
        "who has all that it had is refused for the limit",
        COMMON,
        "if r.limit > 0 and r.count > old and after > r.limit",
        "if r.limit > 0 and after > r.limit",
    ),
    Mutation(
        "a report adds instead of replacing", COMMON, "before + r.count - old, r.count", "before + r.count, r.count"
    ),
    Mutation(
        "members come before their channel is occupied",
        COMMON,
        "  if r.count >= old then set_total(who, r, raw, before, after) end\n"
        "  local refused = {}\n"
        "  for _, m in ipairs(r.members) do\n"
        "    if not set_member(who, r, m) then refused[#refused + 1] = m.user end\n"
        "  end\n",
        "  local refused = {}\n"
        "  for _, m in ipairs(r.members) do\n"
        "    if not set_member(who, r, m) then refused[#refused + 1] = m.user end\n"
        "  end\n"
        "  if r.count >= old then set_total(who, r, raw, before, after) end\n",
    ),
    Mutation(
        "a fact that is no more is not deleted",
        COMMON,
        "    if raw then call('HDEL', key, field) end\n",
    ),
    Mutation("workers do not hear who comes", COMMON, "  publish(ADDED, r, seq, m.user, m.info)\n"),
    Mutation("workers do not hear who goes", COMMON, "  publish(REMOVED, r, seq, user, '')\n"),
    Mutation(
        "a roster is given at an older version",
        COMMON,
        "return { after, 0, last_seq, call('HGETALL'",
        "return { after, 0, last_seq - 1, call('HGETALL'",
    ),
    Mutation(
        "a step back of the clock delays what settles",
        COMMON,
        "  if now_us + skew_us < last_seq then skew_us = last_seq - now_us end\n",
    ),
    Mutation(
        "two changes have one sequence number",
        COMMON,
        "math.max(last_seq + 1, clock_us)",
        "math.max(last_seq, clock_us)",
    ),
    Mutation("sequence numbers follow a clock that steps back", COMMON, "math.max(last_seq + 1, clock_us)", "now_us"),
    Mutation(
        "the last sequence number is not kept",
        COMMON,
        "if clock_changed then call('SET', base .. 'clock', fmt('%.0f %.0f', last_seq, skew_us)) end",
    ),
    Mutation("the leader does not hear of a transition", COMMON, "if appended then wake_leader() end"),
)
