# app -> channel -> connections of this worker.

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

from engine._fast.connection cimport Connection
from engine._fast.counting cimport Sizes
from engine._fast.queues cimport FlushQueue
from engine._fast.traffic cimport Traffic


cdef struct Entry:
    PyObject* connection   # owned reference to a Connection
    uint32_t slot          # the channel's place in connection.slots
    uint64_t since         # member changes up to this version are in the roster the client was given


@cython.no_gc
cdef class Channel:
    cdef readonly str app_id, name
    cdef Traffic traffic   # of its application
    cdef Entry* entries
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t capacity
    cdef list _pending     # Pending subscriptions; None when there are none, as nearly always
    cdef dict _ahead       # Connection -> (stream, serial) that it was replayed and this worker has not heard of; or None
    cdef uint32_t _seen_stream
    cdef uint64_t _seen_serial
    cdef Sizes _latency    # how long broadcasts to subscribers of this number class took; None until one is timed
    cdef int _size_class

    cdef int add(self, Connection connection, uint64_t since) except -1
    cdef int remove(self, Connection connection, uint32_t slot) except -1

    # Runs for each publication; its loop runs for each subscriber: a pointer comparison and an outbox_put.
    cpdef Py_ssize_t broadcast(self, bytes frame, Connection excluded=*, uint64_t version=*) except -1
    # The same for an event that is kept. Channels whose events are not kept never come here.
    cpdef Py_ssize_t deliver_kept(self, bytes frame, Connection excluded, uint32_t stream, uint64_t serial) except -1
    cdef Py_ssize_t _broadcast_behind(self, bytes frame, Connection excluded, uint32_t stream, uint64_t serial) except -1
    cdef int _note_ahead(self, Connection connection, uint32_t stream, uint64_t serial) except -1


@cython.no_gc
cdef class Pending:
    # A subscription that is not acknowledged yet: what is published meanwhile is held for it.
    cdef readonly Connection connection
    cdef readonly Channel channel
    cdef list _held        # (version, frame)
    cdef dict _marks       # place in _held -> (stream, serial) of what the history keeps; None when there is none
    cdef readonly bint cancelled, overflowed
    cdef int hold(self, bytes frame, Connection excluded, uint64_t version) except -1
    cdef int hold_kept(self, bytes frame, Connection excluded, uint32_t stream, uint64_t serial) except -1
    cpdef cancel(self)


cdef class Hub:
    cdef dict _channels    # "app/channel" -> Channel
    cdef dict _connections # socket_id -> Connection
    cdef dict _traffic     # app id -> Traffic
    cdef readonly FlushQueue flush_queue
    cdef object _latency_of
    cdef bytes _random     # of which ids are made, from _random_at on
    cdef Py_ssize_t _random_at

    # Run for each publication.
    cpdef int deliver(self, Channel channel, bytes frame, Connection excluded, long long began_us=*) except -1
    cpdef int note_broadcast(
        self, Channel channel, Py_ssize_t subscribers, Connection excluded, long long began_us
    ) except -1
