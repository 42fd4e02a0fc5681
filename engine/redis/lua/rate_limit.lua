-- Counts a request in its key's window, which begins with the first request, unless that would exceed the limit.
-- KEYS[1] the counter. ARGV[1] limit, [2] window in ms, [3] cost.
-- Returns {1 when it may pass, else 0; cost counted in the window now; ms until the window ends}.

local limit, window_ms, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used = tonumber(redis.call('GET', KEYS[1])) or 0
local left_ms = redis.call('PTTL', KEYS[1])
-- A counter without an end is not ours (or lost its expiry): begin again.
if left_ms < 1 then used, left_ms = 0, window_ms end
if used + cost > limit then return {0, used, left_ms} end
redis.call('SET', KEYS[1], used + cost, 'PX', left_ms)
return {1, used + cost, left_ms}
