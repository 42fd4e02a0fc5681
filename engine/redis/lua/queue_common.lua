-- What the queue's scripts share; put in front of each of them. Defines functions only, runs nothing.
-- KEYS[1]  what all keys begin with: the configured queue prefix
-- ARGV[1]  the consumer that calls
--
-- Keys under the prefix (lane = app/endpoint):
--   default            list    entries waiting, oldest at the left; operators push and pop here by hand
--   failed             list    dead letters, newest at the right, so that a loop of RPOPLPUSH requeues in the old order
--   delayed            zset    retries, scored by the millisecond they are due
--   deferred           set      lanes that have entries deferred, because their endpoint does not keep up
--   deferred:<lane>    list    those entries, oldest at the left
--   consumers          set     consumers that may hold entries; at most one of them is alive
--   consumer:<id>      string  its lease, with expiry
--   in_flight:<id>     list    what it holds, oldest at the left
--   gone:<id>          string  what it held was given away; it must not go on
--
-- The order that all scripts keep for each lane: delayed and in flight, then deferred, then default.

local prefix, me = KEYS[1], ARGV[1]
local call = redis.call
local default, delayed, failed = prefix .. 'default', prefix .. 'delayed', prefix .. 'failed'
local consumers, in_flight = prefix .. 'consumers', prefix .. 'in_flight:' .. me

-- How long a purged consumer that comes back after a pause is still refused.
local GONE_S = 86400
local GONE, UNKNOWN = -1, -2

-- nil while the caller is a consumer; otherwise what to return.
local function refused()
  if call('EXISTS', prefix .. 'gone:' .. me) == 1 then return GONE end
  if call('SISMEMBER', consumers, me) == 0 then return UNKNOWN end
  return nil
end

local function renew(ttl_ms)
  call('SET', prefix .. 'consumer:' .. me, '1', 'PX', ttl_ms)
end

-- About how many bytes a list takes; 0 where the server does not say.
local function bytes_of(list)
  local found = redis.pcall('MEMORY', 'USAGE', list)
  return type(found) == 'number' and found or 0
end

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The lane of an entry, or nil when it is no job. Entries that the engine wrote are not parsed.
local function lane_of(entry)
  local app, endpoint = string.match(entry, '^{"app_id":"([^"\\]*)","endpoint_id":"([^"\\]*)",')
  if not app then
    local ok, job = pcall(cjson.decode, entry)
    if not ok or type(job) ~= 'table' then return nil end
    app, endpoint = job.app_id, job.endpoint_id
    if type(app) ~= 'string' or type(endpoint) ~= 'string' then return nil end
  end
  return app .. '/' .. endpoint
end

-- Return what a consumer holds to the front, in its old order: before what is deferred for its lane, if anything is.
local function give_back(id)
  local held = prefix .. 'in_flight:' .. id
  local entry = call('RPOP', held)
  while entry do
    local lane = lane_of(entry)
    local deferred = lane and prefix .. 'deferred:' .. lane
    if not deferred or call('LPUSHX', deferred, entry) == 0 then call('LPUSH', default, entry) end
    entry = call('RPOP', held)
  end
  call('SREM', consumers, id)
  call('DEL', prefix .. 'consumer:' .. id)
end
