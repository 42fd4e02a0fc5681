-- Put in front of each script that changes more than one thing, which then changes nothing unless the user may run all of
-- its commands: rights can be taken away at any moment, and a script that stops in its middle has changed one thing and
-- told nobody. Redis 7 and Valkey can say so beforehand; with Redis 6.2 only the proof in `suitability.lua` stands.
-- `scripts.load` puts their names between the braces.

local may, key = redis.acl_check_cmd, KEYS[1]
for _, command in ipairs(may and { COMMANDS } or {}) do
  if not may(command, key) then return redis.error_reply('NOPERM the user may not run ' .. command) end
end
