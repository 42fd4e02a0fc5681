"""Watches many sockets by one epoll, which the loop watches in turn: one call from it for all that can be read.

What a publish costs the loop is its way through the transport, the buffer and the protocol's method; none of that is done
for each socket here. Never reads a byte itself: each connection knows what it does with its own.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint32_t

from engine._fast.clock cimport monotonic_ns
from engine._fast.queues cimport fail_one

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        void* ptr
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int what, int fd, epoll_event* event)
    int epoll_wait(int epoll, epoll_event* events, int most, int timeout_ms)
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLIN, EPOLLOUT

cdef extern from "unistd.h" nogil:
    int c_close "close"(int fd)

cdef enum:
    #: Taken of the kernel at a time; who was taken goes to the end of its list, so that all have their turn.
    AT_ONCE = 16
    #: What all sockets may do in one turn of the loop before everything else gets its own.
    ALL_TURNS_NS = 2000000


@cython.no_gc
cdef class Readable(Queued):
    cdef int readable(self) except -1:
        raise NotImplementedError

    cdef int writable(self) except -1:
        raise NotImplementedError


@cython.final
cdef class Readers:
    """:param flushes: written at once when all have been read, instead of in the loop's next turn.

    :param add_reader, remove_reader: the loop's.
    """

    def __cinit__(self):
        self._epoll = -1

    def __init__(self, FlushQueue flushes, add_reader, remove_reader):
        self._flushes = flushes
        self._add_reader, self._remove_reader = add_reader, remove_reader

    def __dealloc__(self):
        if self._epoll >= 0:
            c_close(self._epoll)

    cdef bint watch(self, Readable one, int fd) except -1:
        """Call `readable` whenever there is something, until `unwatch`; whether that can be done."""
        return self.watch_for(one, fd, IN)

    cdef bint watch_for(self, Readable one, int fd, int wanted) except -1:
        """The same for what is wanted now: IN and OUT, which may be neither."""
        cdef epoll_event event
        if wanted == 0:
            self.unwatch(one, fd)
            return True
        if one.watched and one._watched_for == wanted:
            return True
        if self._epoll < 0:
            self._epoll = epoll_create1(EPOLL_CLOEXEC)
            if self._epoll < 0:
                return False
        if not self._added:
            self._add_reader(self._epoll, self._read)
            self._added = True
        event.events = <uint32_t>((EPOLLIN if wanted & IN else 0) | (EPOLLOUT if wanted & OUT else 0))
        event.data.ptr = <void*>one
        if epoll_ctl(self._epoll, EPOLL_CTL_MOD if one.watched else EPOLL_CTL_ADD, fd, &event) != 0:
            return False
        one._watched_for = wanted
        if not one.watched:
            Py_INCREF(one)
            one.watched = True
        return True

    cdef int unwatch(self, Readable one, int fd) except -1:
        """To be called before its socket is closed."""
        cdef epoll_event event
        if one.watched:
            one.watched = False
            epoll_ctl(self._epoll, EPOLL_CTL_DEL, fd, &event)
            Py_DECREF(one)
        return 0

    def stop(self):
        """Have the loop forget it; nothing is watched any more."""
        if self._added:
            self._added = False
            self._remove_reader(self._epoll)

    def _read(self):
        cdef epoll_event events[AT_ONCE]
        cdef long long deadline = monotonic_ns() + ALL_TURNS_NS
        cdef int i, count = AT_ONCE
        cdef bint held = self._flushes is not None and self._flushes.hold()
        try:
            while count == AT_ONCE:
                count = epoll_wait(self._epoll, events, AT_ONCE, 0)
                for i in range(count):
                    # Whoever is watched is alive; what one does may end another.
                    Py_INCREF(<object>events[i].data.ptr)
                for i in range(count):
                    one = <Readable>events[i].data.ptr
                    Py_DECREF(one)
                    self._read_one(one, events[i].events)
                if monotonic_ns() > deadline:
                    break
        finally:
            if held:
                self._flushes.release()

    cdef int _read_one(self, Readable one, uint32_t events) except -1:
        # An end of the connection, which comes unasked for, is found out by either.
        try:
            if one.watched and one._watched_for & OUT and events & ~<uint32_t>EPOLLIN:
                one.writable()
            if one.watched and one._watched_for & IN and events & ~<uint32_t>EPOLLOUT:
                one.readable()
        except Exception:
            fail_one(one)
        return 0
