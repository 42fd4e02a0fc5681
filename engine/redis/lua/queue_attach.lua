-- Becomes the consumer, and takes what dead ones held back into the queue.
-- ARGV[2] lease in ms, [3..] entries it held before, oldest first, in case Redis lost its data.
-- Returns {1, entries it holds, retries that wait}; {0} while another consumer is alive; {-1} when it was given up.

if call('EXISTS', prefix .. 'gone:' .. me) == 1 then return { GONE } end
local others = {}
for _, id in ipairs(call('SMEMBERS', consumers)) do
  if id ~= me then
    if call('EXISTS', prefix .. 'consumer:' .. id) == 1 then return { 0 } end
    others[#others + 1] = id
  end
end
for _, id in ipairs(others) do
  call('SET', prefix .. 'gone:' .. id, '1', 'EX', GONE_S)
  give_back(id)
end
if call('SADD', consumers, me) == 1 then
  for i = 3, #ARGV do call('RPUSH', in_flight, ARGV[i]) end
end
renew(ARGV[2])
return { 1, call('LRANGE', in_flight, 0, -1), call('ZRANGE', delayed, 0, -1) }
