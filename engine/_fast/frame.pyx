"""Builds whole WebSocket frames as immutable bytes: header and payload in one piece, ready for any socket.

A frame is built once for an event and channel and written to every subscriber; nobody may change it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef enum:
    FIN_TEXT = 0x81
    FIN_CLOSE = 0x88
    FIN_PING = 0x89
    FIN_PONG = 0x8A
    #: RFC 6455 section 5.5: control frames carry at most 125 bytes, two of which are the close code.
    MAX_REASON = 123


cdef inline Py_ssize_t _header(unsigned char first, Py_ssize_t size, unsigned char* out) noexcept:
    cdef int shift
    out[0] = first
    if size < 126:
        out[1] = <unsigned char>size
        return 2
    if size < 65536:
        out[1] = 126
        out[2] = <unsigned char>(size >> 8)
        out[3] = <unsigned char>(size & 255)
        return 4
    out[1] = 127
    for shift in range(8):
        out[2 + shift] = <unsigned char>((size >> (56 - 8 * shift)) & 255)
    return 10


cdef bytes _frame(unsigned char first, const char* payload, Py_ssize_t size):
    cdef unsigned char header[10]
    cdef Py_ssize_t skip = _header(first, size, header)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, skip + size)
    memcpy(PyBytes_AS_STRING(frame), header, skip)
    memcpy(PyBytes_AS_STRING(frame) + skip, payload, size)
    return frame


cpdef bytes text_frame(bytes payload):
    """A text message that fits one frame. :param payload: UTF-8 text."""
    return _frame(FIN_TEXT, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))


cpdef bytes spliced_frame(bytes prefix, bytes middle, bytes suffix):
    """The text frame of ``prefix + middle + suffix``, for events that differ only in their channel."""
    cdef Py_ssize_t a = PyBytes_GET_SIZE(prefix), b = PyBytes_GET_SIZE(middle), c = PyBytes_GET_SIZE(suffix)
    cdef unsigned char header[10]
    cdef Py_ssize_t skip = _header(FIN_TEXT, a + b + c, header)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, skip + a + b + c)
    cdef char* out = PyBytes_AS_STRING(frame)
    memcpy(out, header, skip)
    memcpy(out + skip, PyBytes_AS_STRING(prefix), a)
    memcpy(out + skip + a, PyBytes_AS_STRING(middle), b)
    memcpy(out + skip + a + b, PyBytes_AS_STRING(suffix), c)
    return frame


cdef bytes event_frame(const Text* name, const Text* channel, const Text* data):
    cdef unsigned char header[10]
    cdef Py_ssize_t size = 35 + name.size + channel.size + data.size
    cdef Py_ssize_t skip = _header(FIN_TEXT, size, header)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, skip + size)
    cdef char* out = PyBytes_AS_STRING(frame)
    memcpy(out, header, skip)
    out = _put(out + skip, b'{"event":"', 10)
    out = _put(out, name.at, name.size)
    out = _put(out, b'","channel":"', 13)
    out = _put(out, channel.at, channel.size)
    out = _put(out, b'","data":"', 10)
    out = _put(out, data.at, data.size)
    _put(out, b'"}', 2)
    return frame


cdef inline char* _put(char* out, const char* part, Py_ssize_t size) noexcept:
    memcpy(out, part, <size_t>size)
    return out + size


cdef bint may_close_with(int code) noexcept:
    """Whether a close frame may carry the code (RFC 6455 section 7.4, and IANA's registry for 1012 to 1014)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


cdef bint is_utf8(bytes text) except -1:
    """Whether the payload of a text message is what it must be (RFC 6455 section 8.1)."""
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(text)
    cdef uint64_t eight
    # Nearly all of it is ASCII, eight bytes at a time.
    while left >= 8:
        memcpy(&eight, at, 8)
        if eight & 0x8080808080808080ull:
            break
        at += 8
        left -= 8
    while left and at[0] < 128:
        at += 1
        left -= 1
    if left == 0:
        return True
    try:
        PyUnicode_DecodeUTF8(<const char*>at, left, NULL)
    except UnicodeDecodeError:
        return False
    return True


cpdef bytes close_frame(int code, str reason):
    """A close frame; a reason longer than 123 bytes of UTF-8 is cut at a character (C-26)."""
    cdef bytes text = reason.encode("utf-8", "replace")
    if len(text) > MAX_REASON:
        text = text[:MAX_REASON].decode("utf-8", "ignore").encode()
    payload = bytes(((code >> 8) & 255, code & 255)) + text
    return _frame(FIN_CLOSE, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))


cpdef bytes pong_frame(bytes payload):
    """The answer to a WebSocket ping (RFC 6455 section 5.5.3)."""
    return _frame(FIN_PONG, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))


cpdef bytes ping_frame():
    """A WebSocket ping (RFC 6455 section 5.5.2)."""
    return _frame(FIN_PING, b"", 0)


cpdef bytes payload_of(bytes frame):
    """The payload of a finished, unmasked frame, as built here. Raises ValueError for anything else."""
    cdef Py_ssize_t total = PyBytes_GET_SIZE(frame)
    cdef unsigned char header[10]
    cdef Py_ssize_t skip
    for skip in (2, 4, 10):
        if total >= skip and _header(<unsigned char>frame[0], total - skip, header) == skip:
            if frame[:skip] == header[:skip]:
                return frame[skip:]
    raise ValueError("not one whole server frame")
