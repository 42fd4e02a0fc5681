-- Declares an incarnation dead: the leader purges it next. If it was the leader, there is none until the next one.
-- KEYS[1] base. ARGV[1] topic prefix, [2] incarnation.
-- Returns 1, or 0 when it was not known.

local who = ARGV[2]
local known = call('ZSCORE', base .. 'workers', who)
if known then call('ZADD', base .. 'workers', 0, who) end
local led = call('GET', base .. 'lease') == who
if led then call('DEL', base .. 'lease') end
if known or led then wake_leader() end
return known and 1 or 0
