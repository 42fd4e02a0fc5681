-- Applies what one worker reports, all of it or nothing.
-- KEYS[1] base. ARGV[1] topic prefix, [2] incarnation, [3] number of this report, [4] number of its newest report that was
-- answered, [5] the epoch it knows, [6...] reports (see read_report).
-- Returns the answers in order (see apply); false when the incarnation was given up; 0 when a newer report of it was
-- applied before: one that timed out may still reach Redis, and its old facts must not replace newer ones.

local who, turn = ARGV[2], tonumber(ARGV[3])
if tonumber(call('ZSCORE', base .. 'workers', who) or 0) == 0 then
  note_refused(who, ARGV[4], ARGV[5])
  return false
end
local newest = newest_report(who)
if newest > turn then return 0 end
if went_back(who, newest, ARGV[4], ARGV[5]) then return false end
call('HSET', base .. 'turns', who, ARGV[3])
local answers = apply_all(who, 6)
finish()
return answers
