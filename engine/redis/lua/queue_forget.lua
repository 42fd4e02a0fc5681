-- Drops dead letters of some lanes, the oldest first.
-- ARGV[2] the first, [3] the last that are looked at, counted from the oldest, which is 0;
--         then for each lane: its name, how many are to go, and how many bytes at least.
-- Returns lane, number, bytes of what went, for each of them.

local MARK = '\0'
local left_number, left_bytes, gone = {}, {}, {}
for at = 4, #ARGV, 3 do
  left_number[ARGV[at]] = tonumber(ARGV[at + 1])
  left_bytes[ARGV[at]] = tonumber(ARGV[at + 2])
end
local marked = 0
for at, entry in ipairs(call('LRANGE', failed, ARGV[2], ARGV[3])) do
  local lane = lane_of(entry) or ''
  if (left_number[lane] or 0) > 0 or (left_bytes[lane] or 0) > 0 then
    -- Deleted by their value afterwards: to delete one in the middle moves all behind it.
    call('LSET', failed, ARGV[2] + at - 1, MARK)
    marked = marked + 1
    left_number[lane] = left_number[lane] - 1
    left_bytes[lane] = left_bytes[lane] - #entry
  end
end
if marked > 0 then call('LREM', failed, marked, MARK) end
for at = 4, #ARGV, 3 do
  gone[#gone + 1] = ARGV[at]
  gone[#gone + 1] = ARGV[at + 1] - left_number[ARGV[at]]
  gone[#gone + 1] = ARGV[at + 2] - left_bytes[ARGV[at]]
end
return gone
