-- Queues jobs behind all transitions that may be emitted by now: what a client did is emitted after its coming.
-- KEYS[1] base. ARGV[1] topic prefix, [2...] pairs of list and job.
-- Returns 1; or 0 when they wait in `after_transitions`, from where the leader's look at what is due releases them.

read_clock()
if call('EXISTS', base .. 'after_transitions') == 0 and earliest() > clock_us then
  for i = 2, #ARGV, 2 do redis.call('RPUSH', ARGV[i], ARGV[i + 1]) end
  return 1
end
for i = 2, #ARGV, 2 do
  local seq = next_seq()
  call('ZADD', base .. 'after_transitions', fmt('%.0f', seq), fmt('%016.0f%05d', seq, #ARGV[i]) .. ARGV[i] .. ARGV[i + 1])
end
finish()
return 0
