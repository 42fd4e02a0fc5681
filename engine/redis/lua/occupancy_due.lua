-- Reads the transitions that may be emitted now, in order; before that queues the jobs that waited for earlier ones.
-- KEYS[1] base. ARGV[1] topic prefix, [2] how many at most.
-- Returns {microsecond by the sequence's clock, {entry, score, ...}, score of the first that was not returned or false}.

local log, after_transitions, limit = base .. 'transitions', base .. 'after_transitions', tonumber(ARGV[2])
-- Jobs released by one look.
local RELEASED = 500

local more, stuck = false, false

local function release()
  if call('EXISTS', after_transitions) == 0 then return end
  local first = earliest()
  local before = first < math.huge and fmt('(%.0f', first) or '+inf'
  local entries = call('ZRANGEBYSCORE', after_transitions, '-inf', before, 'LIMIT', 0, RELEASED + 1)
  for i, entry in ipairs(entries) do
    more = i > RELEASED
    if more then return end
    local length = count(string.sub(entry, 17, 21))
    local list, job = string.sub(entry, 22, 21 + length), string.sub(entry, 22 + length)
    local pushed = (length == 0 or job == '') or redis.pcall('RPUSH', list, job)
    stuck = type(pushed) == 'table' and pushed.err ~= nil
    if stuck then return end
    call('ZREM', after_transitions, entry)
  end
end

read_clock()
local now = clock_us
release()
if more then
  finish()
  return { now, {}, fmt('%.0f', now) }
end
-- What came after the first job that still waits is emitted after it; but a job that cannot be queued keeps nothing back.
local waits = not stuck and call('ZRANGE', after_transitions, 0, 0, 'WITHSCORES')[2]
local upto = math.min(now, tonumber(waits or now))
-- One more than asked for, to know whether and when there is more.
local due = call('ZRANGEBYSCORE', log, '-inf', fmt('%.0f', upto), 'WITHSCORES', 'LIMIT', 0, limit + 1)
local after = false
if #due > 2 * limit then
  after = table.remove(due)
  table.remove(due)
else
  after = call('ZRANGEBYSCORE', log, fmt('(%.0f', upto), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or false
end
finish()
return { now, due, after }
