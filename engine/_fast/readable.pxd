# Sockets that are read by an epoll of their own instead of one by one by the loop.

from libc.stdint cimport uint32_t

from engine._fast.queues cimport FlushQueue, Queued


# What a socket is watched for.
cdef enum:
    IN = 1
    OUT = 4


cdef class Readable(Queued):
    cdef bint watched                       # by a Readers
    cdef int _watched_for
    # Runs when there is something to read, or nothing more to come. It may stop being watched.
    cdef int readable(self) except -1
    # Runs when there is room, for who is watched for that.
    cdef int writable(self) except -1


cdef class Readers:
    cdef int _epoll
    cdef FlushQueue _flushes                # flushed behind what was read, or None
    cdef object _add_reader, _remove_reader # the loop's; None once it has stopped
    cdef bint _added
    cdef bint watch(self, Readable one, int fd) except -1
    cdef bint watch_for(self, Readable one, int fd, int wanted) except -1
    cdef int unwatch(self, Readable one, int fd) except -1
    cdef int _read_one(self, Readable one, uint32_t events) except -1
