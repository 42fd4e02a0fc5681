-- Takes, renews or gives back the leader's lease.
-- KEYS[1] base. ARGV[1] topic prefix, [2] incarnation, [3] ms to hold it, or 0 to give it back.
-- Returns 1 while the incarnation is the leader (giving back: when it was), else 0.

local lease, who, ttl_ms = base .. 'lease', ARGV[2], tonumber(ARGV[3])
local holder = call('GET', lease)
if holder and holder ~= who then return 0 end
if ttl_ms > 0 then
  call('SET', lease, who, 'PX', ttl_ms)
  return 1
end
if not holder then return 0 end
call('DEL', lease)
wake_leader()
return 1
