-- Removes kept events for an operator.
-- ARGV[6]  reset (another stream begins), all, serial or ms; [7] what comes before that serial or ms
-- Returns {the stream (`stream_state`), its id before, how many events and bytes were removed}.

local mode, limit = ARGV[6], tonumber(ARGV[7])

open_given()
load()
local before, count, bytes = '', 0, 0
if s then
  trim()
  before, count, bytes = s.id, s.serial + 1 - s.first, s.bytes
end
if mode == 'reset' then
  local gone_ms = s and s.last_ms or 0
  begin()
  s.gone_ms = gone_ms
elseif s then
  drop(function(serial, ms)
    if mode == 'serial' then return serial < limit end
    return mode == 'all' or ms < limit
  end)
  count, bytes = count - (s.serial + 1 - s.first), bytes - s.bytes
end
if s then save() end
return { stream_state(), before, count, bytes }
