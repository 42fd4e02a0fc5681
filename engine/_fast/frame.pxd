# Finished server-to-client WebSocket frames (RFC 6455 section 5.2), built once and shared by all sockets.

from engine._fast.json_text cimport Text

cpdef bytes text_frame(bytes payload)
cpdef bytes spliced_frame(bytes prefix, bytes middle, bytes suffix)
cdef bint may_close_with(int code) noexcept
cdef bint is_utf8(bytes text) except -1
cpdef bytes close_frame(int code, str reason)
cpdef bytes pong_frame(bytes payload)
cpdef bytes ping_frame()
cpdef bytes payload_of(bytes frame)

# The text frame of an event, from JSON strings as they lie, without their quotes. Runs for each publish and channel.
cdef bytes event_frame(const Text* name, const Text* channel, const Text* data)
