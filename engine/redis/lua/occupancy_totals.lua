-- Subscriptions of server-owned channels at one moment.
-- KEYS[1] base. ARGV[1] topic prefix, [2] app, [3...] channels.
-- Returns the last sequence number, then the totals in order; false where nobody is.

read_clock()
local answer = { last_seq }
for i = 3, #ARGV do answer[i - 1] = call('HGET', base .. 'internal:' .. ARGV[2], ARGV[i]) end
return answer
