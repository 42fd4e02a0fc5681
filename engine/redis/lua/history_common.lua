-- What the history scripts share; put in front of each of them. Defines functions only, but reads the clock.
-- KEYS[1]  events: stream, ids "<serial>-<ms>", one field: the payload (of a channel's event the finished frame)
-- KEYS[2]  state: string, see `load`; outlives the events (`Retention.forget_ms`)
-- ARGV[1]  seed: what no other worker says, for ids of new streams
-- ARGV[2]  life: which life of which server this is, as far as the caller knows; "" when it does not
-- ARGV[3..5]  the most that is kept: events, ms, bytes

local events, state = KEYS[1], KEYS[2]
local max_count, window_ms, max_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local fmt, sub = string.format, string.sub
local FIELD = 'p'

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local s -- the stream as it is; nil where nothing was ever kept
local changed = false

local function new_id()
  return sub(redis.sha1hex(ARGV[1] .. time[1] .. ':' .. time[2] .. state), 1, 32)
end

local function begin()
  redis.call('DEL', events)
  s = { id = new_id(), serial = 0, first = 1, first_ms = 0, last_ms = 0, bytes = 0, gone_ms = 0, broken_ms = 0 }
  s.life = ARGV[2]
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
  -- Another server, or this one started again: the last events before may be lost, and their serials given anew.
  if s.life ~= ARGV[2] and ARGV[2] ~= '' then
    if s.life ~= '' then s.id, s.broken_ms = new_id(), now_ms end
    s.life, changed = ARGV[2], true
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
    if #found == 0 then -- not removed by us
      s.first, s.bytes = s.serial + 1, 0
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

-- The stream as the drivers read it.
local function stream_state()
  if not s then return { '', '0', '1', '0', '0', '0', '0', '0', fmt('%.0f', now_ms) } end
  local numbers = { s.serial, s.first, s.first_ms, s.last_ms, s.bytes, s.gone_ms, s.broken_ms, now_ms }
  local out = { s.id }
  for i, number in ipairs(numbers) do out[i + 1] = fmt('%.0f', number) end
  return out
end
