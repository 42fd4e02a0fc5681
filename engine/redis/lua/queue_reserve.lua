-- Takes entries, oldest first: retries that are due, then those that wait; defers those of lanes without room.
-- ARGV[2] lease in ms, [3] number of entries looked at, [4] bytes that may be deferred for a lane, [5] for an application,
--         [6..] lanes without room.
-- Returns {entries, ms until the next retry is due or -1, lanes with entries deferred, the lane of each entry that was
-- dropped because too much is deferred}; or -1, -2 (see `refused`).

local no = refused()
if no then return no end
renew(ARGV[2])
local limit, now = tonumber(ARGV[3]), now_ms()
local entries = call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)
for _, entry in ipairs(entries) do
  call('ZREM', delayed, entry)
  -- In front: it is older than whatever else of its channels is held.
  call('LPUSH', in_flight, entry)
end

local full = {}
for i = 6, #ARGV do full[ARGV[i]] = true end
local deferred_lanes = call('SMEMBERS', prefix .. 'deferred')
for _, lane in ipairs(deferred_lanes) do full[lane] = true end

-- Bytes deferred for a lane and for its application, looked up once and counted from then on.
local lane_bytes, app_bytes = {}, {}
local function has_room(lane, size)
  local app = string.match(lane, '^(.*)/')
  if not app_bytes[app] then
    app_bytes[app] = 0
    for _, other in ipairs(deferred_lanes) do
      if string.match(other, '^(.*)/') == app then
        lane_bytes[other] = bytes_of(prefix .. 'deferred:' .. other)
        app_bytes[app] = app_bytes[app] + lane_bytes[other]
      end
    end
  end
  local of_lane, of_app = (lane_bytes[lane] or 0) + size, app_bytes[app] + size
  if of_lane > tonumber(ARGV[4]) or of_app > tonumber(ARGV[5]) then return false end
  lane_bytes[lane], app_bytes[app] = of_lane, of_app
  return true
end

local dropped = {}
for _ = #entries + 1, limit do
  local entry = call('LPOP', default)
  if not entry then break end
  local lane = lane_of(entry)
  if lane and full[lane] and not has_room(lane, #entry) then
    dropped[#dropped + 1] = lane
  elseif lane and full[lane] then
    call('RPUSH', prefix .. 'deferred:' .. lane, entry)
    call('SADD', prefix .. 'deferred', lane)
  else
    call('RPUSH', in_flight, entry)
    entries[#entries + 1] = entry
  end
end

local next_due = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
return { entries, next_due and math.max(0, next_due - now) or -1, call('SMEMBERS', prefix .. 'deferred'), dropped }
