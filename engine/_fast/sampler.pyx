"""Of which publishes spans are made: as their callers say in `traceparent`, or by chance.

There is one only where OpenTelemetry is on. What it takes is published first, as all else is, and told of afterwards.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr

from engine._fast.clock cimport monotonic_ns

import os

cdef extern from "strings.h" nogil:
    int strncasecmp(const char* a, const char* b, size_t size)

cdef enum:
    #: Of a header's value (https://www.w3.org/TR/trace-context/, 3.2); later versions may be longer than the first.
    LEAST = 55
    MOST = 256
    NAME = 12       # with its colon


@cython.final
cdef class Sampler:
    """:param ratio: of those that no caller has decided on, 0 to 1.
    :param heeds_callers: whether a valid `traceparent` decides.
    :ivar plain: what publishes in C, or None.
    """

    def __init__(self, double ratio, bint heeds_callers):
        self._all = ratio >= 1
        self._below = 0 if self._all else <uint64_t>(max(ratio, 0.0) * 18446744073709551616.0)
        self._heeds = heeds_callers
        self._state = int.from_bytes(os.urandom(8), "big") | 1

    def wants(self, bytes traceparent not None) -> bool:
        """Whether there is to be a span. :param traceparent: what the caller sent, or empty."""
        return self.takes(traceparent)

    def caller_of(self, bytes head not None) -> bytes:
        """The value of a head's one `traceparent`, or empty."""
        return self.caller(PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))

    cdef bint publish(self, const Target* target, const Head* head, const char* lines, Py_ssize_t head_bytes,
                      const char* body, long long* clock_ns) except -1:
        cdef long long began_ns = clock_ns[0] or monotonic_ns()
        cdef bytes caller
        if self.plain is None or not self.plain.publish(target, head, body, clock_ns):
            return False
        caller = self.caller(lines, head_bytes)
        if self.takes(caller):
            self.note(
                head.target.at[:head.target.size], body[:head.body_bytes], caller, began_ns, clock_ns[0]
            )
        return True

    cdef bytes caller(self, const char* lines, Py_ssize_t size):
        cdef const char* end = lines + size
        cdef const char* p = <const char*>memchr(lines, 10, <size_t>size)
        cdef const char* last
        cdef bytes found = b""
        while p != NULL:
            p += 1
            last = <const char*>memchr(p, 10, <size_t>(end - p))
            if last != NULL and last - p > NAME and strncasecmp(p, b"traceparent:", NAME) == 0:
                if found:
                    return b""
                p += NAME
                if last - p > MOST:
                    return b""
                found = p[:last - p].strip(b" \t\r")
            p = last
        return found

    cdef bint takes(self, bytes traceparent) except -1:
        cdef int flags
        if self._heeds and PyBytes_GET_SIZE(traceparent):
            flags = _flags(<const unsigned char*>PyBytes_AS_STRING(traceparent), PyBytes_GET_SIZE(traceparent))
            if flags >= 0:
                return flags & 1
        if self._all:
            return True
        # xorshift64*: whoever could foresee it would only know of which publishes there are spans.
        self._state ^= self._state >> 12
        self._state ^= self._state << 25
        self._state ^= self._state >> 27
        return self._state * <uint64_t>0x2545F4914F6CDD1D < self._below


cdef int _flags(const unsigned char* text, Py_ssize_t size) noexcept:
    """Of a valid traceparent; -1 for any other text."""
    cdef int i, digit, trace = 0, parent = 0, flags = 0
    if size < LEAST or (size > LEAST and (text[LEAST] != 45 or (text[0] == 48 and text[1] == 48))):
        return -1
    if text[0] == 102 and text[1] == 102:  # version ff
        return -1
    for i in range(LEAST):
        if i == 2 or i == 35 or i == 52:
            if text[i] != 45:
                return -1
            continue
        if 48 <= text[i] <= 57:
            digit = text[i] - 48
        elif 97 <= text[i] <= 102:
            digit = text[i] - 87
        else:
            return -1
        if 2 < i < 35:
            trace |= digit
        elif 35 < i < 52:
            parent |= digit
        elif i > 52:
            flags = flags * 16 + digit
    return flags if trace and parent else -1
