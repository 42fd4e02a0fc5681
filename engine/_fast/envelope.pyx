"""What travels between workers on a channel's topic: one byte for the kind, then length-prefixed parts.

    0x01  event           except socket id: u8 length, text · u64 microseconds since the epoch · a finished WebSocket frame
    0x02  member added    u64 version · u16 length, user id · user_info JSON text
    0x03  member removed  u64 version · u16 length, user id
    0x04  terminate       u8: 1 when its clients shall come back at once, else 0; the topic names the user
    0x05  total           u64 version · u32 subscriptions of the topic's channel, or of the user that it watches
    0x06  kept event      u32 stream · u64 serial · what follows the first byte of an event
    0x07  mark            behind an event: what `engine/spans/context.py` packs; nothing depends on it

All integers are big-endian. Bytes from Redis are not trusted: whatever does not fit is dropped and counted.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from engine._fast.clock cimport wall_us
from engine._fast.hub cimport Channel, Hub

cdef enum:
    MEMBER_ADDED = 2
    MEMBER_REMOVED = 3
    TERMINATE = 4
    TOTAL = 5
    KEPT_EVENT = 6
    #: By which an event's time is later than the clock says, at most: else the clock was set back.
    MAX_AHEAD_US = 1000
    #: Bytes that a kept event has before those of an event.
    MARK = 12

#: Of the last event that was packed here.
cdef long long _last_us = 0


def pack_event(bytes except_socket_id not None, bytes frame not None) -> bytes:
    """The envelope of an event that is published now. :param except_socket_id: whom to pass over, at most 255 bytes, or empty."""
    return event_envelope(PyBytes_AS_STRING(except_socket_id), PyBytes_GET_SIZE(except_socket_id), frame)


cdef bytes event_envelope(const char* excluded, Py_ssize_t a, bytes frame):
    cdef Py_ssize_t b = PyBytes_GET_SIZE(frame)
    if a > 255:
        raise ValueError("a socket id has at most 255 bytes")
    cdef bytes packed = PyBytes_FromStringAndSize(NULL, 2 + a + TIME + b)
    cdef char* out = PyBytes_AS_STRING(packed)
    out[0] = EVENT
    out[1] = <char>a
    memcpy(out + 2, excluded, <size_t>a)
    write_u64(<unsigned char*>out + 2 + a, <uint64_t>own_time_us())
    memcpy(out + 2 + a + TIME, PyBytes_AS_STRING(frame), b)
    return packed


cdef long long own_time_us() noexcept:
    """The time of day, but for a few microseconds: those of this process' events differ, so that each is known by it."""
    cdef long long now = wall_us()
    global _last_us
    if _last_us - MAX_AHEAD_US < now <= _last_us:
        now = _last_us + 1
    _last_us = now
    return now


def pack_terminate(bint reconnect) -> bytes:
    return b"\x04\x01" if reconnect else b"\x04\x00"


def deliver_event(Hub hub not None, Channel channel not None, bytes envelope not None) -> bool:
    """Hand an event envelope to the channel's subscribers; False when it is of another kind.

    Raises ValueError when it calls itself an event and is none.
    """
    cdef Py_ssize_t size = PyBytes_GET_SIZE(envelope)
    cdef Event event
    if size < 1 or PyBytes_AS_STRING(envelope)[0] != EVENT:
        return _deliver_kept(hub, channel, envelope)
    if not find_event(PyBytes_AS_STRING(envelope), size, &event):
        raise ValueError("event envelope cut short, or without a whole text frame")
    deliver(hub, channel, &event)
    return True


cdef bint find_event(const char* envelope, Py_ssize_t size, Event* event) noexcept:
    cdef const unsigned char* data = <const unsigned char*>envelope
    cdef Py_ssize_t skip
    if size < 2 or data[0] != EVENT:
        return False
    skip = 2 + data[1]
    if size < skip + TIME:
        return False
    event.excluded, event.excluded_size = envelope + 2, data[1]
    event.frame, event.frame_size = envelope + skip + TIME, size - skip - TIME
    event.began_us = <long long>read_u64(data + skip)
    return is_text_frame(data + skip + TIME, event.frame_size)


cdef int deliver(Hub hub, Channel channel, const Event* event) except -1:
    cdef bytes frame = PyBytes_FromStringAndSize(event.frame, event.frame_size)
    excluded = None
    if event.excluded_size:
        excluded = hub.get(PyUnicode_DecodeASCII(event.excluded, event.excluded_size, "replace"))
    channel.traffic.delivered += 1
    hub.deliver(channel, frame, excluded, event.began_us)
    return 0


