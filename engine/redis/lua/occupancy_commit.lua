-- Takes emitted transitions out of the log and queues the jobs made of them: all or nothing.
-- KEYS[1] base. ARGV[1] topic prefix, [2] leader, [3] number of transitions, then for each: entry, its field in `pending`
-- or "" ; then pairs of list and job.
-- Returns 1; or 0, with nothing done, when the lease is not the leader's or a transition is not there any more.

local leader, n, log = ARGV[2], tonumber(ARGV[3]), base .. 'transitions'
if call('GET', base .. 'lease') ~= leader then return 0 end
local jobs = 4 + 2 * n
for i = 4, jobs - 2, 2 do
  if not call('ZSCORE', log, ARGV[i]) then return 0 end
end
-- First what can fail (out of memory, a key of another type): then nothing has been done yet.
for i = jobs, #ARGV, 2 do redis.call('RPUSH', ARGV[i], ARGV[i + 1]) end
for i = 4, jobs - 2, 2 do
  local entry, field = ARGV[i], ARGV[i + 1]
  call('ZREM', log, entry)
  if field ~= '' and call('HGET', base .. 'pending', field) == entry then call('HDEL', base .. 'pending', field) end
end
return 1
