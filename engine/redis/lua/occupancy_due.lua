-- Reads the transitions that may be told now, in order.
-- KEYS[1] base. ARGV[1] topic prefix, [2] how many at most.
-- Returns {microsecond by the sequence's clock, {entry, score, ...}, score of the first that was not returned or false}.

local log, limit = base .. 'transitions', tonumber(ARGV[2])
read_clock()
local now = clock_us
-- One more than wanted tells whether and when there is more.
local due = call('ZRANGEBYSCORE', log, '-inf', fmt('%.0f', now), 'WITHSCORES', 'LIMIT', 0, limit + 1)
local after = false
if #due > 2 * limit then
  after = table.remove(due)
  table.remove(due)
else
  after = call('ZRANGEBYSCORE', log, fmt('(%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or false
end
finish()
return { now, due, after }
