-- Ends the holding of one entry. Called again with the same entry it changes nothing more.
-- ARGV[2] the entry, [3] "ack", "retry" or "bury", [4] the entry to keep in its place,
--         [5] delay in ms (retry) or number of dead letters kept (bury), [6] about how many bytes they may take.
-- Returns the number of old dead letters that were dropped; or -1, -2 (see `refused`).

local no = refused()
if no then return no end
if call('LREM', in_flight, 1, ARGV[2]) == 0 then return 0 end
local dropped = 0
if ARGV[3] == 'retry' then
  call('ZADD', delayed, now_ms() + tonumber(ARGV[5]), ARGV[4])
elseif ARGV[3] == 'bury' then
  call('RPUSH', failed, ARGV[4])
  while call('LLEN', failed) > tonumber(ARGV[5]) do
    call('LPOP', failed)
    dropped = dropped + 1
  end
  while call('LLEN', failed) > 1 and bytes_of(failed) > tonumber(ARGV[6]) do
    call('LPOP', failed)
    dropped = dropped + 1
  end
end
return dropped
