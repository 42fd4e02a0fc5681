-- How many entries there are in each state, of one moment: an entry that moves meanwhile is counted once, and only once.
-- Returns waiting (deferred ones included), in flight, delayed, dead.

local waiting, held = call('LLEN', default), 0
for _, lane in ipairs(call('SMEMBERS', prefix .. 'deferred')) do
  waiting = waiting + call('LLEN', prefix .. 'deferred:' .. lane)
end
for _, id in ipairs(call('SMEMBERS', consumers)) do
  held = held + call('LLEN', prefix .. 'in_flight:' .. id)
end
return { waiting, held, call('ZCARD', delayed), call('LLEN', failed) }
