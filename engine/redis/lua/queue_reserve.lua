-- Takes entries, oldest first: retries that are due, then those that wait; defers those of lanes without room.
-- ARGV[2] lease in ms, [3] number of entries looked at, [4..] lanes without room.
-- Returns {entries, ms until the next retry is due or -1, lanes with entries deferred}; or -1, -2 (see `refused`).

local no = refused()
if no then return no end
renew(ARGV[2])
local limit, now = tonumber(ARGV[3]), now_ms()
local entries = call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)
for _, entry in ipairs(entries) do
  call('ZREM', delayed, entry)
  -- In front: it is older than whatever else of its channels is held.
  call('LPUSH', inflight, entry)
end

local full = {}
for i = 4, #ARGV do full[ARGV[i]] = true end
for _, lane in ipairs(call('SMEMBERS', prefix .. 'deferred')) do full[lane] = true end
for _ = #entries + 1, limit do
  local entry = call('LPOP', default)
  if not entry then break end
  local lane = lane_of(entry)
  if lane and full[lane] then
    call('RPUSH', prefix .. 'deferred:' .. lane, entry)
    call('SADD', prefix .. 'deferred', lane)
  else
    call('RPUSH', inflight, entry)
    entries[#entries + 1] = entry
  end
end

local next_due = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
return { entries, next_due and math.max(0, next_due - now) or -1, call('SMEMBERS', prefix .. 'deferred') }
