-- Undoes facts of a dead worker, as if its clients had left. The first call for it takes it from `workers` to
-- `purging`, from where no report of it is accepted; the last one forgets it.
-- KEYS[1] base. ARGV[1] topic prefix, [2] leader, [3] dead incarnation, [4] the heartbeat it was judged by ("" when the
-- purge had begun before), [5...] reports (see read_report) that take facts back.
-- Returns how many facts remain; -1 when the leader has lost its lease, or the incarnation turned out to be alive.

local leader, dead, judged = ARGV[2], ARGV[3], ARGV[4]
if call('GET', base .. 'lease') ~= leader then return -1 end
if call('SISMEMBER', base .. 'purging', dead) == 0 then
  local beat = call('ZSCORE', base .. 'workers', dead)
  if not beat or (tonumber(beat) ~= 0 and tonumber(beat) ~= tonumber(judged)) then return -1 end
  call('ZREM', base .. 'workers', dead)
  call('SADD', base .. 'purging', dead)
end
apply_all(dead, 5)
local remaining = call('HLEN', base .. 'worker:' .. dead) + call('HLEN', base .. 'worker-members:' .. dead)
if remaining == 0 then
  call('SREM', base .. 'purging', dead)
  -- So that it is not taken for one that Redis lost, should it wake up; the number of its newest report is kept as long,
  -- which shows whether one that it had an answer to was lost.
  read_clock()
  call('ZADD', base .. 'reaped', fmt('%.0f', now_us), dead)
  for _, oldest in ipairs(call('ZRANGE', base .. 'reaped', 0, -10001)) do
    call('ZREM', base .. 'reaped', oldest)
    call('HDEL', base .. 'turns', oldest)
  end
end
finish()
return remaining
