-- Makes an incarnation known and alive, or notes that it is.
-- KEYS[1] base. ARGV[1] topic prefix, [2] incarnation, [3] "1" to make it known, "0" for a heartbeat.
-- Returns 1, or 0 when it was given up (or, for a heartbeat, is not known).

local who = ARGV[2]
local beat = call('ZSCORE', base .. 'workers', who)
if beat then
  if tonumber(beat) == 0 then return 0 end
elseif ARGV[3] == '0' or call('SISMEMBER', base .. 'purging', who) == 1 then
  return 0
end
read_clock()
call('ZADD', base .. 'workers', fmt('%.0f', math.max(tonumber(beat or 0) + 1, math.floor(now_us / 1000))), who)
return 1
