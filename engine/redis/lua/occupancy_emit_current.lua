-- Emits the current state of channels and members as transitions, after Redis has lost data: nobody knows which webhooks
-- were sent last.
-- KEYS[1] base. ARGV[1] topic prefix, [2...] reports (see read_report): of a channel if watched, of its members if members
-- are watched. Changes no fact.

local function emit_current(r, field, is, come, gone, m)
  -- Without settling: a return meanwhile would cancel something that may have been emitted before.
  local pending = settling(field)
  if pending then
    call('HDEL', base .. 'pending', field)
    call('ZREM', base .. 'transitions', pending)
  end
  append(next_seq(), 0, is and come or gone, r, m.user, m.socket, is and m.data or '')
end

local function emit_current_channel(r, occupied)
  if r.watched then
    emit_current(r, r.field, occupied, 'channel_occupied', 'channel_vacated', { user = '', socket = '', data = '' })
  end
end

local at = 2
while ARGV[at] do
  local r
  r, at = read_report(at)
  local occupied = count(call('HGET', r.totals_key, r.channel)) > 0
  if occupied then emit_current_channel(r, true) end
  for _, m in ipairs(r.members_watched and r.members or {}) do
    local here = holders(r, m.user) > 0
    emit_current(r, r.field .. '/' .. m.user, here, 'member_added', 'member_removed', m)
  end
  if not occupied then emit_current_channel(r, false) end
end
finish()
return 1
