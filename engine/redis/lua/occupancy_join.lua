-- Makes an incarnation known and alive, or notes that it is.
-- KEYS[1] base. ARGV[1] topic prefix, [2] incarnation, [3] "1" to make it known, "0" for a heartbeat, [4] number of its
-- newest report that was answered, [5] the epoch it knows, "" if none.
-- Returns the epoch, another one since Redis last lost data, whoever noticed that; or 0 when the incarnation was given
-- up, however long ago (or, for a heartbeat, is not known).

local who, epoch_known = ARGV[2], ARGV[5]
local beat = call('ZSCORE', base .. 'workers', who)
if ARGV[3] == '0' and tonumber(beat or 0) == 0 then
  note_refused(who, ARGV[4], epoch_known)
  return 0
end
if tonumber(beat) == 0 or call('SISMEMBER', base .. 'purging', who) == 1 then return 0 end
-- A join may come late, when all that this incarnation held is undone already.
if not beat and call('ZSCORE', base .. 'reaped', who) then return 0 end
if went_back(who, newest_report(who), ARGV[4], epoch_known) then return 0 end
read_clock()
local epoch = call('GET', base .. 'epoch') or new_epoch()
call('ZADD', base .. 'workers', fmt('%.0f', math.max(tonumber(beat or 0) + 1, math.floor(now_us / 1000))), who)
return epoch
