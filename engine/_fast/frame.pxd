# Finished server-to-client WebSocket frames (RFC 6455 section 5.2), built once and shared by all sockets.

cpdef bytes text_frame(bytes payload)
cpdef bytes spliced_frame(bytes prefix, bytes middle, bytes suffix)
cpdef bytes close_frame(int code, str reason)
cpdef bytes pong_frame(bytes payload)
cpdef bytes payload_of(bytes frame)
