# Of which publishes spans are made, for OpenTelemetry.

from libc.stdint cimport uint64_t

from engine._fast.llhttp cimport Head
from engine._fast.plain_publish cimport PlainPublisher
from engine._fast.publish_target cimport Target


cdef class Sampler:
    cdef public PlainPublisher plain
    cdef public object note              # (target, body, traceparent, began, ended): both in monotonic nanoseconds
    cdef public object answer            # async (target, body, traceparent) -> bytes of the whole answer
    cdef uint64_t _below, _state
    cdef bint _all, _heeds

    # As `PlainPublisher.publish`, and then `note` if there is to be a span. :param lines: the head, as sent.
    cdef bint publish(self, const Target* target, const Head* head, const char* lines, Py_ssize_t head_bytes,
                      const char* body, long long* clock_ns) except -1
    # The value of the one traceparent header; empty without one, with several, or with a very long one.
    cdef bytes caller(self, const char* lines, Py_ssize_t size)
    cdef bint takes(self, bytes traceparent) except -1
