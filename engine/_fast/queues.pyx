"""What of a loop turn's work waits for its end, and what for the next turn.

Connections that have something to write are flushed at the end of the turn; those that have sent more than their share
of it, and those that end, wait for the next one. Knows neither bytes nor sockets: each connection keeps its own.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF

from engine._fast.clock cimport monotonic_ns, wall_us
from engine._fast.counting cimport Sizes

import logging

cdef enum:
    #: A flush that has written for this long lets the loop breathe; pings, timers and the lease must not wait for
    #: one huge channel. Checked every FLUSH_CHECK sockets.
    FLUSH_BUDGET_NS = 4000000
    FLUSH_CHECK = 64
    #: What all that wait may do in one turn of the loop before everything else gets its own.
    ALL_TURNS_NS = 2000000
    #: Broadcasts timed of one flush. One of many more is a burst of which so many say enough.
    MAX_TIMED = 1024

_log = logging.getLogger(__name__)


cdef class Queued:
    cdef int go_on(self) except -1:
        raise NotImplementedError

    cdef int flush(self) except -1:
        raise NotImplementedError

    cdef int fail(self) except -1:
        raise NotImplementedError


cdef int fail_one(Queued one) except -1:
    """Its part of a turn has raised: nobody knows how far its bytes have come, and the others have their turn."""
    _log.exception("a connection failed in its turn")
    try:
        one.fail()
    except Exception:
        _log.exception("a connection failed to end")
    return 0


@cython.final
cdef class FlushQueue:
    """Collects the connections that have something to write and flushes them once, at the end of the loop turn.

    :param call_soon: the loop's `call_soon`.
    :param max_waiting_bytes: a connection with more than this unsent in its transport is cut off (4100).
    :param max_frames_per_second: no more are read of one connection; 0 is no limit.
    :ivar reads: connections that have sent more than is read of them at once, and those whose clients are gone.
    """

    def __init__(self, call_soon, size_t max_waiting_bytes, uint32_t max_frames_per_second=0):
        self._call_soon = call_soon
        self._flush_callback = self.flush
        self.max_waiting_bytes = max_waiting_bytes
        self.max_frames_per_second = max_frames_per_second
        self.reads = ReadQueue(call_soon)

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self._done, self._count):
            Py_DECREF(<object>self._dirty[i])
        PyMem_Free(self._dirty)
        for i in range(self._timed_count):
            Py_DECREF(<object>self._timed[i].took)
        PyMem_Free(self._timed)

    cdef int push(self, Queued connection) except -1:
        cdef Py_ssize_t capacity
        cdef PyObject** dirty
        if self._count == self._capacity:
            capacity = self._capacity * 2 if self._capacity else 64
            dirty = <PyObject**>PyMem_Realloc(self._dirty, capacity * sizeof(PyObject*))
            if dirty == NULL:
                raise MemoryError
            self._dirty = dirty
            self._capacity = capacity
        Py_INCREF(connection)
        self._dirty[self._count] = <PyObject*>connection
        self._count += 1
        connection._dirty = True
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._flush_callback)
        return 0

    cdef bint hold(self) except -1:
        """Whether whoever asks has to call `release`, which flushes what is pushed until then; at once, not in the next turn."""
        if self._scheduled:
            return False
        self._scheduled = True
        return True

    cdef int release(self) except -1:
        if self._count:
            self.flush()
        else:
            self._scheduled = False
        return 0

    cpdef flush(self):
        """Write what is due to every touched connection; yields to the loop when that takes long."""
        cdef long long deadline = monotonic_ns() + FLUSH_BUDGET_NS
        cdef Py_ssize_t i, rest
        cdef PyObject* one = NULL
        while True:
            try:
                self._flush_until(deadline, &one)
                break
            except Exception:
                fail_one(<Queued>one)
                Py_DECREF(<object>one)
        rest = self._count - self._done
        for i in range(rest):
            self._dirty[i] = self._dirty[self._done + i]
        self._count, self._done = rest, 0
        self._scheduled = rest > 0
        if rest:
            self._call_soon(self._flush_callback)
        elif self._timed_count:
            self._take_times()

    cdef int time(self, Sizes took, long long began_us) except -1:
        """Count, when all that are touched now are flushed, the milliseconds since a broadcast to some of them began."""
        # Nobody is touched where the only subscriber is the one that is passed over.
        if self._count == 0 or self._timed_count == MAX_TIMED:
            return 0
        if self._timed == NULL:
            self._timed = <Timed*>PyMem_Malloc(MAX_TIMED * sizeof(Timed))
            if self._timed == NULL:
                raise MemoryError
        Py_INCREF(took)
        self._timed[self._timed_count].took = <PyObject*>took
        self._timed[self._timed_count].began_us = began_us
        self._timed_count += 1
        return 0

    cdef int _take_times(self) except -1:
        cdef long long now_us = wall_us()
        cdef Py_ssize_t i, count = self._timed_count
        self._timed_count = 0
        for i in range(count):
            # The clocks of two machines differ.
            (<Sizes>self._timed[i].took).note(max(now_us - self._timed[i].began_us, 0) / 1000.0)
            Py_DECREF(<object>self._timed[i].took)
        return 0

    cdef int _flush_until(self, long long deadline, PyObject** one) except -1:
        """Flush the rest of the list, or most of it. :param one: the connection that raised; its reference is owned."""
        while self._done < self._count:
            one[0] = self._dirty[self._done]
            self._done += 1
            (<Queued>one[0])._dirty = False
            (<Queued>one[0]).flush()
            Py_DECREF(<object>one[0])
            if self._done % FLUSH_CHECK == 0 and self._done < self._count and monotonic_ns() > deadline:
                break
        return 0


@cython.final
cdef class ReadQueue:
    """First come, first served. :param call_soon: the loop's."""

    def __init__(self, call_soon):
        self._call_soon = call_soon
        self._callback = self._all_go_on
        self._waiting, self._resting = [], []

    cdef int put_off(self, Queued one) except -1:
        """Let the others have their turn before this one goes on."""
        self._waiting.append(one)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._callback)
        return 0

    cdef int rest(self, Queued one) except -1:
        """It has had its share of this second."""
        self._resting.append(one)
        return 0

    def wake(self):
        """A second has passed: those that rest go on. To be called once a second."""
        resting, self._resting = self._resting, []
        for one in resting:
            self.put_off(<Queued>one)

    def _all_go_on(self):
        cdef long long deadline = monotonic_ns() + ALL_TURNS_NS
        cdef list waiting = self._waiting
        cdef Py_ssize_t done = 0
        self._waiting = []
        try:
            while done < len(waiting):
                done += 1
                try:
                    (<Queued>waiting[done - 1]).go_on()
                except Exception:
                    fail_one(<Queued>waiting[done - 1])
                if monotonic_ns() > deadline:
                    break
        finally:
            # Who had no turn comes first in the next one.
            self._waiting = waiting[done:] + self._waiting
            self._scheduled = bool(self._waiting)
            if self._scheduled:
                self._call_soon(self._callback)
