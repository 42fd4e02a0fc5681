-- What the occupancy scripts share; put in front of each of them, after `rights.lua` and `shared_keys.lua`. Defines
-- functions, and asks only for the right that the others cannot know of.
-- KEYS[1]  base: what all keys begin with, hash tag included
-- ARGV[1]  topic prefix of the workers' pub/sub; in a cluster it has the base's hash tag, so that topics are where the
--          keys are, and only this shard hears of what is announced there
--
-- Keys under the base (P = app/channel):
--   worker:<incarnation>          hash    P -> subscriptions held by that worker
--   worker-members:<incarnation>  hash    P/user -> its connections of that member
--   channels:<app>                hash    channel -> subscriptions in the whole cluster
--   internal:<app>                hash    the same for server-owned channels (#...), which no list shows
--   members:<P>                   hash    user -> "<workers that hold the member> <microsecond of its latest subscription>
--                                         <user_info>"
--   transitions                   zset    sequence number and JSON, scored by the microsecond it may be emitted
--   pending                       hash    P or P/user -> its vacated or member_removed entry that still settles; and "",
--                                         by which a hash is known from one that began anew after it was deleted
--   after_transitions             zset    sequence number, length of a list's name, the name, and a job that is queued once
--                                         no transition is left that may be emitted before that number
--   counts                        hash    P -> "<microsecond> <entry>": its last subscription_count, and when that is due
--   clock                         string  "<last sequence number> <skew>"
--   epoch                         string  another one after each loss of data
--   life                          string  replication id of the server that numbered what is in `transitions`
--   workers                       zset    incarnation -> last heartbeat in ms; 0 when it left
--   purging                       set     incarnations that are being undone
--   reaped                        zset    incarnation that was undone -> microsecond; the newest 10,000
--   turns                         hash    incarnation, also one of `reaped` -> number of its newest report
--   tampered                      hash    kind of key -> how many somebody else has deleted or overwritten, until the
--                                         leader has told of it
--   lease                         string  the leader's incarnation
--   presence_events:<P>           stream  who came and went, where an application keeps that: see history_common.lua
--   presence_stream:<P>           string  its state

local PUBLISH = string.find(topic, '{', 1, true) and 'SPUBLISH' or 'PUBLISH'

if may and not may(PUBLISH, topic .. 'wake', '') then
  return redis.error_reply('NOPERM the user may not publish to all channels of the engine')
end

-- Transitions ----------------------------------------------------------------------------------------------------

local appended = false

local function append(seq, settle_us, name, r, user, socket, data)
  local entry = fmt('%016.0f', seq)
    .. cjson.encode({ name, r.app, r.channel, math.floor(now_us / 1000), user, socket, data })
  call('ZADD', base .. 'transitions', fmt('%.0f', seq + settle_us), entry)
  appended = true
  return entry
end

-- The microsecond at which the first of all transitions may be emitted.
local function earliest()
  return tonumber(call('ZRANGE', base .. 'transitions', 0, 0, 'WITHSCORES')[2] or math.huge)
end

-- channel_vacated, member_removed: may be emitted after settling; until then a return finds it in `pending`.
local function append_gone(seq, field, name, r, user, socket)
  local entry = append(seq, r.settle_us, name, r, user, socket, '')
  if r.settle_us > 0 then call('HSET', base .. 'pending', field, entry) end
end

-- The departure of this field that settles. While others leave `pending` alone there is nothing in the log that it lacks.
local function settling(field)
  local key = base .. 'pending'
  local found = call('HMGET', key, field, '')
  if found[2] then return found[1] end
  read_clock()
  call('HSET', key, '', 1)
  local after, lost = fmt('(%.0f', math.max(clock_us, last_seq)), false
  for _, entry in ipairs(call('ZRANGEBYSCORE', base .. 'transitions', after, '+inf')) do
    local read, t = pcall(cjson.decode, string.sub(entry, 17))
    if read and (t[1] == 'channel_vacated' or t[1] == 'member_removed') then
      local place = t[2] .. '/' .. t[3] .. (t[5] == '' and '' or '/' .. t[5])
      lost = lost or call('HEXISTS', key, place) == 0
      call('HSET', key, place, entry)
    end
  end
  if lost then note_tampered(key) end
  return call('HGET', key, field)
end

-- channel_occupied, member_added: may be emitted at once, unless the opposite still settles: then neither is emitted.
local function append_come(seq, field, name, r, user, socket, data)
  local opposite = settling(field)
  if opposite then
    call('HDEL', base .. 'pending', field)
    local due = tonumber(call('ZSCORE', base .. 'transitions', opposite) or 0)
    if seq < due then
      call('ZREM', base .. 'transitions', opposite)
      return
    end
  end
  append(seq, 0, name, r, user, socket, data)
end

-- subscription_count: above so many at most once in so long (N-36, as in protocol/messages.py); one that still waits for
-- its time is replaced.
local COUNT_AT_ONCE, COUNT_EVERY_US = 100, 5000000

local function append_count(r, total)
  local key, seq = base .. 'counts', next_seq()
  local due, last = string.match(call('HGET', key, r.field) or '', '^(%d+) (.*)$')
  due = count(due)
  local waits = due > seq
  if waits then call('ZREM', base .. 'transitions', last) end
  if total <= COUNT_AT_ONCE then
    due = seq
  elseif not waits then
    due = math.max(seq, due + COUNT_EVERY_US)
  end
  local entry = append(seq, due - seq, 'subscription_count', r, '', '', fmt('%.0f', total))
  if total > 0 then
    call('HSET', key, r.field, fmt('%.0f ', due) .. entry)
  else
    call('HDEL', key, r.field)
  end
end

-- Members --------------------------------------------------------------------------------------------------------

local ADDED, REMOVED, TOTAL = 2, 3, 5 -- first byte of the envelope; engine/_fast/envelope.pyx reads it

local function publish(kind, r, version, user, info)
  redis.call(PUBLISH, topic .. r.field, struct.pack('>BI8I2', kind, version, #user) .. user .. info)
end

-- (workers that hold the member, since when its user_info stands, user_info)
local function holders(r, user)
  local n, since, info = string.match(call('HGET', r.members_key, user) or '', '^(%d+) (%d+) (.*)$')
  return count(n), count(since), info
end

local function hold(r, user, n, since, info)
  call('HSET', r.members_key, user, fmt('%d %.0f ', n, since) .. info)
end

local function remove_member(r, user, socket)
  call('HDEL', r.members_key, user)
  local seq = next_seq()
  publish(REMOVED, r, seq, user, '')
  if r.members_watched then append_gone(seq, r.field .. '/' .. user, 'member_removed', r, user, socket) end
end

local function add_member(r, m, workers)
  hold(r, m.user, workers, m.since, m.info)
  local seq = next_seq()
  publish(ADDED, r, seq, m.user, m.info)
  if r.members_watched then append_come(seq, r.field .. '/' .. m.user, 'member_added', r, m.user, m.socket, m.data) end
end

-- The latest authorised subscription says who a member is; workers hear of it, subscribers do not.
local function keep_member(r, m, held, since, info, more)
  local newer = m.joined or m.since > since
  if newer or more > 0 then
    hold(r, m.user, held + more, newer and math.max(since, m.since) or since, newer and m.info or info)
  end
  if newer and info ~= m.info then publish(ADDED, r, next_seq(), m.user, m.info) end
end

-- How many workers hold a member that is listed no more: somebody else has deleted it. Who else is missing, and what is in
-- user_info, only the workers know: all of them announce what they hold.
local function note_deleted(r, user)
  note_tampered(r.members_key)
  new_epoch()
  local _, holding = add_up('worker-members:', r.field .. '/' .. user)
  return math.max(1, #holding)
end

-- m: see read_report. Who was deleted is announced as new by the first worker that holds it, since a departure may have been told
-- that was none; or as gone, by the last. False when the member limit refuses a user new to the channel.
local function set_member(who, r, m)
  local key, field = base .. 'worker-members:' .. who, r.field .. '/' .. m.user
  local raw = call('HGET', key, field)
  local old = count(raw)
  local held, since, info = holders(r, m.user)
  local deleted = held == 0 and old > 0
  if deleted then held = note_deleted(r, m.user) end
  if deleted and m.count > 0 then
    add_member(r, m, held)
  elseif deleted then
    if held == 1 and not settling(field) then remove_member(r, m.user, m.socket) end
  elseif m.count > 0 and held == 0 then
    if m.limit > 0 and call('HLEN', r.members_key) >= m.limit then return false end
    add_member(r, m, 1)
  elseif m.count > 0 and old > 0 and held == 1 and m.left ~= '' and info ~= m.info then
    remove_member(r, m.user, m.left)
    add_member(r, m, 1)
  elseif m.count > 0 then
    keep_member(r, m, held, since, info, old == 0 and 1 or 0)
  elseif m.count == 0 and old > 0 and held > 1 then
    hold(r, m.user, held - 1, since, info)
  elseif m.count == 0 and old > 0 and held == 1 then
    remove_member(r, m.user, m.socket)
  end
  note_fact(key, field, raw, m.count)
  return true
end

-- Members that must be gone but were not named: this worker's when it has no subscription left here, and
-- everybody when nobody has. Finds none unless a caller forgot them or Redis was tampered with.
local function drop_leftovers(who, r, total)
  if call('EXISTS', r.members_key) == 0 then return end
  for _, user in ipairs(call('HKEYS', r.members_key)) do
    if call('HEXISTS', base .. 'worker-members:' .. who, r.field .. '/' .. user) == 1 then
      set_member(who, r, { user = user, count = 0, socket = '' })
    end
    if total == 0 and call('HEXISTS', r.members_key, user) == 1 then remove_member(r, user, '') end
  end
end

-- Reports --------------------------------------------------------------------------------------------------------
-- A report in ARGV: app, channel, subscriptions (-1: as they are), limit, flags (1 watched, 2 members watched,
-- 4 roster, 8 announced, 16 counted), settle ms, number of members, then for each: user, connections, user_info, socket,
-- data, limit, since when (microseconds), whether a subscription is new ("1"), the socket it left with before.

local function read_report(at)
  local app, channel, flags = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 4])
  local internal = string.sub(channel, 1, 1) == '#'
  local r = {
    app = app,
    channel = channel,
    field = app .. '/' .. channel,
    count = tonumber(ARGV[at + 2]),
    limit = tonumber(ARGV[at + 3]),
    watched = not internal and flags % 2 == 1,
    members_watched = not internal and flags % 4 >= 2,
    roster = flags % 8 >= 4,
    announced = flags % 16 >= 8,
    counted = not internal and flags >= 16,
    user = internal and string.match(channel, '^#server%-to%-user%-(.+)$'),
    internal = internal,
    settle_us = tonumber(ARGV[at + 5]) * 1000,
    totals_key = base .. (internal and 'internal:' or 'channels:') .. app,
    members_key = base .. 'members:' .. app .. '/' .. channel,
    members = {},
  }
  local n = tonumber(ARGV[at + 6])
  at = at + 7
  for i = 1, n do
    r.members[i] = {
      user = ARGV[at],
      count = r.count == 0 and 0 or tonumber(ARGV[at + 1]),
      info = ARGV[at + 2],
      socket = ARGV[at + 3],
      data = ARGV[at + 4],
      limit = tonumber(ARGV[at + 5]),
      since = tonumber(ARGV[at + 6]),
      joined = ARGV[at + 7] == '1',
      left = ARGV[at + 8],
    }
    at = at + 9
  end
  return r, at
end

-- Workers hear of every new total, and of a user only that it came or went.
local function announce(r, before, after)
  local heard_on = r.field
  if r.internal then
    if not r.user or (before == 0) == (after == 0) then return end
    heard_on = r.app .. '/#watch-' .. r.user
  end
  redis.call(PUBLISH, topic .. heard_on, struct.pack('>BI8I4', TOTAL, next_seq(), math.min(after, 2 ^ 32 - 1)))
end

local function change_total(r, before, after)
  if after == before then return end
  if after == 0 then
    call('HDEL', r.totals_key, r.channel)
    if r.watched then append_gone(next_seq(), r.field, 'channel_vacated', r, '', '') end
  else
    call('HSET', r.totals_key, r.channel, after)
    if before == 0 and r.watched then append_come(next_seq(), r.field, 'channel_occupied', r, '', '', '') end
  end
  if r.announced then announce(r, before, after) end
  if r.counted then append_count(r, after) end
end

local function set_total(who, r, raw, before, after)
  note_fact(base .. 'worker:' .. who, r.field, raw, r.count)
  change_total(r, before, after)
end

-- Subscriptions of the channel, and what was announced of them last. Fewer than this worker alone has are fewer than there are:
-- somebody else has deleted the total, or an earlier one.
local function total_before(r, old)
  local announced = count(call('HGET', r.totals_key, r.channel))
  if announced >= old then return announced, announced end
  note_tampered(r.totals_key)
  return math.max(old, (add_up('worker:', r.field))), announced
end

-- The answer: the total alone, or {total, refused, version, roster, refused users}.
local function apply(who, r)
  local raw = call('HGET', base .. 'worker:' .. who, r.field)
  local old = count(raw)
  local before, announced = total_before(r, old)
  if r.count < 0 then r.count = old end
  -- Never less than this worker alone holds, whatever was lost in Redis.
  local after = math.max(before + r.count - old, r.count)
  if r.limit > 0 and r.count > old and after > r.limit then return { before, 1 } end
  -- A total that was deleted is announced as new; unless nobody is left, then its end is, once.
  if announced > 0 or after > 0 or (before > 0 and settling(r.field)) then before = announced end

  -- A channel is occupied before its members come and vacated after they have gone.
  if r.count >= old then set_total(who, r, raw, before, after) end
  local refused = {}
  for _, m in ipairs(r.members) do
    if not set_member(who, r, m) then refused[#refused + 1] = m.user end
  end
  if r.count < old then
    if r.count == 0 then drop_leftovers(who, r, after) end
    set_total(who, r, raw, before, after)
  end

  if not r.roster and #refused == 0 then return after end
  if not r.roster then return { after, 0, 0, false, refused } end
  -- Later than whatever a server that is no master any more has announced by now: what it said of others is over.
  read_clock()
  if last_seq < clock_us then next_seq() end
  return { after, 0, last_seq, call('HGETALL', r.members_key), refused }
end

local function apply_all(who, at)
  local answers = {}
  while ARGV[at] do
    local r
    r, at = read_report(at)
    answers[#answers + 1] = apply(who, r)
  end
  return answers
end

local function wake_leader()
  redis.call(PUBLISH, topic .. 'wake', '')
end

-- Must end every script that used the clock.
local function finish()
  if clock_changed then call('SET', base .. 'clock', fmt('%.0f %.0f', last_seq, skew_us)) end
  if appended then wake_leader() end
end

-- Loss of data -----------------------------------------------------------------------------------------------------

local function newest_report(who)
  return count(call('HGET', base .. 'turns', who))
end

-- `epoch` is the one that a worker knows which has noticed a loss: the first to notice makes a new one.
local function note_loss(epoch)
  if call('GET', base .. 'epoch') ~= epoch then return end
  new_epoch()
  finish()
end

-- The leader undoes what it holds.
local function give_up(who)
  call('ZADD', base .. 'workers', 0, who)
  wake_leader()
end

-- An incarnation that was alive is refused. It was given up, and whether data was lost beside that, its newest report
-- shows, also when all it held was undone; or Redis failed over to a replica that has never heard of it.
local function note_refused(who, answered, epoch)
  local known = call('ZSCORE', base .. 'workers', who)
    or call('SISMEMBER', base .. 'purging', who) == 1
    or call('ZSCORE', base .. 'reaped', who)
  if not known or newest_report(who) < tonumber(answered) then note_loss(epoch) end
  -- What it holds nevertheless is undone: somebody else has deleted its name.
  if not known and call('EXISTS', base .. 'worker:' .. who) + call('EXISTS', base .. 'worker-members:' .. who) > 0 then
    note_tampered(base .. 'workers')
    give_up(who)
  end
end

-- Whether a report that was answered is not known any more, because Redis failed over to a replica that lagged. Then
-- the worker is given up, so that it reports everything anew.
local function went_back(who, newest, answered, epoch)
  if newest >= tonumber(answered) then return false end
  note_loss(epoch)
  give_up(who)
  return true
end
