-- Adds up what the workers' own facts say and mends shared figures that say otherwise. Finds nothing to mend unless
-- Redis lost or was made to hold something that no script wrote.
-- KEYS[1] base. ARGV[1] topic prefix, [2] leader, [3...] reports (see read_report): each names a channel to be added up,
-- and of its members those to be looked at.
-- Returns how much was mended; -1 when the leader has lost its lease.

if call('GET', base .. 'lease') ~= ARGV[2] then return -1 end

local workers = call('ZRANGE', base .. 'workers', 0, -1)
for _, who in ipairs(call('SMEMBERS', base .. 'purging')) do workers[#workers + 1] = who end

-- Only the workers know the user_info: where it is lost they have to report the member again. Their reconcilers do, for
-- any fact of theirs that is missing here.
local function audit_member(r, user)
  local key, field = base .. 'worker-members:', r.field .. '/' .. user
  local holding = {}
  for _, who in ipairs(workers) do
    if count(call('HGET', key .. who, field)) > 0 then holding[#holding + 1] = who end
  end
  local held, since, info = holders(r, user)
  if held == 0 then
    local garbage = call('HDEL', r.members_key, user)
    for _, who in ipairs(holding) do call('HDEL', key .. who, field) end
    return math.max(garbage, #holding)
  end
  if held == #holding then return 0 end
  if #holding == 0 then
    remove_member(r, user, '')
  else
    hold(r, user, #holding, since, info)
  end
  return 1
end

local function audit_total(r)
  local sum = 0
  for _, who in ipairs(workers) do sum = sum + count(call('HGET', base .. 'worker:' .. who, r.field)) end
  local raw = call('HGET', r.totals_key, r.channel)
  if raw == (sum > 0 and fmt('%.0f', sum)) then return 0 end
  change_total(r, count(raw), sum)
  if sum == 0 then call('HDEL', r.totals_key, r.channel) end
  return 1
end

local mended, at = 0, 3
while ARGV[at] do
  local r
  r, at = read_report(at)
  for _, m in ipairs(r.members) do mended = mended + audit_member(r, m.user) end
  mended = mended + audit_total(r)
end
finish()
return mended
