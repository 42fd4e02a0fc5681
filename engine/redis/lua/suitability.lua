-- Runs every command that the other scripts use, once, on keys of its own, and says which of them this server or this
-- user's rights do not allow. tests/redis/test_suitability.py demands that none is missing here.
-- KEYS[1] what the names of these keys begin with. ARGV[1] topic prefix of the workers' pub/sub.
-- Returns pairs of command and error; empty when all can be run.

local base, topic = KEYS[1], ARGV[1]
local wrong = {}

local function note(command, reply)
  if type(reply) == 'table' and reply.err then
    wrong[#wrong + 1] = command
    wrong[#wrong + 1] = reply.err
  end
end

local function try(command, key, ...)
  note(command, redis.pcall(command, base .. key, ...))
end

local function try_library(name, made)
  local ok, reply = pcall(made)
  if not ok then
    wrong[#wrong + 1] = name
    wrong[#wrong + 1] = tostring(reply)
  end
end

note('TIME', redis.pcall('TIME'))
try('SET', 's', '1', 'PX', 1000)
try('SET', 's', '1', 'EX', 1)
try('GET', 's')
try('PTTL', 's')
try('EXISTS', 's')
try('DEL', 's')

try('HSET', 'h', 'f', '1')
try('HGET', 'h', 'f')
try('HMGET', 'h', 'f', '')
try('HEXISTS', 'h', 'f')
try('HLEN', 'h')
try('HKEYS', 'h')
try('HGETALL', 'h')
try('HDEL', 'h', 'f')

try('ZADD', 'z', '1', 'm')
try('ZSCORE', 'z', 'm')
try('ZCARD', 'z')
try('ZRANGE', 'z', 0, 0, 'WITHSCORES')
try('ZRANGEBYSCORE', 'z', '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
try('ZREM', 'z', 'm')

try('XADD', 'x', '1-1', 'p', 'v')
try('XRANGE', 'x', '-', '+', 'COUNT', 1)
try('XREVRANGE', 'x', '+', '-', 'COUNT', 1)
try('XTRIM', 'x', 'MINID', '2')
try('PEXPIRE', 'x', 1000)
try('DEL', 'x')

try('SADD', 'set', 'm')
try('SISMEMBER', 'set', 'm')
try('SMEMBERS', 'set')
try('SREM', 'set', 'm')

try('RPUSH', 'l', 'e')
try('LSET', 'l', 0, 'e')
try('LPUSH', 'l', 'e')
try('LPUSHX', 'l', 'e')
try('LLEN', 'l')
try('LRANGE', 'l', 0, -1)
try('LMOVE', 'l', base .. 'other', 'LEFT', 'RIGHT')
try('LPOS', 'l', 'e', 'COUNT', 2)
try('LREM', 'l', 1, 'e')
try('LPOP', 'l')
try('RPOP', 'other')
try('DEL', 'l')

local publish = string.find(topic, '{', 1, true) and 'SPUBLISH' or 'PUBLISH'
note(publish, redis.pcall(publish, topic .. 'proof', ''))

try_library('struct', function() return struct.pack('>BI8I4', 1, 2, 3) end)
try_library('cjson', function() return cjson.decode(cjson.encode({ 'a', 1 })) end)
return wrong
