-- The newest events within bounds, for a new subscriber.
-- ARGV[6]  at most so many events, [7] of the last so many ms, [8] published after this ms; 0: no bound
-- ARGV[9]  behind this serial; -1: no bound. ARGV[10] at most so many bytes, but one event at least
-- Returns {the stream (`stream_state`), 1 when more was asked for and is kept, id and payload of each event, newest first}.

local count, window, after_ms = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local after, most_bytes = tonumber(ARGV[9]), tonumber(ARGV[10])

open_given()
load()
local out, cut, n, bytes = {}, 0, 0, 0
if s then
  trim()
  save()
  if window > 0 then after_ms = math.max(after_ms, now_ms - window) end
  local behind = math.max(after + 1, s.first)
  local last = s.serial
  while last >= behind do
    local found = redis.call('XREVRANGE', events, fmt('%.0f', last), fmt('%.0f', behind), 'COUNT', 64)
    if #found == 0 then break end
    for _, each in ipairs(found) do
      local serial, ms = parts(each[1])
      last = serial - 1
      local more = after_ms == 0 or ms > after_ms
      if more and ((count > 0 and n >= count) or (n > 0 and bytes + #each[2][2] > most_bytes)) then
        cut, more = 1, false
      end
      if not more then
        last = behind - 1
        break
      end
      n, bytes = n + 1, bytes + #each[2][2]
      out[2 * n - 1], out[2 * n] = each[1], each[2][2]
    end
  end
end
return { stream_state(), cut, out }