def read_event(bytes envelope not None) -> tuple[str, bytes] | None:
    """(the socket id that it passes over, "" for none; the frame) of an event envelope; None for any other."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(envelope), at
    cdef const unsigned char* data = <const unsigned char*>PyBytes_AS_STRING(envelope)
    if size < 1 or data[0] != EVENT and data[0] != KEPT_EVENT:
        return None
    at = 1 if data[0] == EVENT else MARK + 1
    if size <= at or size < at + 1 + data[at] + TIME:
        return None
    return envelope[at + 1:at + 1 + data[at]].decode("ascii", "replace"), envelope[at + 1 + data[at] + TIME:]


cdef bint _deliver_kept(Hub hub, Channel channel, bytes envelope) except -1:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(envelope), skip, count
    cdef const unsigned char* data = <const unsigned char*>PyBytes_AS_STRING(envelope)
    cdef uint32_t stream = 0
    cdef int i
    if size < 1 or data[0] != KEPT_EVENT:
        return False
    if size < MARK + 2 or size < MARK + 2 + data[MARK + 1] + TIME:
        raise ValueError("event envelope cut short")
    for i in range(1, 5):
        stream = (stream << 8) | data[i]
    skip = MARK + 2 + data[MARK + 1]
    frame = envelope[skip + TIME:]
    if not is_text_frame(<const unsigned char*>PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame)):
        raise ValueError("event envelope without a whole text frame")
    excluded = hub.get(envelope[MARK + 2:skip].decode("ascii", "replace")) if skip > MARK + 2 else None
    channel.traffic.delivered += 1
    count = channel.deliver_kept(frame, excluded, stream, read_u64(data + 5))
    hub.note_broadcast(channel, count, excluded, <long long>read_u64(data + skip))
    return True


def parse_member_change(bytes envelope not None):
    """(added, version, user id, user_info) of a membership envelope; None when it is of another kind.

    Raises ValueError when it calls itself one and is none.
    """
    cdef Py_ssize_t size = PyBytes_GET_SIZE(envelope), length
    cdef const unsigned char* data = <const unsigned char*>PyBytes_AS_STRING(envelope)
    cdef uint64_t version = 0
    cdef int i
    if size < 1 or (data[0] != MEMBER_ADDED and data[0] != MEMBER_REMOVED):
        return None
    if size < 11:
        raise ValueError("membership envelope cut short")
    for i in range(8):
        version = (version << 8) | data[1 + i]
    length = (data[9] << 8) | data[10]
    if size < 11 + length:
        raise ValueError("membership envelope cut short")
    return data[0] == MEMBER_ADDED, version, envelope[11:11 + length].decode(), envelope[11 + length:].decode()


def parse_total(bytes envelope not None):
    """(version, total) of a total envelope; None when it is of another kind. Raises ValueError as the others do."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(envelope)
    if size < 1 or envelope[0] != TOTAL:
        return None
    if size != 13:
        raise ValueError("total envelope of a wrong size")
    return int.from_bytes(envelope[1:9], "big"), int.from_bytes(envelope[9:], "big")


def parse_terminate(bytes envelope not None):
    """Whether the clients shall come back; None for an envelope of another kind, or of none."""
    if PyBytes_GET_SIZE(envelope) != 2 or envelope[0] != TERMINATE or envelope[1] > 1:
        return None
    return envelope[1] == 1


cdef uint64_t read_u64(const unsigned char* data) noexcept:
    cdef uint64_t number = 0
    cdef int i
    for i in range(8):
        number = (number << 8) | data[i]
    return number


cdef void write_u64(unsigned char* out, uint64_t number) noexcept:
    cdef int i
    for i in range(8):
        out[i] = <unsigned char>(number >> (56 - 8 * i))


cdef bint is_text_frame(const unsigned char* data, Py_ssize_t size) noexcept:
    """Whether these bytes are exactly one unmasked, final text frame, its length as short as can be (RFC 6455, 5.2)."""
    cdef uint64_t length = 0
    cdef int i
    if size < 2 or data[0] != 0x81:
        return False
    if data[1] < 126:
        return size == 2 + data[1]
    if data[1] == 126:
        return size >= 4 + 126 and size == 4 + ((data[2] << 8) | data[3])
    if data[1] != 127 or size < 10 + 65536:
        return False
    for i in range(8):
        length = (length << 8) | data[2 + i]
    return <uint64_t>(size - 10) == length
