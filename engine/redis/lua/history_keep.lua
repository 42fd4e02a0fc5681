-- Keeps an event of a channel and publishes it, in one step: the order of the stream is the order of delivery.
-- ARGV[6]  the event's envelope (`_fast/envelope.pyx`); [7] PUBLISH or SPUBLISH; [8] the channel's topic
-- Returns the event's serial.

local envelope = ARGV[6]
local frame = sub(envelope, 3 + string.byte(envelope, 2))

load()
if not s then begin() end

local function add()
  return redis.pcall('XADD', events, fmt('%.0f-%.0f', s.serial, s.last_ms), FIELD, frame)
end

s.serial, s.last_ms = s.serial + 1, math.max(now_ms, s.last_ms)
local added = add()
if type(added) == 'table' and added.err then
  -- Out of memory, say: nothing was changed. Anything else is a key that another program has written to.
  if not (string.find(added.err, 'WRONGTYPE', 1, true) or string.find(added.err, 'equal or smaller', 1, true)) then
    return added
  end
  begin()
  s.serial, s.last_ms = 1, now_ms
  added = add()
  if type(added) == 'table' and added.err then return added end
end
if s.first == s.serial then s.first_ms = s.last_ms end
s.bytes, changed = s.bytes + #frame, true
trim()
save()
redis.call('PEXPIRE', events, fmt('%.0f', window_ms))
redis.call(ARGV[7], ARGV[8], struct.pack('>BI4I8', 6, tonumber(sub(s.id, 1, 8), 16), s.serial) .. sub(envelope, 2))
return s.serial
