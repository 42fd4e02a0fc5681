-- Whose some of the dead letters are, and what they take.
-- ARGV[2] the first, [3] the last of them, counted from the oldest, which is 0.
-- Returns lane, number, bytes for each lane; the lane of what is no job is empty.

local numbers, bytes, found = {}, {}, {}
for _, entry in ipairs(call('LRANGE', failed, ARGV[2], ARGV[3])) do
  local lane = lane_of(entry) or ''
  numbers[lane] = (numbers[lane] or 0) + 1
  bytes[lane] = (bytes[lane] or 0) + #entry
end
for lane, number in pairs(numbers) do
  found[#found + 1] = lane
  found[#found + 1] = number
  found[#found + 1] = bytes[lane]
end
return found
