-- How the occupancy scripts touch what is kept, which others may have tampered with, and the one sequence by which they
-- number it; put in front of `occupancy_common.lua`. Knows no kind of key but those that it names.
-- KEYS[1], ARGV[1] as there.

local base, topic = KEYS[1], ARGV[1]
local fmt = string.format

-- What somebody else has deleted or overwritten is counted by kind of key, until the leader takes it (occupancy_audit.lua).
local function note_tampered(key)
  local noted, kind = base .. 'tampered', string.match(string.sub(key, #base + 1), '^[^:]*')
  local n = redis.pcall('HGET', noted, kind)
  if type(n) == 'table' then redis.call('DEL', noted) end
  redis.call('HSET', noted, kind, (type(n) == 'string' and tonumber(n) or 0) + 1)
end

-- A key that holds another type was written by someone else, who has overwritten what we had: it starts anew, and the
-- workers' reconcilers bring it back to the truth.
local function call(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    if string.sub(reply.err, 1, 9) ~= 'WRONGTYPE' then error(reply.err, 0) end
    redis.call('DEL', key)
    note_tampered(key)
    return redis.call(command, key, ...)
  end
  return reply
end

-- A count read from a hash; what is no count is 0.
local function count(value)
  local n = tonumber(value or 0)
  if n and n > 0 and n < 2 ^ 53 then return math.floor(n) end
  return 0
end

-- Writes what a worker holds now, where `raw` is what its hash says so far. 0 is deleted, and garbage with it.
local function note_fact(key, field, raw, n)
  if n == 0 then
    if raw then call('HDEL', key, field) end
  elseif n ~= count(raw) then
    call('HSET', key, field, n)
  end
end

-- What the workers' own facts say of a channel or a member: their sum, and the workers that have any.
local function add_up(kind, field)
  local workers, sum, holding = call('ZRANGE', base .. 'workers', 0, -1), 0, {}
  for _, who in ipairs(call('SMEMBERS', base .. 'purging')) do workers[#workers + 1] = who end
  for _, who in ipairs(workers) do
    local n = count(call('HGET', base .. kind .. who, field))
    if n > 0 then
      sum = sum + n
      holding[#holding + 1] = who
    end
  end
  return sum, holding
end

-- Time -----------------------------------------------------------------------------------------------------------
-- One sequence for all channels: max(last + 1, now in microseconds), so it grows over a flush, too. Should Redis'
-- clock step back, `skew` bridges the step: sequence numbers go on growing and what settles is still due in time. It
-- does so until all that was numbered meanwhile is due by the clock itself; sooner, what still settles would wait anew.

-- What settles longest; `webhooks.settle_ms` allows no more.
local MAX_SETTLE_US = 600000000

local now_us, clock_us, last_seq, skew_us, clock_changed

local function read_clock()
  if now_us then return end
  local t = redis.call('TIME')
  now_us = t[1] * 1000000 + t[2]
  local last, skew = string.match(call('GET', base .. 'clock') or '', '^(%d+) (%d+)$')
  last_seq, skew_us = count(last), count(skew)
  if last_seq > 2 ^ 53 - 2 ^ 46 then last_seq, skew_us = 0, 0 end -- two centuries ahead: not written by us
  local before = skew_us
  if now_us >= last_seq + MAX_SETTLE_US then skew_us = 0 end
  if now_us + skew_us < last_seq then skew_us = last_seq - now_us end
  clock_us, clock_changed = now_us + skew_us, skew_us ~= before
end

local function next_seq()
  read_clock()
  last_seq = math.max(last_seq + 1, clock_us)
  clock_changed = true
  return last_seq
end

-- All workers announce what they hold.
local function new_epoch()
  read_clock()
  local epoch = fmt('%.0f', clock_us)
  call('SET', base .. 'epoch', epoch)
  return epoch
end
