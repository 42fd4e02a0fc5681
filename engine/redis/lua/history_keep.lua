-- Keeps an event of a channel and publishes it, in one step: the order of the stream is the order of delivery.
-- ARGV[6]  the event's envelope (`_fast/envelope.pyx`); [7] PUBLISH or SPUBLISH; [8] the channel's topic
-- Returns the event's serial.

local envelope = ARGV[6]

open_given()
load()
-- Behind the socket that it passes over and the time.
local failed = put(sub(envelope, 11 + string.byte(envelope, 2)))
if failed then return failed end
finish_puts()
redis.call(ARGV[7], ARGV[8], struct.pack('>BI4I8', 6, tonumber(sub(s.id, 1, 8), 16), s.serial) .. sub(envelope, 2))
return s.serial
