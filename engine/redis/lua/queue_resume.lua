-- Takes the oldest entries that were deferred for a lane.
-- ARGV[2] lease in ms, [3] number of entries, [4] lane.
-- Returns as queue_reserve does.

local no = refused()
if no then return no end
renew(ARGV[2])
local deferred, entries = prefix .. 'deferred:' .. ARGV[4], {}
for i = 1, tonumber(ARGV[3]) do
  local entry = call('LMOVE', deferred, in_flight, 'LEFT', 'RIGHT')
  if not entry then break end
  entries[i] = entry
end
if call('EXISTS', deferred) == 0 then call('SREM', prefix .. 'deferred', ARGV[4]) end
return { entries, -1, call('SMEMBERS', prefix .. 'deferred'), {} }
