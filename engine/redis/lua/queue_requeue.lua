-- Puts dead letters back at the end of the lane.
-- ARGV[2] how many, oldest first; or 0 for the one entry in [3].
-- Returns how many were moved.

local moved = 0
if ARGV[2] == '0' then
  if call('LREM', failed, 1, ARGV[3]) == 1 then
    call('RPUSH', default, ARGV[3])
    moved = 1
  end
else
  while moved < tonumber(ARGV[2]) and call('LMOVE', failed, default, 'LEFT', 'RIGHT') do moved = moved + 1 end
end
return moved
