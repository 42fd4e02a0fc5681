-- Ends the holding of one entry. Called again with the same entry it changes nothing more.
-- ARGV[2] the entry, [3] "ack", "drop" (the last of two that are the same), "retry" or "bury", [4] the entry to keep in
--         its place,
--         [5] delay in ms (retry) or number of dead letters kept (bury), [6] about how many bytes they may take.
-- Returns -1, -2 (see `refused`), else 0 or, of a "bury": how many old dead letters were dropped since there were far too
-- many, how many there are now, and about how many bytes they take.

local no = refused()
if no then return no end
if ARGV[3] == 'drop' then
  -- The place of the first one is the job's: the order in which the next consumer would get it back.
  if #call('LPOS', in_flight, ARGV[2], 'COUNT', 2) == 2 then call('LREM', in_flight, -1, ARGV[2]) end
  return 0
end
if call('LREM', in_flight, 1, ARGV[2]) == 0 then return 0 end
local dropped = 0
if ARGV[3] == 'retry' then
  call('ZADD', delayed, now_ms() + tonumber(ARGV[5]), ARGV[4])
elseif ARGV[3] == 'bury' then
  call('RPUSH', failed, ARGV[4])
  -- The consumer makes room before it comes to this, and drops those of the lanes that have most.
  while call('LLEN', failed) > tonumber(ARGV[5]) * 1.25 + 1 do
    call('LPOP', failed)
    dropped = dropped + 1
  end
  while call('LLEN', failed) > 1 and bytes_of(failed) > tonumber(ARGV[6]) * 1.25 do
    call('LPOP', failed)
    dropped = dropped + 1
  end
  return {dropped, call('LLEN', failed), bytes_of(failed)}
end
return 0
