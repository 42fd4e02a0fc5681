-- Reads the transitions that may be emitted now, in order; before that queues the jobs that waited for earlier ones.
-- Numbers them anew first, where another server has taken over.
-- KEYS[1] base. ARGV[1] topic prefix, [2] how many at most, [3] the greatest sequence number that the leader has emitted.
-- Returns {microsecond by the sequence's clock, {entry, score, ...}, score of the first that was not returned or false}.

local log, after_transitions, limit = base .. 'transitions', base .. 'after_transitions', tonumber(ARGV[2])
-- Jobs released by one look.
local RELEASED = 500

local more, stuck = false, false

local function release()
  if call('EXISTS', after_transitions) == 0 then return end
  local first = earliest()
  local before = first < math.huge and fmt('(%.0f', first) or '+inf'
  local entries = call('ZRANGEBYSCORE', after_transitions, '-inf', before, 'LIMIT', 0, RELEASED + 1)
  for i, entry in ipairs(entries) do
    more = i > RELEASED
    if more then return end
    local length = count(string.sub(entry, 17, 21))
    local list, job = string.sub(entry, 22, 21 + length), string.sub(entry, 22 + length)
    local pushed = (length == 0 or job == '') or redis.pcall('RPUSH', list, job)
    stuck = type(pushed) == 'table' and pushed.err ~= nil
    if stuck then return end
    call('ZREM', after_transitions, entry)
  end
end

-- Of this server's data: another one with each start and each promotion. nil where the user may not ask.
local function server_life()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or nil
end

-- The server before may have decided more than this one has heard of, and later things of the same channels were told
-- already: what this one has waiting is told after them, and so is numbered after them. What waits for its time waits
-- no longer than it would have.
local function renumber()
  local fields, counted, waiting = {}, {}, {}
  local flat = call('HGETALL', base .. 'pending')
  for i = 1, #flat, 2 do fields[flat[i + 1]] = flat[i] end
  flat = call('HGETALL', base .. 'counts')
  for i = 1, #flat, 2 do
    local due, entry = string.match(flat[i + 1], '^(%d+) (.*)$')
    if entry then counted[entry] = { flat[i], due } end
  end
  for _, key in ipairs({ log, after_transitions }) do
    flat = call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for i = 1, #flat, 2 do
      if string.match(flat[i], '^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d') then
        waiting[#waiting + 1] = { key, flat[i], tonumber(flat[i + 1]) }
      end
    end
  end
  table.sort(waiting, function(a, b) return a[2] < b[2] end)
  last_seq = math.max(last_seq, count(ARGV[3]))
  for _, each in ipairs(waiting) do
    local key, old, seq = each[1], each[2], next_seq()
    local new, due = fmt('%016.0f', seq) .. string.sub(old, 17), fmt('%.0f', math.max(each[3], seq))
    call('ZREM', key, old)
    call('ZADD', key, due, new)
    if fields[old] then call('HSET', base .. 'pending', fields[old], new) end
    if counted[old] then call('HSET', base .. 'counts', counted[old][1], counted[old][2] .. ' ' .. new) end
  end
end

read_clock()
local life = server_life()
local known = life and call('GET', base .. 'life')
if life and known ~= life then
  if known then renumber() end
  call('SET', base .. 'life', life)
end
local now = math.max(clock_us, last_seq)
release()
if more then
  finish()
  return { now, {}, fmt('%.0f', now) }
end
-- What came after the first job that still waits is emitted after it; but a job that cannot be queued keeps nothing back.
local waits = not stuck and call('ZRANGE', after_transitions, 0, 0, 'WITHSCORES')[2]
local upto = math.min(now, tonumber(waits or now))
-- One more than asked for, to know whether and when there is more.
local due = call('ZRANGEBYSCORE', log, '-inf', fmt('%.0f', upto), 'WITHSCORES', 'LIMIT', 0, limit + 1)
local after = false
if #due > 2 * limit then
  after = table.remove(due)
  table.remove(due)
else
  after = call('ZRANGEBYSCORE', log, fmt('(%.0f', upto), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or false
end
finish()
return { now, due, after }
