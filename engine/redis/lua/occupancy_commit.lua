-- Takes emitted transitions out of the log, keeps those that a presence history wants, and queues the jobs made of them:
-- all or nothing. `history_common.lua` is in front of it too.
-- KEYS[1] base. ARGV[1] topic prefix, [2] leader, [3] number of transitions, then for each: entry, its field in `pending`
-- or "" ; then seed and life (`open`), number of streams, and for each: app/channel, count, ms and bytes that are kept,
-- number of its payloads, the payloads; then pairs of list and job.
-- Returns 1; or 0, with nothing done, when the lease is not the leader's or a transition is not there any more.

local leader, n, log = ARGV[2], tonumber(ARGV[3]), base .. 'transitions'
if call('GET', base .. 'lease') ~= leader then return 0 end
local kept = 4 + 2 * n
for i = 4, kept - 2, 2 do
  if not call('ZSCORE', log, ARGV[i]) then return 0 end
end
local of_worker, life, jobs = ARGV[kept], ARGV[kept + 1], kept + 3
for _ = 1, tonumber(ARGV[kept + 2]) do jobs = jobs + 5 + tonumber(ARGV[jobs + 4]) end
-- First what can fail (out of memory, a key of another type): then nothing has been done yet.
for i = jobs, #ARGV, 2 do redis.call('RPUSH', ARGV[i], ARGV[i + 1]) end
local at = kept + 3
while at < jobs do
  local place = ARGV[at]
  open(base .. 'presence_events:' .. place, base .. 'presence_stream:' .. place, of_worker, life, unpack(ARGV, at + 1, at + 3))
  load()
  for i = at + 5, at + 4 + tonumber(ARGV[at + 4]) do
    local failed = put(ARGV[i])
    if failed then error(failed.err, 0) end
  end
  finish_puts()
  at = at + 5 + tonumber(ARGV[at + 4])
end
for i = 4, kept - 2, 2 do
  local entry, field = ARGV[i], ARGV[i + 1]
  call('ZREM', log, entry)
  if field ~= '' and call('HGET', base .. 'pending', field) == entry then call('HDEL', base .. 'pending', field) end
end
return 1
