-- One stream of kept events; put in front of each script that reads or writes one. Defines functions only, runs nothing:
-- `open` says which stream it is about.

local fmt, sub = string.format, string.sub
local FIELD = 'p'
-- After a fail-over, some workers still publish to the old master for a moment, which answers and forgets: with Sentinel,
-- each asks every 2 s who the master is.
local DOUBT_MS = 5000

local events, state, seed, given_life, max_count, window_ms, max_bytes
local time, now_ms

local s -- the stream as it is; nil where nothing was ever kept
local changed = false

-- events: key of a stream, ids "<serial>-<ms>", one field: the payload (of a channel's event the finished frame)
-- state: key of a string, see `load`; outlives the events (`Retention.forget_ms`)
-- seed: what no other worker says, for ids of new streams
-- life: which life of which server this is, as far as the caller knows; "" when it does not
-- count, ms, bytes: the most that is kept
local function open(events_key, state_key, of_worker, life, count, ms, bytes)
  events, state, seed, given_life = events_key, state_key, of_worker, life
  max_count, window_ms, max_bytes = tonumber(count), tonumber(ms), tonumber(bytes)
  s, changed = nil, false
  if not time then
    time = redis.call('TIME')
    now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
end

-- Of the scripts about one stream: KEYS[1] events, KEYS[2] state, ARGV[1..5] the others.
local function open_given()
  open(KEYS[1], KEYS[2], unpack(ARGV, 1, 5))
end

local function new_id()
  return sub(redis.sha1hex(seed .. time[1] .. ':' .. time[2] .. state), 1, 32)
end

local function begin()
  -- Not for nothing: once a script has written, a full Redis refuses it nothing any more.
  if redis.call('EXISTS', events) == 1 then redis.call('DEL', events) end
  s = { id = new_id(), serial = 0, first = 1, first_ms = 0, last_ms = 0, bytes = 0, gone_ms = 0, broken_ms = 0 }
  s.life = given_life
  changed = true
end

local STATE = '^(%x+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%w*)$'

-- A value of another form or type was written by someone else: the stream begins anew when something is put in.
local function load()
  local raw = redis.pcall('GET', state)
  if type(raw) ~= 'string' then
    if type(raw) == 'table' then redis.call('DEL', state) end
    return
  end
  local id, serial, first, first_ms, last_ms, bytes, gone_ms, broken_ms, life = string.match(raw, STATE)
  if not id or #id ~= 32 or #raw > 256 then return end
  s = {
    id = id, serial = tonumber(serial), first = tonumber(first), first_ms = tonumber(first_ms),
    last_ms = tonumber(last_ms), bytes = tonumber(bytes), gone_ms = tonumber(gone_ms),
    broken_ms = tonumber(broken_ms), life = life,
  }
  -- The events' key goes by itself after a silence: with the newest of them, all.
  if s.first <= s.serial and redis.call('EXISTS', events) == 0 then
    s.first, s.first_ms, s.gone_ms, s.bytes, changed = s.serial + 1, s.last_ms, s.last_ms, 0, true
  end
  -- Another server, or this one started again: the last events before may be lost, and their serials given anew.
  if s.life ~= given_life and given_life ~= '' then
    if s.life ~= '' then s.id, s.broken_ms = new_id(), now_ms + DOUBT_MS end
    s.life, changed = given_life, true
  end
end

local function save()
  if not changed then return end
  local value = fmt('%s %.0f %.0f %.0f %.0f %.0f %.0f %.0f %s', s.id, s.serial, s.first, s.first_ms, s.last_ms, s.bytes,
    s.gone_ms, s.broken_ms, s.life)
  redis.call('SET', state, value, 'PX', fmt('%.0f', math.max(2 * window_ms, 60000)))
end

local function parts(id)
  local serial, ms = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(serial), tonumber(ms)
end

-- Removes the oldest events for as long as `gone(serial, ms)` says.
local function drop(gone)
  local first, n = s.first, 2
  while s.first <= s.serial and gone(s.first, s.first_ms) do
    local found = redis.call('XRANGE', events, fmt('%.0f', s.first), '+', 'COUNT', n)
    if #found == 0 then -- another program has removed them
      s.first, s.first_ms, s.gone_ms, s.bytes = s.serial + 1, s.last_ms, s.last_ms, 0
      break
    end
    for _, each in ipairs(found) do
      local serial, ms = parts(each[1])
      s.first, s.first_ms = serial, ms
      if not gone(serial, ms) then break end
      s.first, s.gone_ms, s.bytes = serial + 1, ms, math.max(s.bytes - #each[2][2], 0)
      s.first_ms = s.last_ms
    end
    n = 64
  end
  if s.first ~= first then
    changed = true
    if s.first > s.serial then s.bytes = 0 end
    redis.call('XTRIM', events, 'MINID', fmt('%.0f', s.first))
  end
end

-- What the retention does not allow any more. The newest event stays, whatever its size, until it is too old.
local function trim()
  drop(function(serial, ms)
    if ms <= now_ms - window_ms then return true end
    return serial < s.serial and (s.serial + 1 - s.first > max_count or s.bytes > max_bytes)
  end)
end

-- Puts an event in; `finish_puts` must follow. What Redis says where it cannot (nothing was changed then), or nothing.
local function put(payload)
  if not s then begin() end
  s.serial, s.last_ms = s.serial + 1, math.max(now_ms, s.last_ms)
  local function add()
    return redis.pcall('XADD', events, fmt('%.0f-%.0f', s.serial, s.last_ms), FIELD, payload)
  end
  local added = add()
  if type(added) == 'table' and added.err then
    -- Out of memory, say. Anything else is a key that another program has written to.
    if not (string.find(added.err, 'WRONGTYPE', 1, true) or string.find(added.err, 'equal or smaller', 1, true)) then
      return added
    end
    begin()
    s.serial, s.last_ms = 1, now_ms
    added = add()
    if type(added) == 'table' and added.err then return added end
  end
  if s.first == s.serial then s.first_ms = s.last_ms end
  s.bytes, changed = s.bytes + #payload, true
end

local function finish_puts()
  trim()
  save()
  redis.call('PEXPIRE', events, fmt('%.0f', window_ms))
end

-- The stream as the drivers read it.
local function stream_state()
  if not s then return { '', '0', '1', '0', '0', '0', '0', '0', fmt('%.0f', now_ms) } end
  local numbers = { s.serial, s.first, s.first_ms, s.last_ms, s.bytes, s.gone_ms, s.broken_ms, now_ms }
  local out = { s.id }
  for i, number in ipairs(numbers) do out[i + 1] = fmt('%.0f', number) end
  return out
end
