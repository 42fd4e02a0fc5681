# This worker's events on their way through the log that the workers of a host share.

from engine._fast.hub cimport Channel, Hub
from engine._fast.queues cimport FlushQueue, Queued
from engine._fast.shared_log cimport Record, SharedLog
from engine._fast.traffic cimport Traffic


cdef class LogLink(Queued):
    cdef readonly SharedLog log
    cdef Hub _hub
    cdef FlushQueue _flush_queue
    cdef dict _channels             # "app/channel" -> Channel
    cdef object _on_other           # gets (channel, message) of what is no event
    cdef object _on_missed          # gets the number of messages that came too fast
    cdef object _heard              # gets (channel, message) of everything, before it is delivered; or None
    cdef object _go_on_callback
    cdef bint _going_on
    cdef unsigned long long _missed

    # Whether an event whose frame is about so long is sure to fit.
    cdef bint fits(self, Py_ssize_t frame_size) noexcept
    # Put an event in; it is delivered, and others are woken, at the end of the loop turn. False when it is too long.
    cdef bint send(
        self, Traffic traffic, const char* place, Py_ssize_t size, bytes frame, const char* excluded, Py_ssize_t excluded_size
    ) except -1
    cdef int _deliver(self, const Record* found) except -1
    cdef Py_ssize_t _deliver_some(self) except -1
    cdef int _read(self) except -1
