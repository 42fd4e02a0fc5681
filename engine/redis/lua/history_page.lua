-- A page of what is kept.
-- ARGV[6]  items at most, [7] 1 for newest first. ARGV[8..9] least and greatest serial, [10..11] least and greatest ms;
--          -1: no bound. ARGV[12] the serial behind which the page begins, in its direction; -1: no bound
-- ARGV[13] at most so many bytes, but one item at least
-- Returns {the stream (`stream_state`), 1 when there is more within the bounds, id and payload of each item}.

local limit, newest_first, most_bytes = tonumber(ARGV[6]), ARGV[7] == '1', tonumber(ARGV[13])

-- The serial of the first kept event that was published at `ms` or later.
local function since(ms)
  local low, high = s.first, s.serial + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('XRANGE', events, fmt('%.0f', middle), '+', 'COUNT', 1)
    local _, at = parts(found[1] and found[1][1] or '0-0')
    if found[1] and at < ms then low = middle + 1 else high = middle end
  end
  return low
end

local function bound(n)
  local value = tonumber(ARGV[n])
  return value >= 0 and value or nil
end

open_given()
load()
local out, more, n, bytes = {}, 0, 0, 0
if s then
  trim()
  save()
  local low = math.max(s.first, bound(8) or 0, bound(10) and since(bound(10)) or 0)
  local high = math.min(s.serial, bound(9) or s.serial, bound(11) and since(bound(11) + 1) - 1 or s.serial)
  local behind = bound(12)
  if behind and newest_first then high = math.min(high, behind - 1) end
  if behind and not newest_first then low = math.max(low, behind + 1) end
  while low <= high and more == 0 do
    local from, to = fmt('%.0f', low), fmt('%.0f', high)
    local found = newest_first and redis.call('XREVRANGE', events, to, from, 'COUNT', 64)
      or redis.call('XRANGE', events, from, to, 'COUNT', 64)
    if #found == 0 then break end
    for _, each in ipairs(found) do
      local serial = parts(each[1])
      if n >= limit or (n > 0 and bytes + #each[2][2] > most_bytes) then
        more = 1
        break
      end
      if newest_first then high = serial - 1 else low = serial + 1 end
      n, bytes = n + 1, bytes + #each[2][2]
      out[2 * n - 1], out[2 * n] = each[1], each[2][2]
    end
  end
end
return { stream_state(), more, out }
