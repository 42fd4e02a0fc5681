-- Adds up what the workers' own facts say and mends shared figures that say otherwise. Finds nothing to mend unless
-- Redis lost or was made to hold something that no script wrote.
-- KEYS[1] base. ARGV[1] topic prefix, [2] leader, [3...] reports (see read_report): each names a channel to be added up,
-- and of its members those to be looked at.
-- Returns how much was mended, and what anybody has tampered with since the last time: {kind of key, times, ...};
-- {-1, {}} when the leader has lost its lease.

if call('GET', base .. 'lease') ~= ARGV[2] then return { -1, {} } end

-- Departures of which more are settling wait for another time.
local SETTLING = 2000

-- Only the workers know the user_info: who is held and not listed is listed as held by none, so that the announcement of a
-- worker tells of it (see set_member).
local function audit_member(r, user)
  local held, since, info = holders(r, user)
  local _, holding = add_up('worker-members:', r.field .. '/' .. user)
  if held == #holding then return held == 0 and call('HDEL', r.members_key, user) or 0 end
  if #holding == 0 then
    remove_member(r, user, '')
  elseif held > 0 then
    hold(r, user, #holding, since, info)
  elseif since ~= 0 or info ~= '' then
    hold(r, user, 0, 0, '')
    note_deleted(r, user)
  else
    return 0
  end
  return 1
end

local function audit_total(r)
  local sum = add_up('worker:', r.field)
  local raw = call('HGET', r.totals_key, r.channel)
  if raw == (sum > 0 and fmt('%.0f', sum)) then return 0 end
  change_total(r, count(raw), sum)
  if sum == 0 then call('HDEL', r.totals_key, r.channel) end
  return 1
end

-- A departure that settles and is not in the log was deleted there by somebody else: it is told now.
local function audit_settling()
  local log, pending = base .. 'transitions', base .. 'pending'
  if call('HLEN', pending) > SETTLING then return 0 end
  local restored, flat = 0, call('HGETALL', pending)
  for i = 1, #flat, 2 do
    if flat[i] ~= '' and not call('ZSCORE', log, flat[i + 1]) then
      read_clock()
      call('ZADD', log, fmt('%.0f', clock_us), flat[i + 1])
      restored, appended = restored + 1, true
    end
  end
  if restored > 0 then note_tampered(log) end
  return restored
end

local mended, at = audit_settling(), 3
while ARGV[at] do
  local r
  r, at = read_report(at)
  for _, m in ipairs(r.members) do mended = mended + audit_member(r, m.user) end
  mended = mended + audit_total(r)
end
finish()
local tampered = call('HGETALL', base .. 'tampered')
if #tampered > 0 then call('DEL', base .. 'tampered') end
return { mended, tampered }
